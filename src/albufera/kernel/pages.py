"""Keyset pages: the next page starts after the last key seen, whatever was added meanwhile."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")

DEFAULT_LIMIT = 50
MAX_LIMIT = 500


@dataclass(frozen=True)
class PageRequest:
    """`after` is the key of the last item of the page before, `limit` the size wanted."""

    after: str | None = None
    limit: int = DEFAULT_LIMIT


@dataclass(frozen=True)
class Page(Generic[T]):
    """Some items, and the key from which the next page goes on (None at the end)."""

    items: Sequence[T]
    next_after: str | None


def cut(rows: Sequence[T], request: PageRequest, key: Callable[[T], str]) -> Page[T]:
    """Make a page of rows that were asked for with `limit + 1`, to see whether more follow."""
    items = rows[: request.limit]
    more = len(rows) > request.limit
    return Page(items, key(items[-1]) if more and items else None)
