"""What `serve` refuses when `production` is set."""

from pathlib import Path

import pytest

from albufera.entrypoints.cli.home import check_production
from albufera.kernel.errors import Refusal
from albufera.settings import FederationSettings, NodeSettings, Settings, WebSettings

HTTPS = NodeSettings(url="https://node.example")
HTTP = NodeSettings(url="http://node.example")
SECURE, INSECURE = WebSettings(secure_cookies=True), WebSettings(secure_cookies=False)
CAREFUL = FederationSettings(allow_plain_http=False)
CARELESS = FederationSettings(allow_plain_http=True)


def settings(
    home: Path, parts: tuple[NodeSettings, WebSettings, FederationSettings], *, production: bool
) -> Settings:
    node, web, federation = parts
    return Settings(home=home, production=production, node=node, web=web, federation=federation)


def test_fit_settings_are_served(tmp_path: Path) -> None:
    check_production(settings(tmp_path, (HTTPS, SECURE, CAREFUL), production=True))


@pytest.mark.parametrize(
    ("parts", "named"),
    [
        ((HTTP, SECURE, CAREFUL), "node.url"),
        ((HTTPS, INSECURE, CAREFUL), "web.secure_cookies"),
        ((HTTPS, SECURE, CARELESS), "federation.allow_plain_http"),
    ],
)
def test_what_is_fit_for_a_demonstration_only_is_refused_by_name(
    parts: tuple[NodeSettings, WebSettings, FederationSettings], named: str, tmp_path: Path
) -> None:
    with pytest.raises(Refusal, match=named):
        check_production(settings(tmp_path, parts, production=True))
    check_production(settings(tmp_path, parts, production=False))
