"""Passwords by Argon2id (RFC 9106), with the library's recommended cost."""

import argon2


class Argon2Hasher:
    """The password hasher of local accounts."""

    def __init__(self, *, memory_kibibytes: int = 65536, passes: int = 3) -> None:
        self._hasher = argon2.PasswordHasher(time_cost=passes, memory_cost=memory_kibibytes)

    def hash(self, password: str) -> str:
        """Return a salted Argon2id hash."""
        return self._hasher.hash(password)

    def verify(self, stored: str, password: str) -> bool:
        """Tell whether the password belongs to the hash."""
        try:
            return self._hasher.verify(stored, password)
        except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError):
            return False
