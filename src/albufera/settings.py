"""One typed model of all settings, read once from `settings.toml` and the environment.

`ALBUFERA_DATABASE__URL=…` overrides `[database] url`. Every setting carries its description; the
reference page is generated from here, and a test fails when one is missing.
"""

import os
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

HOME_VARIABLE = "ALBUFERA_HOME"
MEBIBYTE = 1024 * 1024


def default_home() -> Path:
    """Return the home named by `ALBUFERA_HOME`, or `~/.albufera`."""
    return Path(os.environ.get(HOME_VARIABLE) or Path.home() / ".albufera").absolute()


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class NodeSettings(_Section):
    """Who this node is."""

    name: str = Field("Albufera node", description="The node's name, shown on every page.")
    url: str = Field(
        "http://127.0.0.1:8080",
        description="The address under which others reach this node; used in identifiers and "
        "landing pages.",
    )


class DatabaseSettings(_Section):
    """Where rows are kept."""

    url: str = Field(
        "",
        description="SQLAlchemy URL, for example `postgresql+psycopg://…`. Empty: SQLite in the "
        "home.",
    )


class WebSettings(_Section):
    """The web server."""

    secure_cookies: bool = Field(
        False,
        description="Send the session cookie over HTTPS only. Set it wherever the node is reached "
        "by HTTPS.",
    )
    max_upload_bytes: int = Field(
        2048 * MEBIBYTE, gt=0, description="The largest request body that the node takes, in bytes."
    )


class IngestSettings(_Section):
    """Taking studies in."""

    max_object_bytes: int = Field(
        4096 * MEBIBYTE, gt=0, description="The largest single DICOM object taken in, in bytes."
    )
    max_archive_bytes: int = Field(
        65536 * MEBIBYTE,
        gt=0,
        description="The largest total size of what one ZIP unpacks to, in bytes.",
    )
    max_archive_ratio: int = Field(
        200, gt=0, description="The highest compression ratio of a ZIP member; more is a bomb."
    )
    max_archive_members: int = Field(
        100_000, gt=0, description="The largest number of members of one ZIP."
    )


class ComputeSettings(_Section):
    """Work beside the data."""

    cpus: float = Field(2.0, gt=0, description="CPUs that one job may use.")
    memory_mebibytes: int = Field(2048, gt=0, description="Memory that one job may use, in MiB.")
    seconds: int = Field(3600, gt=0, description="Wall-clock time that one job may take.")
    processes: int = Field(256, gt=0, description="Processes and threads that one job may have.")
    disk_mebibytes: int = Field(
        4096, gt=0, description="What one job may write to home, scratch and outputs, in MiB."
    )
    egress_mebibytes: int = Field(
        256, gt=0, description="What one egress request may carry out, in MiB."
    )
    concurrent_jobs: int = Field(2, gt=0, description="Jobs that run at the same time.")


class FederationSettings(_Section):
    """This node's part in a federation."""

    small_count_threshold: int = Field(
        5,
        ge=2,
        le=1000,
        description="A count below this number, none included, leaves the node only as 'fewer "
        "than'; larger counts leave it rounded down to multiples of this number.",
    )
    poll_seconds: float = Field(
        5.0, ge=0.2, le=3600, description="Pause between two contacts with a hub, in seconds."
    )
    questions_per_day: int = Field(
        200, gt=0, description="Questions of one hub that the node answers in a day."
    )
    allow_plain_http: bool = Field(
        False,
        description="Talk to hubs on other machines over plain HTTP too. Messages stay signed, "
        "but others can read them.",
    )


class HubSettings(_Section):
    """A hub's own settings."""

    name: str = Field("Albufera hub", description="The hub's name, shown on every page.")
    questions_per_user: int = Field(
        20, gt=0, description="Questions that one person may ask of the federation in a day."
    )


class Settings(BaseSettings):
    """All settings of a home."""

    model_config = SettingsConfigDict(
        env_prefix="ALBUFERA_", env_nested_delimiter="__", extra="ignore", frozen=True
    )

    home: Path = Field(
        default_factory=default_home,
        description="The directory of this node's settings, database, lake and keys.",
    )
    production: bool = Field(
        False,
        description="Refuse to serve with settings fit for a demonstration only: plain HTTP in "
        "`node.url`, cookies that are not secure, a federation without HTTPS.",
    )
    node: NodeSettings = Field(default_factory=NodeSettings, description="Who this node is.")
    database: DatabaseSettings = Field(
        default_factory=DatabaseSettings, description="Where rows are kept."
    )
    web: WebSettings = Field(default_factory=WebSettings, description="The web server.")
    ingest: IngestSettings = Field(default_factory=IngestSettings, description="Taking studies in.")
    compute: ComputeSettings = Field(
        default_factory=ComputeSettings, description="Work beside the data."
    )
    federation: FederationSettings = Field(
        default_factory=FederationSettings, description="This node's part in a federation."
    )
    hub: HubSettings = Field(default_factory=HubSettings, description="A hub's own settings.")

    @property
    def database_url(self) -> str:
        """The database to use: the one that is set, or SQLite in the home."""
        return self.database.url or f"sqlite:///{self.home / 'albufera.sqlite'}"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - no .env files
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - nor secret files
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Look in the arguments first, then the environment, then the home's settings file."""
        home = Path(init_settings().get("home") or default_home())
        file = TomlConfigSettingsSource(settings_cls, home / "settings.toml")
        return init_settings, env_settings, file


def read_settings(home: Path | None = None, **overrides: Any) -> Settings:
    """Read the settings of a home. Raises pydantic's ValidationError for a wrong value."""
    return Settings(home=(home or default_home()).absolute(), **overrides)
