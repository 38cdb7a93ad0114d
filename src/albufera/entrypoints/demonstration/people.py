"""The demonstration's people: one of every role, with passwords made for this home alone."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from albufera.bootstrap.home import Home
from albufera.governance.model import Role
from albufera.kernel.clock import random_token

PROJECT = "LUNG"
FILE = "demonstration.json"

PEOPLE: tuple[tuple[str, str, Role], ...] = (
    ("steward", "Amparo Ferrer", Role.STEWARD),
    ("researcher", "Jonas Lindqvist", Role.RESEARCHER),
    ("project-admin", "Vicent Soler", Role.PROJECT_ADMINISTRATOR),
    ("committee", "Chiara Romano", Role.COMMITTEE_MEMBER),
    ("reviewer", "Maren Vogt", Role.OUTPUT_REVIEWER),
    ("auditor", "Tomás Pires", Role.AUDITOR),
)


@dataclass(frozen=True)
class Account:
    """An account of the demonstration."""

    username: str
    role: str
    password: str


def new_password() -> str:
    """Return a password that can be typed: four groups of five characters."""
    token = random_token(10)
    return "-".join(token[start : start + 5] for start in range(0, 20, 5))


def save_accounts(home: Home, accounts: list[Account]) -> None:
    """Keep the accounts in the home, readable by its owner alone, to be shown again."""
    path = home.root / FILE
    temporary = path.with_suffix(".new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump([asdict(account) for account in accounts], file, indent=1)
    temporary.replace(path)


def read_accounts(root: Path) -> list[Account] | None:
    """Return the accounts of a finished demonstration, or None."""
    try:
        content = json.loads((root / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return [Account(**item) for item in content]
