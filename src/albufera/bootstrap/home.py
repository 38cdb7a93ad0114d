"""A home: the directory with a node's settings, database, lake and keys."""

import hmac
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from albufera.kernel.errors import define
from albufera.kernel.signing import SigningKey, VerifyKey

HOME_EXISTS = define(
    "home-exists",
    409,
    "There is a home in that directory already.",
    "Use it, or name another directory with `--home`.",
)
NO_HOME = define(
    "no-home",
    404,
    "There is no home in that directory.",
    "Make one with `albufera init`, or name another directory with `--home`.",
)

_SETTINGS = """\
# Settings of this home. Every setting is described in docs/reference/settings.md, and each may be
# overridden by an environment variable, for example ALBUFERA_DATABASE__URL.

[node]
name = "{name}"
url = "{url}"
"""


@dataclass(frozen=True)
class Home:
    """The paths inside a home."""

    root: Path

    @property
    def settings_file(self) -> Path:
        """The settings."""
        return self.root / "settings.toml"

    @property
    def lake(self) -> Path:
        """The immutable series."""
        return self.root / "lake"

    @property
    def views(self) -> Path:
        """What jobs see of datasets: hard links into the lake."""
        return self.root / "views"

    @property
    def manifests(self) -> Path:
        """The canonical manifests of datasets."""
        return self.root / "manifests"

    @property
    def jobs(self) -> Path:
        """Run directories of jobs."""
        return self.root / "jobs"

    @property
    def user_homes(self) -> Path:
        """The persistent home of each user in each project."""
        return self.root / "homes"

    @property
    def airlock(self) -> Path:
        """Frozen copies of what is asked to leave."""
        return self.root / "airlock"

    @property
    def uploads(self) -> Path:
        """What was sent and is not taken in yet."""
        return self.root / "uploads"

    @property
    def quarantine(self) -> Path:
        """Objects held back for a steward to decide."""
        return self.root / "quarantine"

    @property
    def keys(self) -> Path:
        """Secrets; readable by the node's own account only."""
        return self.root / "keys"

    @property
    def folders(self) -> tuple[Path, ...]:
        """All directories of a home, private to the node's account."""
        return (
            self.lake, self.views, self.manifests, self.jobs, self.user_homes, self.airlock,
            self.uploads, self.quarantine, self.keys,
        )  # fmt: skip

    @property
    def secrets(self) -> tuple[Path, ...]:
        """The files that nobody but the node's account may read."""
        return tuple(self.keys / name for name in ("master.secret", "log.pem", "node.pem"))

    def master_secret(self) -> bytes:
        """Return the secret from which each project's key is derived."""
        return (self.keys / "master.secret").read_bytes()

    def project_secret(self, project_id: str) -> bytes:
        """Return the secret on which a project's pseudonyms, UIDs and date shifts are keyed."""
        message = f"albufera-project-1\0{project_id}".encode()
        return hmac.digest(self.master_secret(), message, "sha256")

    def log_key(self) -> SigningKey:
        """Return the key that signs the log's checkpoints."""
        return self._key("log")

    def node_key(self) -> SigningKey:
        """Return the key with which this node (or hub) signs what it sends to others."""
        return self._key("node")

    def _key(self, role: str) -> SigningKey:
        public = VerifyKey.parse((self.keys / f"{role}.vkey").read_text(encoding="utf-8").strip())
        return SigningKey.load(self.keys / f"{role}.pem", public.name)

    def exists(self) -> bool:
        """Tell whether a home was made here."""
        return self.settings_file.is_file()

    def require(self) -> None:
        """Raise `no-home` unless a home was made here."""
        if not self.exists():
            raise NO_HOME(f"There is no home in {self.root}.")


def create_home(root: Path, name: str, url: str) -> Home:
    """Make the directories, keys and settings of a home. Raises `home-exists`.

    The settings file is written last: a home that was interrupted half-way is simply made again.
    """
    home = Home(root.absolute())
    if home.exists():
        raise HOME_EXISTS(f"There is a home in {home.root} already.")
    home.root.mkdir(parents=True, exist_ok=True)
    for directory in home.folders:
        directory.mkdir(exist_ok=True)
        directory.chmod(0o700)
    _write_secret(home.keys / "master.secret", secrets.token_bytes(32))
    for role in ("log", "node"):
        _make_key(home.keys, role, f"{_slug(name)}/{role}")
    quoted = _SETTINGS.format(name=_toml(name), url=_toml(url))
    temporary = home.settings_file.with_suffix(".new")
    temporary.write_text(quoted, encoding="utf-8")
    temporary.replace(home.settings_file)
    return home


def _make_key(keys: Path, role: str, name: str) -> None:
    """Make a key pair; the public half, which names the key, is written last."""
    public = keys / f"{role}.vkey"
    if public.exists():
        return
    (keys / f"{role}.pem").unlink(missing_ok=True)
    key = SigningKey.generate(name)
    key.save(keys / f"{role}.pem")
    public.write_text(key.verify_key.vkey + "\n", encoding="utf-8")


def _slug(name: str) -> str:
    slug = "".join(c if c.isalnum() and c.isascii() else "-" for c in name.lower()).strip("-")
    return slug or "albufera"


def _toml(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")


def _write_secret(path: Path, content: bytes) -> None:
    if path.exists():
        return
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
