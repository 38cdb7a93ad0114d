"""Time and randomness, in one place so that tests control them."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """A source of the present moment and of randomness."""

    def now(self) -> datetime:
        """Return the present moment, aware, in UTC."""
        ...

    def random_bytes(self, count: int) -> bytes:
        """Return `count` unpredictable bytes."""
        ...


class SystemClock:
    """The machine's clock and its cryptographic random source."""

    def now(self) -> datetime:
        """Return the present moment, aware, in UTC."""
        return datetime.now(UTC)

    def random_bytes(self, count: int) -> bytes:
        """Return `count` unpredictable bytes from the operating system."""
        return secrets.token_bytes(count)


class _Installed:
    clock: Clock = SystemClock()


def now() -> datetime:
    """Return the present moment, aware, in UTC."""
    return _Installed.clock.now()


def random_bytes(count: int) -> bytes:
    """Return `count` unpredictable bytes."""
    return _Installed.clock.random_bytes(count)


def random_token(count: int = 32) -> str:
    """Return `count` unpredictable bytes as lowercase hexadecimal."""
    return random_bytes(count).hex()


@contextmanager
def installed(clock: Clock) -> Iterator[None]:
    """Use `clock` for the whole process while the context lasts (tests only)."""
    previous, _Installed.clock = _Installed.clock, clock
    try:
        yield
    finally:
        _Installed.clock = previous


def isoformat(moment: datetime) -> str:
    """Write an aware moment as fixed-width ISO 8601 in UTC with milliseconds and a `Z`."""
    return (
        moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"
    )
