"""A form that a person sends: read, and shown to come from a page of ours.

A browser says in `Origin`, and in `Sec-Fetch-Site`, whose page sent a form.
"""

from collections.abc import Mapping
from urllib.parse import parse_qsl, urlsplit

from starlette.exceptions import HTTPException
from starlette.requests import Request

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


def _check_origin(request: Request) -> None:
    origin, site = request.headers.get("origin"), request.headers.get("sec-fetch-site", "same-origin")
    try:
        is_ours = origin is not None and urlsplit(origin).netloc == request.headers.get("host", "")
    except ValueError:
        is_ours = False
    if not is_ours or site != "same-origin":
        raise HTTPException(403, "the form came from another page than ours; nothing was changed")
