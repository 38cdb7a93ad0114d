"""A clock that tests turn by hand."""

import itertools
from datetime import UTC, datetime, timedelta


class HandClock:
    """A double of the clock: stands still until moved; its random bytes are a counter's."""

    def __init__(self, start: datetime = datetime(2026, 3, 1, 12, tzinfo=UTC)) -> None:
        self.moment = start
        self._count = itertools.count(1)

    def now(self) -> datetime:
        return self.moment

    def random_bytes(self, count: int) -> bytes:
        return next(self._count).to_bytes(count, "big")

    def move(self, by: timedelta) -> None:
        self.moment += by
