"""`/answer/MAIL?key=…`: an agent's question, answered by the link of a notification, without signing in.

The link is signed, ends after a day, and answers its one mail once; whatever is wrong with it, nothing is
answered. Opening it changes nothing, as programs that read messages open links too: the form on it answers,
and asks who does. The key is in no path, so no log has it, and other hosts get no referrer.
"""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

from console.decisions.mail_decisions import answer_mail
from console.decisions.noting import DecisionDoor, note_decision
from console.details.gate_lines import read_mail
from console.web.people.form import read_form
from console.web.people.page_answers import page
from console.web.people.session import LONGEST_NAME
from console.web.request_limits import decided_in_thread, in_thread
from routing.errors import InvalidInputError
from routing.printable import printable
from tasks.composition.composition import Coalmine
from tasks.composition.notify_parts import links_of

#: Characters of a reason that is noted.
_LONGEST_NOTE = 500

_REFUSED = (
    "this link answers nothing: it has ended, or is not whole. Sign in, and answer on the page of the mail"
)


def answer_routes(parts: Coalmine) -> APIRouter:
    """The routes; without `web.link_secret` no link is right."""
    router = APIRouter(include_in_schema=False)
    links = links_of(parts.settings)

    def check(mail: str, key: str) -> None:
        if not links.allows(mail, key, now=parts.now()):
            raise HTTPException(403, _REFUSED)

    async def shown(request: Request, mail: str, key: str, *, answered: str = "") -> Response:
        def read() -> dict[str, Any]:
            check(mail, key)
            return {"found": read_mail(parts, mail, most=1), "now": parts.now()}

        found = await in_thread(read)
        return page(request, "answer", here="", key=key, answered=answered, **found)

    @router.get("/answer/{mail}")
    async def ask(request: Request, mail: str, key: Annotated[str, Query(max_length=200)] = "") -> Response:
        return await shown(request, mail, key)

    @router.post("/answer/{mail}")
    async def answer(request: Request, mail: str) -> Response:
        form = await read_form(request)
        key, option, words = (form.get(name, "") for name in ("key", "option", "words"))
        name = " ".join(printable(form.get("name", "")).split())[:LONGEST_NAME]

        def made() -> None:
            check(mail, key)
            if not name:
                raise InvalidInputError("say who you are; nothing was answered")
            answer_mail(parts, mail, option=option, words=words, by=name)
            note_decision(
                parts, "mail answer", mail, by=name, way=DecisionDoor.LINK,
                reason=" ".join(printable(option or words).split())[:_LONGEST_NOTE],
            )  # fmt: skip

        await decided_in_thread(made)
        return await shown(request, mail, key, answered=name)

    return router
