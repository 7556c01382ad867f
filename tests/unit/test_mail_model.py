"""Mail against a simple model: each mail is delivered, dead or waits, whatever turns of its agent do."""

from dataclasses import dataclass
from typing import Any

import fakeredis
from hypothesis import settings
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule
from hypothesis.strategies import booleans, integers, sampled_from

from tasks.agents.mail.mail import MailClaim
from tasks.agents.mail.post_office import MOST_ATTEMPTS
from tests.fleets.post import ADA, PostFleet

LEASE = 30.0


@dataclass
class ModelledMail:
    """A mail, as the model has it."""

    to: str
    state: str = "queued"
    fence: int = 0  # of the last claim
    until: float = 0.0  # the end of that claim's lease
    attempts: int = 0


class MailMachine(RuleBasedStateMachine):
    """Two agents with turns that end well, badly or not at all, and a person who writes to them."""

    claims = Bundle("claims")

    def __init__(self) -> None:
        super().__init__()
        self.client = fakeredis.FakeRedis(decode_responses=True, server=fakeredis.FakeServer())
        self.post = PostFleet(self.client)
        self.agents = self.post.pair()
        self.model: dict[str, ModelledMail] = {}
        self.keyed: dict[tuple[str, int], str] = {}  # the mail of each recipient and dedupe key

    def teardown(self) -> None:
        """No key lives for ever."""
        assert self.post.leaks() == []
        self.client.close()

    @rule(to=integers(0, 1), key=integers(0, 3))
    def send(self, to: int, key: int) -> None:
        """A mail under a key that was used is not a second one; 0 is none."""
        name = self.agents[to]
        receipt = self.post.send(ADA, name, dedupe_key=f"k{key}" if key else "")
        before = self.keyed.get((name, key)) if key else None
        assert receipt.created == (before is None)
        assert before in {None, receipt.id}
        if key:
            self.keyed[name, key] = receipt.id
        self.model.setdefault(receipt.id, ModelledMail(to=name))

    @rule(target=claims, to=integers(0, 1))
    def claim(self, to: int) -> MailClaim:
        """A turn gets what waits, and what an earlier turn did not settle in its time."""
        name, now = self.agents[to], self.post.clock()
        found = self.post.claim(name, lease_seconds=LEASE)
        due = set()
        for mail, known in self._of(name):
            lost = known.state == "claimed" and known.until <= now
            if lost and known.attempts >= MOST_ATTEMPTS:
                known.state = "dead"
            elif lost or known.state == "queued":
                due.add(mail)
                known.state, known.fence, known.until = "claimed", found.fence, now + LEASE
                known.attempts += 1
        assert set(found.ids) == due
        return found

    @rule(target=claims, to=integers(0, 1))
    def overtake(self, to: int) -> Any:
        """A turn that stands still for longer than its lease finds that another has its mail."""
        found: Any = self.claim(to)
        self.wait(LEASE + 1)
        self.claim(to)
        return found

    @rule(claim=claims)
    def renew(self, claim: MailClaim) -> None:
        """A claim can be extended while no other turn has its mail."""
        mine = [self.model[mail] for mail in claim.ids if self._holds(claim, mail)]
        assert self.post.office.renew(claim, lease_seconds=LEASE) == (len(mine) == len(claim.ids))
        for known in mine:
            known.until = self.post.clock() + LEASE

    @rule(claim=consumes(claims))
    def ack(self, claim: MailClaim) -> None:
        """A turn that ended well has delivered what is still its own."""
        mine = [self.model[mail] for mail in claim.ids if self._holds(claim, mail)]
        assert self.post.office.ack(claim) == (len(mine) == len(claim.ids))
        for known in mine:
            known.state = "acked"

    @rule(claim=consumes(claims), counts=booleans())
    def put_back(self, claim: MailClaim, counts: bool) -> None:  # noqa: FBT001 - hypothesis draws it
        """One that did not leaves it to the next, but for mail that too many had."""
        dead = set()
        for mail in claim.ids:
            known = self.model[mail]
            if self._holds(claim, mail):
                is_dead = counts and known.attempts >= MOST_ATTEMPTS
                known.state = "dead" if is_dead else "queued"
                known.attempts -= not counts
                dead |= {mail} if is_dead else set()
        assert set(self.post.office.put_back(claim, reason="r", counts=counts)) == dead

    @rule(seconds=sampled_from([1.0, LEASE / 2, LEASE + 1]))
    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.post.clock.forward(seconds)

    @invariant()
    def the_records_say_what_the_model_says(self) -> None:
        """The state of each mail, and which agents are to be woken."""
        for mail, known in self.model.items():
            assert self.post.office.find(mail).state == known.state
        due, at_work = set(), set()
        for known in self.model.values():
            if known.state == "queued" or (known.state == "claimed" and known.until <= self.post.clock()):
                due.add(known.to)
            elif known.state == "claimed":
                at_work.add(known.to)
        listed = set(self.post.office.agents_with_mail(10))
        assert due - at_work <= listed <= due, "while a turn has mail, the agent need not be woken for more"

    def _of(self, name: str) -> list[tuple[str, ModelledMail]]:
        return [(mail, known) for mail, known in self.model.items() if known.to == name]

    def _holds(self, claim: MailClaim, mail: str) -> bool:
        known: Any = self.model[mail]
        return bool(known.state == "claimed" and known.fence == claim.fence)


MailMachine.TestCase.settings = settings(max_examples=12, stateful_step_count=25)
TestMailAgreesWithItsModel = MailMachine.TestCase
