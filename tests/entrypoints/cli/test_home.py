"""What `serve` refuses when `production` is set."""

from pathlib import Path

import pytest

from albufera.entrypoints.cli.home import check_production
from albufera.kernel.errors import Refusal
from albufera.settings import FederationSettings, NodeSettings, Settings, WebSettings

FIT = {
    "production": True,
    "node": NodeSettings(url="https://node.example"),
    "web": WebSettings(secure_cookies=True),
    "federation": FederationSettings(allow_plain_http=False),
}


def test_fit_settings_are_served(tmp_path: Path) -> None:
    check_production(Settings(home=tmp_path, **FIT))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"node": NodeSettings(url="http://node.example")}, "node.url"),
        ({"web": WebSettings(secure_cookies=False)}, "web.secure_cookies"),
        ({"federation": FederationSettings(allow_plain_http=True)}, "federation.allow_plain_http"),
    ],
)
def test_what_is_fit_for_a_demonstration_only_is_refused_by_name(
    change: dict[str, object], named: str, tmp_path: Path
) -> None:
    unfit = {**FIT, **change}
    with pytest.raises(Refusal, match=named):
        check_production(Settings(home=tmp_path, **unfit))
    check_production(Settings(home=tmp_path, **{**unfit, "production": False}))
