"""Whether the model's API refused a conversation: then no attempt in that conversation can succeed.

A conversation becomes too long, or holds what no model takes: a tool call without its result, half a
character, an image that is too large, a signature of another model. All programs pass on the words of the
API, some its HTTP status; a program that knows neither is judged by its last words. Pure.
"""

import re
from collections.abc import Sequence
from typing import Final

from tasks.agents.runtimes.runtime import Seen

#: Statuses with which an API refuses what it was sent; 404: a part of the conversation is not there any more.
_BAD_REQUEST: Final = frozenset({400, 413, 422})
_MAYBE: Final = _BAD_REQUEST | {404}

#: The same in words, where no status is given.
_BAD_REQUEST_WORDS: Final = re.compile(
    r"invalid_request|invalid_argument|bad request|\b(?:400|413|422)\b", re.IGNORECASE
)

#: Limits of an account: they pass, and the conversation is sound.
_LIMIT: Final = re.compile(
    r"rate.?limit|per[ -](?:minute|hour|day)|quota|billing|credit|overloaded|usage limit", re.IGNORECASE
)

#: What makes a conversation as such unfit, in the words of Anthropic, OpenAI, Google and those that speak as
#: they do.
_CONVERSATION: Final = re.compile(
    r"too long|context.{0,30}(?:length|window|limit|size|overflow)|exceeds?.{0,40}context"
    r"|maximum (?:context|prompt|number of (?:input )?tokens)|too many (?:input )?tokens"
    r"|(?:input|prompt) tokens?.{0,60}exceed|exceed.{0,60}(?:input|prompt|number of) tokens?"
    r"|request.{0,8}too.?large|(?:input|payload|request body).{0,20}too large"
    r"|tool_?use|tool_?result|tool_?calls?\b|tool call|tool output|function.?(?:call|response)"
    r"|\bmessages?[.\[]\d|\bcontents?[.\[]\d|\binput\[\d|messages? (?:must|with role)|roles? must|alternate"
    r"|(?:first|last|final|preceding|previous) (?:assistant |user )?(?:message|turn|block)|prefill"
    r"|surrogate|not valid json|invalid (?:unicode|utf)"
    r"|thinking.{0,40}(?:block|signature|cannot|must|expected)|signature|encrypted[ _]content"
    r"|reasoning.{0,80}(?:without|required)|required following item|previous_response|item .{0,80}not found"
    r"|non-?empty|non-whitespace|(?:content|text|message)s? (?:is|are|must not be|cannot be) empty"
    r"|image.{0,80}(?:exceed|too large|too big|dimension|process|invalid|maximum)"
    r"|(?:exceed|process|invalid|too many|max).{0,40}(?:image|media|pdf|document)|accumulated images",
    re.IGNORECASE,
)

#: What else a bad request can be about, so that a new conversation changes nothing.
_OTHER: Final = re.compile(
    r"api.?key|auth|organi[sz]ation|account|model|beta|region|location|country|permission|policy",
    re.IGNORECASE,
)

#: The last words of a program are about an error if they say so.
_ERROR: Final = re.compile(
    r"error|invalid|exceed|too (?:long|large|many)|\b4\d\d\b|must|refus", re.IGNORECASE
)

#: Lines of the last words that are looked at, and characters that are kept of a refusal.
_LAST_LINES: Final = 5
_WORDS: Final = 300


def is_refusal(message: str, status: int | None = None) -> bool:
    """Whether an error of the API is about the conversation that it was sent; `status` is HTTP's."""
    if (status is not None and status not in _MAYBE) or _LIMIT.search(message):
        return False
    if _CONVERSATION.search(message):
        return True
    bad = status in _BAD_REQUEST or (status is None and _BAD_REQUEST_WORDS.search(message) is not None)
    return bad and not _OTHER.search(message)


def refusal(seen: Seen, last_words: str) -> str:
    """In which words the API refused the conversation of a turn that was not clean; "" if it did not."""
    error, result = seen.api_error, seen.result
    if error is not None:
        return error.message[:_WORDS] or "bad request" if is_refusal(error.message, error.status) else ""
    lines: Sequence[str] = last_words.splitlines()[-_LAST_LINES:]
    said = [line for line in lines if _ERROR.search(line) and _CONVERSATION.search(line)]
    if result is not None and result.is_error and result.text:
        said = [result.text, *said]
    return next((line[:_WORDS] for line in said if is_refusal(line)), "")
