"""Accounts in sandboxes: the proxy adds the key of the account that was leased, and no agent has it."""

import json
import shlex
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import tests.programs.keyed_agent
from routing.accounts.limit import LimitKind
from routing.embedded.private_server import PrivateServer
from routing.jobs.job import JobRequest, JobState
from routing.sandbox.profile import Injection, SandboxKind, SandboxProfile
from routing.templates.version import Snapshot
from tests.fleets.worker_fleet import fleet, until_state

#: The workers' keys, by the variable that has each; no agent may see one.
KEYS = {"KEY_OF_A": "sk-a-0123456789", "KEY_OF_B": "sk-b-0123456789"}


@dataclass(kw_only=True)
class Provider:
    """A model that serves only some keys."""

    address: str
    serves: set[str] = field(default_factory=set)
    heard: list[str] = field(default_factory=list)  # the keys that it was asked with, in order


@pytest.fixture
def provider() -> Iterator[Provider]:
    """On this machine, beside the sandbox."""
    made = Provider(address="")

    class KeyHandler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            """Keep the output clean."""

        def do_GET(self) -> None:
            key = self.headers.get("x-api-key", "")
            made.heard.append(key)
            self.send_response(200 if key in made.serves else 429)
            self.end_headers()
            self.wfile.write(b"work")

    with ThreadingHTTPServer(("127.0.0.1", 0), KeyHandler) as server:
        made.address = f"127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield made
        server.shutdown()
        thread.join()


def test_the_proxy_adds_the_key_of_the_leased_account(
    tmp_path: Path, provider: Provider, redis_server: PrivateServer
) -> None:
    """The first account has reached its limit, so the job goes on with the second, and with its key."""
    provider.serves = {KEYS["KEY_OF_B"]}
    injection = {
        "host": provider.address, "header": "x-api-key", "secret": "MODEL_KEY", "variable": "MODEL_URL",
        "tls": False,
    }  # fmt: skip
    agent = Snapshot(
        command=shlex.join([sys.executable, str(tests.programs.keyed_agent.__file__)]),
        prompt="work",
        sandbox=SandboxKind.BUBBLEWRAP,
        profile=SandboxProfile(usual_hosts=False, inject=(Injection.model_validate(injection),)),
    )
    accounts = [
        {"name": name, "runtime": "command", "secrets": [f"MODEL_KEY=KEY_OF_{name.upper()}"]} for name in "ab"
    ]
    settings = {"COALMINE_NAMESPACE": "confined-accounts", "COALMINE_ACCOUNT": json.dumps(accounts), **KEYS}
    with fleet(tmp_path, redis_server.url, **settings) as made:
        parts = made.coalmine()
        parts.redis.flushall()
        parts.templates.add("agent", agent)
        job = parts.mailbox.enqueue(JobRequest(template="agent", task="work")).job
        made.worker()
        made.beat()
        ended = until_state(parts, job, JobState.SUCCEEDED, timeout=60)
        said = "\n".join(line.text for line in parts.log_store.read(job))
        (closed,) = parts.breakers.closed()
    assert provider.heard == [KEYS["KEY_OF_A"], KEYS["KEY_OF_B"]]
    assert (ended.account, ended.attempts) == ("command:b", 1)
    assert (closed.account, closed.kind) == ("command:a", LimitKind.USAGE)
    seen = (tmp_path / "work" / ".coalmine" / "scratch" / job / "seen.json").read_text()
    assert json.loads(seen)["own"]["MODEL_KEY"] == "held-by-the-worker"
    for key in KEYS.values():
        assert key not in seen + said
    assert f"network: {provider.address} reached, and MODEL_KEY added" in said
