"""Where identity touches the outside: whoever vouches for a person."""

from typing import Protocol


class PasswordHasher(Protocol):
    """Keeps passwords so that a stolen database does not give them away."""

    def hash(self, password: str) -> str:
        """Return a salted, memory-hard hash. MUST differ from call to call."""
        ...

    def verify(self, stored: str, password: str) -> bool:
        """Tell whether the password belongs to the hash. MUST NOT raise for a malformed hash."""
        ...
