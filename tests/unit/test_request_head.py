"""The head of a request: what is read of it, what is sent on, and what has two meanings."""

import pytest

from tasks.agents.proxy.request_head import BadRequestError, RequestHead


def head(*lines: str) -> RequestHead:
    """A head of these lines."""
    return RequestHead.parse(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))


@pytest.mark.parametrize(
    ("line", "place"),
    [
        ("CONNECT pypi.org:443 HTTP/1.1", ("pypi.org", 443)),
        ("CONNECT [2606:2800::1]:443 HTTP/1.1", ("2606:2800::1", 443)),
        ("GET http://example.org/a?b HTTP/1.1", ("example.org", 80)),
        ("GET http://example.org:8080/ HTTP/1.0", ("example.org", 8080)),
    ],
)
def test_the_host_is_read_from_the_target(line: str, place: tuple[str, int]) -> None:
    """The header Host says nothing: it may name another one."""
    assert head(line, "Host: other.example.org").place == place


@pytest.mark.parametrize(
    "line",
    [
        "CONNECT pypi.org HTTP/1.1",
        "CONNECT http://pypi.org:443 HTTP/1.1",
        "CONNECT pypi.org:99999 HTTP/1.1",
        "GET /only/a/path HTTP/1.1",
        "GET https://example.org/ HTTP/1.1",
        "GET ftp://example.org/ HTTP/1.1",
        "GET http:///path HTTP/1.1",
    ],
)
def test_a_target_without_a_host_is_refused(line: str) -> None:
    """A proxy of ours speaks plain HTTP, or opens a tunnel."""
    with pytest.raises(BadRequestError):
        _ = head(line).place


@pytest.mark.parametrize(
    "lines",
    [
        ("GET http://example.org/",),
        ("get http://example.org/ HTTP/1.1",),
        ("GET http://example.org/ HTTP/2",),
        ("GET http://example.org/ x HTTP/1.1",),
        ("GET http://example.org/ HTTP/1.1", "no colon"),
        ("GET http://example.org/ HTTP/1.1", " folded: yes"),
        ("GET http://example.org/ HTTP/1.1", "a: b\nc: d"),
        ("GET http://example.org/ HTTP/1.1", "a : b"),
    ],
)
def test_a_malformed_head_is_refused(lines: tuple[str, ...]) -> None:
    """Nothing is guessed, as the host may guess otherwise."""
    with pytest.raises(BadRequestError):
        head(*lines)


@pytest.mark.parametrize(
    "fields",
    [
        ("Content-Length: 3", "Content-Length: 4"),
        ("Content-Length: 3", "Transfer-Encoding: chunked"),
        ("Transfer-Encoding: gzip, chunked",),
        ("Transfer-Encoding: chunked", "Transfer-Encoding: identity"),
        ("Content-Length: +3",),
        ("Content-Length: 3, 3",),
    ],
)
def test_a_body_with_two_lengths_is_refused(fields: tuple[str, ...]) -> None:
    """What is after it would be another request, to the host alone."""
    with pytest.raises(BadRequestError):
        _ = head("POST http://example.org/ HTTP/1.1", *fields).body_bytes


def test_what_is_sent_on_names_the_host_and_asks_once() -> None:
    """Fields of the connection to the proxy stay here, and the connection is for this request alone."""
    sent = head(
        "POST http://example.org/a?b=c HTTP/1.1", "Host: evil.org", "Proxy-Authorization: Basic eA==",
        "Connection: keep-alive", "Content-Length: 2",
    ).sent_to("example.org", replaced={})  # fmt: skip
    assert sent.decode().split("\r\n") == [
        "POST /a?b=c HTTP/1.1", "Host: example.org", "Content-Length: 2", "Connection: close", "", "",
    ]  # fmt: skip


def test_a_secret_replaces_what_the_program_sent() -> None:
    """However the program writes the name of the header, and however often."""
    sent = head("POST /v1/messages HTTP/1.1", "X-Api-Key: held", "x-API-key: other").sent_to(
        "api.anthropic.com", replaced={"x-api-key": "sk-1"}
    )
    assert [line for line in sent.decode().split("\r\n") if "key" in line.lower()] == ["x-api-key: sk-1"]
