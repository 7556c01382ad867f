"""`coalmine mcp` as a process: an agent reads the fleet, makes a job, and answers a gate."""

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from getpass import getuser
from pathlib import Path
from typing import Any

import pytest
import redis

from console.mcp.acting_tools import ACTING
from console.mcp.reading_tools import READING
from routing.embedded.private_server import PrivateServer
from tasks.agents.mail.address import Author
from tasks.agents.mail.letter import Letter
from tasks.agents.mail.role import Role
from tests.fleets.stepped_fleet import SteppedFleet
from tests.programs.web_process import COALMINE
from tests.waiting import communicated

TOKEN = "0123456789abcdef"  # noqa: S105 - of the test
VERSION = "io.modelcontextprotocol/protocolVersion"
MODERN = {VERSION: "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}}


class Client:
    """A client on the pipes of a process. Each question waits for its answer."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self._asked = 0

    def line(self, text: str) -> Any:
        """The answer to a line."""
        self.notice(text)
        assert self.process.stdout
        return json.loads(self.process.stdout.readline())

    def notice(self, text: str) -> None:
        """Send a line that has no answer."""
        assert self.process.stdin
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()

    def ask(self, method: str, **params: Any) -> Any:
        """The result of a request; a protocol's error is an AssertionError."""
        answer = self.refused(method, **params)
        assert "error" not in answer, answer
        return answer["result"]

    def refused(self, method: str, **params: Any) -> Any:
        """The whole answer to a request."""
        self._asked += 1
        message = {"jsonrpc": "2.0", "id": self._asked, "method": method, "params": params}
        answer = self.line(json.dumps(message))
        assert answer["id"] == self._asked
        return answer

    def call(self, tool: str, **arguments: Any) -> Any:
        """What a tool says."""
        result = self.ask("tools/call", name=tool, arguments=arguments)
        assert not result["isError"], result["content"]
        assert json.loads(result["content"][0]["text"]) == result["structuredContent"]
        return result["structuredContent"]

    def error(self, tool: str, **arguments: Any) -> str:
        """The words with which a tool refuses."""
        result = self.ask("tools/call", name=tool, arguments=arguments)
        assert result["isError"]
        assert "structuredContent" not in result
        return str(result["content"][0]["text"])


@contextmanager
def mcp(redis_url: str, folder: Path, variables: Mapping[str, str] | None = None) -> Iterator[Client]:
    """The process. It ends with its input, quietly."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("COALMINE_")}
    process = subprocess.Popen(
        [COALMINE, "mcp"], cwd=folder, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=clean | {"COALMINE_REDIS_URL": redis_url, **(variables or {})},
    )  # fmt: skip
    try:
        yield Client(process)
    finally:
        said, errors = communicated(process)
    assert (process.returncode, said) == (0, "")
    assert all("person.decided" in line for line in errors.splitlines())


@pytest.fixture
def fleet(redis_client: redis.Redis) -> SteppedFleet:
    """A fleet on trial with a job."""
    made = SteppedFleet(redis_client, draws=[0.9] * 9)
    made.on_trial()
    made.enqueue(title="Sums \x1b[2J")
    return made


def test_an_agent_reads_acts_and_is_noted(
    redis_server: PrivateServer, fleet: SteppedFleet, tmp_path: Path
) -> None:
    """A client of the older revisions, with the acting token."""
    builder = fleet.app.agents.register(role=Role.BUILDER, job="0123456789abcdef").name
    payload = {"options": ["keep", "drop"], "context": "the old table"}
    letter = Letter.checked(to="operator", type_="decision_gate", subject="Drop it?", payload=payload)
    fleet.app.post_office.send(Author(address=builder), letter)
    variables = {"COALMINE_WEB__TOKEN": TOKEN, "COALMINE_MCP_TOKEN": TOKEN}
    with mcp(redis_server.url, tmp_path, variables) as client:
        begun = client.ask(
            "initialize", protocolVersion="2025-06-18", capabilities={}, clientInfo={"name": "editor\x07"}
        )
        assert (begun["protocolVersion"], begun["serverInfo"]["name"]) == ("2025-06-18", "coalmine")
        assert "resultType" not in begun
        client.notice('{"jsonrpc": "2.0", "method": "notifications/initialized"}')
        assert client.ask("ping") == {}
        listed = {tool["name"]: tool for tool in client.ask("tools/list")["tools"]}
        assert set(listed) == {tool.name for tool in (*READING, *ACTING)}
        assert listed["show_job"]["inputSchema"]["required"] == ["job"]
        assert not listed["enqueue"]["annotations"]["readOnlyHint"]
        (job,) = client.call("list_jobs", state=["queued"])["jobs"]
        assert client.call("show_job", job=job["id"])["version"] == "implementer@v1"
        assert client.call("job_log", job=job["id"]) == {"lines": [], "left_out": 0}
        assert client.call("show_trial", trial="implementer")["state"] == "open"
        for tool in (
            "fleet_status",
            "list_workers",
            "list_trials",
            "list_templates",
            "list_issues",
            "list_accounts",
        ):
            client.call(tool)
        client.call("show_template", template="implementer")
        client.call("show_version", version="implementer@v2")
        client.call("compare_versions", version="implementer@v2")
        made = client.call("enqueue", template="implementer", task="Make it pass", key="k", reason="asked")
        assert (
            client.call("enqueue", template="implementer", task="Make it pass", key="k")["created"] is False
        )
        (gate,) = client.call("list_gates")["gates"]
        assert (gate["agent"], gate["job"]) == (builder, "0123456789abcdef")
        gate = gate["mail"]
        assert "does not offer" in client.error("answer_gate", mail=gate["id"], option="sell")
        client.call("answer_gate", mail=gate["id"], option="keep", words="for a year")
        assert client.call("list_gates") == {"gates": []}
        assert "no longer waits" in client.error("answer_gate", mail=gate["id"], option="drop")
        assert "0123456789abcdef" in client.error("show_job", job="0123456789abcdef")
        assert "job: Field required" in client.error("show_job", id="x")
        assert "FORGE" in client.error("show_issue", ref="x")
        assert client.refused("tools/call", name="rm")["error"]["code"] == -32602
        assert client.refused("resources/list")["error"]["code"] == -32601
        assert client.line("{")["error"]["code"] == -32700
        assert client.line("[]")["error"]["code"] == -32600
        assert client.line("x" * 1_100_000)["error"]["code"] == -32600
        assert client.ask("ping") == {}, "a bad message ends nothing"
    assert fleet.app.jobs.find(made["job"]).draw is not None
    noted = [(each.act, each.thing, each.by, each.way, each.reason) for each in fleet.app.decisions.newest(9)]
    who = f"{getuser()} by editor"
    assert noted == [
        ("mail answer", gate["id"], who, "mcp", "keep"), ("enqueue", made["job"], who, "mcp", "asked"),
    ]  # fmt: skip


def test_without_the_token_it_only_reads(
    redis_server: PrivateServer, fleet: SteppedFleet, tmp_path: Path
) -> None:
    """A client of revision 2026-07-28, which names it with each request."""
    before = fleet.everything()
    with mcp(redis_server.url, tmp_path, {"COALMINE_WEB__TOKEN": TOKEN}) as client:
        found = client.ask("server/discover", _meta=MODERN)
        assert found["supportedVersions"] == ["2026-07-28"]
        assert (found["resultType"], found["cacheScope"], found["ttlMs"] > 0) == ("complete", "private", True)
        listed = client.ask("tools/list", _meta=MODERN)
        assert {tool["name"] for tool in listed["tools"]} == {tool.name for tool in READING}
        assert all(tool["annotations"]["readOnlyHint"] for tool in listed["tools"])
        assert (listed["resultType"], listed["cacheScope"]) == ("complete", "private")
        result = client.ask("tools/call", name="fleet_status", arguments={}, _meta=MODERN)
        assert (result["resultType"], result["structuredContent"]["paused"]) == ("complete", None)
        asked = {"template": "implementer", "task": "x"}
        refused = client.ask("tools/call", name="enqueue", arguments=asked, _meta=MODERN)
        assert refused["isError"]
        assert "COALMINE_MCP_TOKEN" in refused["content"][0]["text"]
        unknown = client.refused("tools/list", _meta={VERSION: "2031-01-01"})["error"]
        assert (unknown["code"], unknown["data"]["supported"]) == (-32022, ["2026-07-28"])
    assert fleet.everything() == before


@pytest.mark.long
def test_a_wrong_token_starts_nothing(tmp_path: Path) -> None:
    """One line says which token is meant."""
    ended = subprocess.run(
        [COALMINE, "mcp"], cwd=tmp_path, text=True, capture_output=True, check=False, input="",
        env=os.environ | {"COALMINE_MCP_TOKEN": "f" * 16, "COALMINE_WEB__TOKEN": TOKEN},
    )  # fmt: skip
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "web.token" in ended.stderr
    assert ended.stderr.count("\n") == 1
