"""Listings that come in pages: where the next one is, and whether all were read. Pure."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from requests.utils import parse_header_links

from routing.http.address import ApiAddress
from routing.http.reply import Reply


@dataclass(frozen=True, kw_only=True, slots=True)
class Listing:
    """The items of all pages that were read, as JSON values."""

    items: tuple[Any, ...]
    complete: bool  # False when there were more pages than are read


def next_by_link(address: ApiAddress, url: str, reply: Reply) -> str | None:
    """The page that the `Link` header (RFC 8288) names as next; None when it names none.

    A server behind a proxy may call itself by another name than it is reached by. The token goes to no other
    host: then only the query is taken from the link.
    """
    for link in parse_header_links(reply.headers.get("Link", "")):
        if link.get("rel") == "next" and link.get("url"):
            target = link["url"]
            return target if address.has_origin_of(target) else _with_query(url, urlsplit(target).query)
    return None


def next_by_number(url: str, reply: Reply, *, seen: int | None) -> str | None:
    """The page after this one where the forge sends no link, as Gitea does for some listings.

    Its `X-Total-Count` says whether there is one; without it, or where it counts something else (`seen` is
    None then), only an empty page is the end.
    """
    total = reply.headers.get("X-Total-Count", "")
    if seen is not None and total.isascii() and total.isdigit() and seen >= int(total):
        return None
    query = dict(parse_qsl(urlsplit(url).query))
    page = int(query.get("page", "1")) + 1
    return _with_query(url, urlencode(query | {"page": str(page)}))


def _with_query(url: str, query: str) -> str:
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc, parts.path, query, ""))
