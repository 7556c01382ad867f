"""A form that a person sends: read, and shown to come from a page of ours.

A browser says in `Origin`, and in `Sec-Fetch-Site`, whose page sent a form; the session's CSRF token proves
it besides. A form without a session (signing in) has the first check alone: it changes nothing but the cookie
of the one who sends it.
"""

import hmac
from collections.abc import Mapping
from urllib.parse import parse_qsl, urlsplit

from starlette.exceptions import HTTPException
from starlette.requests import Request

from console.web.people.guard import viewer_of
from console.web.people.session import Viewer
from console.web.request_limits import read_body
from routing.errors import InvalidInputError
from routing.printable import valid

#: Bytes of a form, and fields in it.
MOST_BYTES, MOST_FIELDS = 65_536, 50


async def read_form(request: Request) -> Mapping[str, str]:
    """The fields of a form from a page of ours; 403 for one that another page sent."""
    _check_origin(request)
    body = await read_body(request, most=MOST_BYTES)
    try:
        fields = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MOST_FIELDS)
    except ValueError as error:  # not UTF-8, or too many fields
        raise InvalidInputError("this is not a form of ours; nothing was changed") from error
    return {name: valid(value).replace("\r\n", "\n") for name, value in fields}


def came_over_tls(request: Request) -> bool:
    """Whether the browser that sent a form speaks TLS, maybe to a proxy: what its checked `Origin` says."""
    return urlsplit(request.headers.get("origin", "")).scheme == "https"


async def read_decision(request: Request) -> tuple[Viewer, Mapping[str, str]]:
    """The form of a person who may decide; 403 without the right, or without the session's own token."""
    viewer = viewer_of(request.scope)
    form = await read_form(request)
    if not viewer.may_act:
        raise HTTPException(403, "deciding needs the acting token (web.token); sign in with it")
    if not viewer.csrf or not hmac.compare_digest(viewer.csrf.encode(), form.get("csrf", "").encode()):
        raise HTTPException(403, "the form was not sent from a page of this session; nothing was changed")
    return viewer, form


def _check_origin(request: Request) -> None:
    origin, site = request.headers.get("origin"), request.headers.get("sec-fetch-site", "same-origin")
    try:
        is_ours = origin is not None and urlsplit(origin).netloc == request.headers.get("host", "")
    except ValueError:
        is_ours = False
    if not is_ours or site != "same-origin":
        raise HTTPException(403, "the form came from another page than ours; nothing was changed")
