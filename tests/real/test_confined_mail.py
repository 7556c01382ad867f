"""Mail from inside a sandbox: an agent sends its own, and reaches no other turn's."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis

from routing.sandbox.profile import SandboxKind
from tasks.agents.mail_socket.server import MailServer, MailTurn
from tasks.agents.sandbox.turn_sandbox import AgentSandboxes
from tests.fleets.post import PostFleet
from tests.real.sandbox_attacks import CONNECT
from tests.real.sandbox_bench import SandboxBench, stand_in_engine

#: Asks the socket of its own command for mail, with a token that is not its own.
FORGED = """\
import json, socket
asked = {{"do": "send", "to": "parent", "subject": "forged", "body": "forged"}}
one = socket.socket(socket.AF_UNIX)
one.connect({socket!r})
one.sendall(json.dumps({{"token": {token!r}, "request": asked}}).encode() + b"\\n")
print(one.makefile().readline())
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Mailing:
    """A worker process with the turns of a builder, in a sandbox, and of its lead."""

    post: PostFleet
    bench: SandboxBench
    server: MailServer
    builder: MailTurn
    lead: MailTurn

    def run(self, line: str, *, sandbox: SandboxKind | None = None) -> str:
        """What the builder's agent prints."""
        files, sockets = self.server.shown(self.builder)
        return self.bench.run(
            f"({line}) 2>&1; true", shown=files, sockets=sockets, sandbox=sandbox
        ).output_tail

    def received(self) -> list[str]:
        """The subjects of what the lead has got."""
        return [mail.subject for mail in self.post.claim(self.lead.agent).mails]


@pytest.fixture(params=[SandboxKind.BUBBLEWRAP, SandboxKind.CONTAINER])
def mailing(request: pytest.FixtureRequest, fake_redis: redis.Redis, tmp_path: Path) -> Iterator[Mailing]:
    """Two open turns."""
    post, bench = PostFleet(fake_redis), SandboxBench(folder=tmp_path, kind=request.param)
    if bench.kind is SandboxKind.CONTAINER:
        bench.sandboxes = AgentSandboxes(engine=stand_in_engine(tmp_path))
    lead, builder = post.pair()
    made = Mailing(
        post=post, bench=bench, server=MailServer(post.office),
        builder=MailTurn(agent=builder, folder=tmp_path / "files" / "builder"),
        lead=MailTurn(agent=lead, folder=tmp_path / "files" / "lead"),
    )  # fmt: skip
    bench.environment = {"COALMINE_MAIL": str(made.server.open(made.builder))}
    made.server.open(made.lead)
    yield made
    made.server.shut()


def test_an_agent_sends_mail_from_inside(mailing: Mailing) -> None:
    """By its command, as its own turn's agent."""
    said = mailing.run('"$COALMINE_MAIL" send --to parent --subject "Which port?" --body "Two are named."')
    (mail,) = mailing.post.claim(mailing.lead.agent).mails
    assert (mail.sender, mail.subject) == (mailing.builder.agent, "Which port?"), said


def test_the_pass_of_another_turn_is_out_of_reach(mailing: Mailing) -> None:
    """Its token is what lets mail be sent as its agent, at its socket, which is not there either."""
    _, (socket,) = mailing.server.shown(mailing.lead)
    for line in (
        f'cat "{mailing.lead.folder}/mail.json" && echo reached',
        f'"{mailing.lead.folder}/mail" send --to {mailing.builder.agent} --subject x && echo reached',
        CONNECT.format(family=1, address=f'"{socket}"'),
    ):
        without, within = mailing.run(line, sandbox=SandboxKind.NONE), mailing.run(line)
        assert "reached" in without, f"the probe itself is broken: {without}"
        assert "reached" not in within, within


def test_the_socket_alone_sends_nothing(mailing: Mailing) -> None:
    """Nor does it with the token of another turn, if an agent had that: the socket is its own turn's."""
    _, (socket,) = mailing.server.shown(mailing.builder)
    lead = json.loads((mailing.lead.folder / "mail.json").read_text())
    script = mailing.bench.folder / "tree" / "forged.py"
    script.parent.mkdir(exist_ok=True)
    for token in ("0" * 64, lead["token"]):
        script.write_text(FORGED.format(socket=str(socket), token=token))
        said = mailing.run("python3 forged.py")
        assert "this turn is over, or was never one of this worker" in said
    assert mailing.received() == []
