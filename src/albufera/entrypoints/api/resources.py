"""Resources and pages of the wire, for the REST of nodes and hubs alike."""

from collections.abc import Callable, Sequence
from typing import Annotated, Any, Generic, TypeVar

from fastapi import Depends, Query, Request, Response
from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from albufera.kernel.pages import DEFAULT_LIMIT, MAX_LIMIT, Page, PageRequest

T = TypeVar("T")
S = TypeVar("S")

PROBLEMS: dict[int | str, dict[str, Any]] = {
    "4XX": {
        "description": "A problem (RFC 9457): code, what happened, what to do.",
        "content": {"application/problem+json": {"schema": {"type": "object"}}},
    },
}
"""The problem responses that every route may give."""


class Resource(BaseModel):
    """Base of what goes over the wire: camelCase names, nothing unknown taken in."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="forbid", from_attributes=True
    )


class ResourcePage(Resource, Generic[T]):
    """A page of resources. `nextAfter` is the value of `after` for the page that follows."""

    items: list[T]
    next_after: str | None = None


def get_page(
    after: Annotated[
        str | None, Query(max_length=400, description="The key after which the page begins.")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = DEFAULT_LIMIT,
) -> PageRequest:
    """Return which page is asked for."""
    return PageRequest(after, limit)


PageDep = Annotated[PageRequest, Depends(get_page)]


def to_page(
    page: Page[S], make: Callable[[S], T], request: Request, response: Response
) -> ResourcePage[T]:
    """Make a wire page of a page of nouns, with its `Link: rel="next"` header."""
    if page.next_after is not None:
        url = request.url.include_query_params(after=page.next_after)
        response.headers["link"] = f'<{url}>; rel="next"'
    items: Sequence[T] = [make(item) for item in page.items]
    return ResourcePage[T](items=list(items), next_after=page.next_after)
