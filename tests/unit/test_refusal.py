"""Which errors of a model's API are about the conversation, so that only a new one helps."""

import pytest

from tasks.agents.runtimes.agent_event import ApiErrorEvent, ResultEvent
from tasks.agents.runtimes.refusal import is_refusal, refusal
from tasks.agents.runtimes.registry import runtime_for
from tasks.agents.runtimes.runtime import RuntimeSpec, Seen
from tasks.agents.turn.tally import TurnTally

#: As the APIs of several makers, and programs, say it.
REFUSED = [
    (400, "prompt is too long: 208310 tokens > 200000 maximum"),
    (400, "input length and `max_tokens` exceed context limit: 199000 + 32000 > 200000"),
    (400, "messages.7: `tool_use` ids were found without `tool_result` blocks immediately after: toolu_01"),
    (400, "messages.3.content.0: unexpected `tool_use_id` found in `tool_result` blocks: toolu_02"),
    (400, "The request body is not valid JSON: no low surrogate in string: line 1 column 301"),
    (400, "messages.5.content.1.image.source.base64: image exceeds 5 MB maximum: 7 MB > 5 MB"),
    (
        400,
        "At least one of the image dimensions exceed max allowed size for many-image requests: 2000 pixels",
    ),
    (400, "Could not process image"),
    (400, "messages.1.content.0: Invalid `signature` in `thinking` block"),
    (400, "thinking or redacted_thinking blocks in the latest assistant message cannot be modified"),
    (400, "messages: text content blocks must be non-empty"),
    (413, "Request too large (max 32MB). Accumulated images pushed the request over the limit."),
    (400, "stub error 400"),
    (
        None,
        "This model's maximum context length is 128000 tokens. However, your messages resulted in 130000.",
    ),
    (None, "Codex ran out of room in the model's context window. Start a new thread."),
    (None, '{"error": {"code": "context_length_exceeded", "type": "invalid_request_error"}}'),
    (400, "No tool output found for function call call_abc."),
    (400, "Item 'rs_1' of type 'reasoning' was provided without its required following item."),
    (400, "An assistant message with 'tool_calls' must be followed by tool messages"),
    (404, "Item with id 'rs_68' not found. Items are not persisted when `store` is set to false."),
    (400, "Please ensure that function call turn comes immediately after a user turn"),
    (400, "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576)."),
    (None, "Prompt is too long"),
]
#: Errors that a new conversation would meet as well, or that pass.
OTHERS = [
    (401, "invalid x-api-key"),
    (403, "messages.3: forbidden"),
    (404, "There's an issue with the selected model (claude-9). It may not exist."),
    (400, "Your credit balance is too low to access the Anthropic API."),
    (400, "API key not valid. Please pass a valid API key."),
    (400, "This organization has been disabled."),
    (400, "The requested model is not supported"),
    (429, "Number of request tokens has exceeded your per-minute rate limit"),
    (None, "Number of input tokens has exceeded your rate limit"),
    (500, "Internal server error: messages"),
    (529, "Overloaded"),
    (None, "connection refused"),
    (None, "fetch failed"),
]


@pytest.mark.parametrize(("status", "message"), REFUSED)
def test_an_api_refuses_a_conversation(status: int | None, message: str) -> None:
    """It is too long, or holds what no model takes."""
    assert is_refusal(message, status)


@pytest.mark.parametrize(("status", "message"), OTHERS)
def test_other_errors_are_not_about_the_conversation(status: int | None, message: str) -> None:
    """Accounts, models and outages."""
    assert not is_refusal(message, status)


#: What each program prints about a conversation that is too long.
PRINTED = {
    "claude": '{"type": "result", "subtype": "success", "is_error": true, "api_error_status": 400,'
    ' "result": "API Error: 400 prompt is too long"}',
    "codex": '{"type": "turn.failed", "error": {"message": "{\\"code\\": \\"context_length_exceeded\\"}"}}',
    "gemini": '{"type": "result", "status": "error", "error": {"message": "[API Error: {\\"error\\":'
    '{\\"code\\":400,\\"message\\":\\"The input token count exceeds the maximum number of tokens\\"}}]"}}',
    "opencode": '{"type": "error", "sessionID": "s", "error": {"name": "APIError", "data":'
    ' {"message": "prompt is too long", "statusCode": 400}}}',
    "command": "API Error: 400 prompt is too long",
}


@pytest.mark.parametrize("name", PRINTED)
def test_the_refusal_is_found_in_what_every_program_prints(name: str) -> None:
    """By its events, or by its last words where it knows none for that."""
    runtime, tally = runtime_for(RuntimeSpec(runtime=name, command="agent")), TurnTally()
    for event in runtime.parse(PRINTED[name]):
        tally.add(event)
    assert refusal(tally.seen(), tally.tail.text)


def test_words_of_work_do_not_count_as_a_refusal() -> None:
    """An agent that failed while it worked on such a thing goes on with its conversation."""
    assert not refusal(Seen(), "I have changed the tool_use block\nmake: *** failed")
    failed = ResultEvent(text="the tests fail", is_error=True)
    assert not refusal(Seen(result=failed), "the tests fail")
    limit = ApiErrorEvent(message="rate limit", status=429)
    assert not refusal(Seen(api_error=limit, result=failed), "error: prompt is too long")
