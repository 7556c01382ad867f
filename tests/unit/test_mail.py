"""Mail on its way: sending, groups, threads, claims, settling, and what ends a task."""

import json
from itertools import permutations
from typing import Any

import pytest
import redis

from routing.errors import CoalmineError, CorruptRecordError, InvalidInputError
from routing.events import MAIL_SENT
from tasks.agents.agent_registry import FinishedAgentError, UnknownAgentError
from tasks.agents.mail.address import FLEET, Author, EmptyGroupError, UnknownGroupError
from tasks.agents.mail.letter import Letter
from tasks.agents.mail.mail import MOST_BODY_BYTES, Mail, MailState, MailType
from tasks.agents.mail.payloads import PayloadError
from tasks.agents.mail.post_office import MOST_ATTEMPTS, MOST_WAITING
from tasks.agents.mail.receipt import (
    MailboxFullError,
    NobodyReadsError,
    ReservedTypeError,
    UnknownMailError,
)
from tasks.agents.mail.role import Role
from tasks.agents.supervision.worker_died import has_said
from tests.fleets.post import ADA, DONE, RETENTION, PostFleet

GATE = {"options": ["yes", "no"], "context": "drop the table?"}


@pytest.fixture
def post(redis_client: redis.Redis) -> PostFleet:
    """An empty post office."""
    return PostFleet(redis_client)


def test_a_mail_waits_as_it_was_sent(post: PostFleet) -> None:
    """Sender, type, words and fields are those of the letter; the event is in the same step."""
    lead, builder = post.pair()
    sent = post.send(
        builder, lead, type_="escalation", body="look", payload={"severity": "error", "context": "c"}
    )
    mail = post.find(sent)
    assert (mail.sender, mail.recipient, mail.type, mail.body) == (builder, lead, "escalation", "look")
    assert mail.payload == {"severity": "error", "task_id": None, "context": "c"}
    assert (mail.state, mail.thread, mail.task) == (MailState.QUEUED, mail.id, "0123456789abcdef")
    (event,) = post.events(MAIL_SENT)
    assert event.subject == mail.id
    assert event.data == {"from": builder, "to": lead, "type": "escalation", "priority": "normal"}


@pytest.mark.parametrize(
    ("letter", "error"),
    [
        ({"type_": "gossip"}, InvalidInputError),
        ({"priority": "asap"}, InvalidInputError),
        ({"type_": "worker_done"}, PayloadError),
        ({"type_": "worker_died"}, ReservedTypeError),
        ({"subject": "", "body": " \x1b[0m"}, InvalidInputError),
        ({"subject": "x" * 201}, InvalidInputError),
        ({"body": "é" * MOST_BODY_BYTES}, InvalidInputError),
        ({"dedupe_key": "x" * 501}, InvalidInputError),
    ],
)
def test_a_wrong_letter_writes_nothing(
    post: PostFleet, letter: dict[str, str], error: type[CoalmineError]
) -> None:
    """Each is refused by name before anything changes."""
    lead, builder = post.pair()
    before = post.everything()
    with pytest.raises(error):
        post.send(builder, lead, **letter)
    assert post.everything() == before


def test_parent_is_the_agent_that_asked_for_the_sender(post: PostFleet) -> None:
    """An agent need not know the name; where no agent asked for it, people did."""
    lead, builder = post.pair()
    assert post.send(builder, "parent").recipient == lead
    assert post.send(lead, "parent").recipient == "operator"
    with pytest.raises(NobodyReadsError, match="only an agent"):
        post.send(ADA, "parent")


@pytest.mark.parametrize(
    ("to", "error"),
    [
        ("builder-01234567", NobodyReadsError),
        ("coalmine", NobodyReadsError),
        ("nobody", UnknownAgentError),
        ("../etc", InvalidInputError),
        ("", InvalidInputError),
        ("@wizards", UnknownGroupError),
        ("@monitors", EmptyGroupError),
        ("@builders", EmptyGroupError),
    ],
)
def test_a_wrong_recipient_writes_nothing(post: PostFleet, to: str, error: type[CoalmineError]) -> None:
    """Oneself, nobody, an unknown group, and a group of nobody but the sender."""
    _, builder = post.pair()
    before = post.everything()
    with pytest.raises(error):
        post.send(builder, to)
    assert post.everything() == before


def test_mail_to_a_finished_agent_is_refused(post: PostFleet) -> None:
    """So is mail from one: its process should be gone."""
    lead, builder = post.pair()
    post.agents.finish(builder, reason="completed")
    before = post.everything()
    with pytest.raises(FinishedAgentError, match=f"{builder} has finished and takes"):
        post.send(lead, builder)
    with pytest.raises(FinishedAgentError, match=f"{builder} has finished and sends"):
        post.send(builder, lead)
    assert post.everything() == before


def test_a_full_mailbox_refuses_all_but_coalmine(post: PostFleet) -> None:
    """One message must hold it all; a death is reported in any case."""
    agent = post.agent().name
    for number in range(MOST_WAITING):
        post.send(ADA, agent, subject=str(number))
    with pytest.raises(MailboxFullError, match=agent):
        post.send(ADA, agent)
    assert post.send(FLEET, agent).created
    assert len(post.claim(agent).mails) == MOST_WAITING + 1
    assert post.send(ADA, agent).created


def test_a_group_is_all_live_agents_of_its_role_without_the_sender(post: PostFleet) -> None:
    """Each gets a mail of its own in one thread."""
    names = [post.agent(job=str(number) * 16).name for number in range(4)]
    lead = post.agent(Role.LEAD, "9" * 16).name
    post.agents.finish(names[3], reason="done")
    mails = [post.find(receipt) for receipt in post.send_all(ADA, "@builders")]
    assert [mail.recipient for mail in mails] == names[:3]
    assert {mail.thread for mail in mails} == {mails[0].id}
    assert {mail.group for mail in mails} == {"@builders"}
    assert [receipt.recipient for receipt in post.send_all(names[0], "@all")] == [names[1], names[2], lead]


def test_mail_is_delivered_by_priority_then_sequence(post: PostFleet) -> None:
    """In whatever order it was sent."""
    agent = post.agent().name
    for order in permutations(("urgent", "high", "normal", "low")):
        for priority in (*order, "normal"):
            post.send(ADA, agent, priority=priority, subject=priority)
        mails = post.claim(agent).mails
        assert [mail.subject for mail in mails] == ["urgent", "high", "normal", "normal", "low"]
        assert mails[2].sequence < mails[3].sequence


def test_a_claim_has_all_that_waits_and_nobody_else_gets_it(post: PostFleet) -> None:
    """A second turn finds nothing; mail that comes later is its own."""
    agent = post.agent().name
    first, second = post.send(ADA, agent), post.send(ADA, agent)
    claim = post.claim(agent)
    assert claim.ids == [first.id, second.id]
    assert post.claim(agent).ids == []
    third = post.send(ADA, agent)
    later = post.claim(agent)
    assert later.ids == [third.id]
    assert later.fence > claim.fence
    assert post.find(first).state is MailState.CLAIMED


def test_an_empty_mailbox_is_not_a_claim(post: PostFleet) -> None:
    """Nothing is written when there is nothing to say; who is unknown or finished has no mailbox."""
    agent = post.agent().name
    before = post.everything()
    claim = post.claim(agent)
    assert claim.mails == []
    assert post.office.ack(claim) is True
    assert post.everything() == before
    post.agents.finish(agent, reason="done")
    with pytest.raises(FinishedAgentError):
        post.claim(agent)
    with pytest.raises(UnknownAgentError):
        post.claim("nobody")


def test_acked_mail_is_delivered_for_good(post: PostFleet) -> None:
    """It is not claimed again, not even when the lease has run out; acking twice is stale."""
    agent = post.agent().name
    sent = post.send(ADA, agent)
    claim = post.claim(agent)
    assert post.office.ack(claim) is True
    assert post.find(sent).state is MailState.ACKED
    post.clock.forward(100)
    assert post.claim(agent).ids == []
    before = post.everything()
    assert post.office.ack(claim) is False
    assert post.everything() == before


def test_mail_of_an_unclean_turn_waits_in_its_old_place(post: PostFleet) -> None:
    """It is before what came later."""
    agent = post.agent().name
    first = post.send(ADA, agent)
    claim = post.claim(agent)
    second, urgent = post.send(ADA, agent), post.send(ADA, agent, priority="urgent")
    assert post.office.put_back(claim, reason="crashed") == []
    assert post.find(first).reason == "crashed"
    again = post.claim(agent)
    assert again.ids == [urgent.id, first.id, second.id]
    assert [mail.attempts for mail in again.mails] == [1, 2, 1]


def test_a_mail_is_dead_after_its_attempts(post: PostFleet) -> None:
    """Others are not held up by it; a person finds it on the list."""
    agent = post.agent().name
    sent = post.send(ADA, agent)
    for attempt in range(1, MOST_ATTEMPTS + 1):
        claim = post.claim(agent)
        assert claim.mails[0].attempts == attempt
        dead = post.office.put_back(claim, reason="crashed")
    assert dead == [sent.id]
    assert post.claim(agent).ids == []
    assert [mail.id for mail in post.office.dead(10)] == [sent.id]
    mail = post.find(sent)
    assert (mail.state, mail.reason) == (MailState.DEAD, "crashed, attempt 5 of 5")


def test_what_was_not_an_attempt_does_not_count(post: PostFleet) -> None:
    """However often it happens, the mail waits in its old place; the attempts before and after it count."""
    agent = post.agent().name
    sent = post.send(ADA, agent)
    for _ in range(MOST_ATTEMPTS - 1):
        post.office.put_back(post.claim(agent), reason="crashed")
    for _ in range(MOST_ATTEMPTS):
        assert post.office.put_back(post.claim(agent), reason="not started", counts=False) == []
    mail = post.find(sent)
    assert (mail.state, mail.attempts) == (MailState.QUEUED, MOST_ATTEMPTS - 1)
    assert post.office.put_back(post.claim(agent), reason="crashed") == [sent.id]


def test_mail_of_a_lost_turn_is_claimed_again(post: PostFleet) -> None:
    """The lease runs out; the stale turn can neither ack it nor put it back."""
    agent = post.agent().name
    sent = post.send(ADA, agent)
    lost = post.claim(agent, lease_seconds=30)
    post.clock.forward(29)
    assert post.claim(agent).ids == []
    post.clock.forward(2)
    heir = post.claim(agent)
    assert heir.ids == [sent.id]
    before = post.everything()
    assert post.office.ack(lost) is False
    post.office.put_back(lost, reason="late")
    assert post.office.renew(lost, lease_seconds=30) is False
    assert post.everything() == before
    assert post.office.ack(heir) is True


def test_a_claim_may_be_made_again(post: PostFleet) -> None:
    """Where its answer was lost, the same call has what it claimed, and what came since; as one attempt."""
    agent = post.agent().name
    post.send(ADA, agent)
    first = post.office.claim(agent, lease_seconds=30, call_id="one")
    assert post.office.claim(agent, lease_seconds=30, call_id="two").ids == []
    post.send(ADA, agent, subject="more")
    again = post.office.claim(agent, lease_seconds=30, call_id="one")
    assert (again.fence, len(again.ids)) == (first.fence, 2)
    assert [event.data["mails"] for event in post.events("mail.claimed")] == [1, 1]
    assert post.office.renew(again, lease_seconds=30)
    assert post.office.ack(again)
    assert post.office.claim(agent, lease_seconds=30, call_id="one").ids == []


def test_mail_of_five_lost_turns_is_dead(post: PostFleet) -> None:
    """A mail that kills every turn does not come back for ever."""
    agent = post.agent().name
    sent = post.send(ADA, agent)
    for _ in range(MOST_ATTEMPTS):
        assert post.claim(agent, lease_seconds=30).ids == [sent.id]
        post.clock.forward(31)
    assert post.claim(agent).ids == []
    assert post.find(sent).state is MailState.DEAD


def test_a_renewed_claim_is_kept(post: PostFleet) -> None:
    """A turn of an hour keeps its mail with a lease of seconds, and one that ended until a turn claims it."""
    agent = post.agent().name
    post.send(ADA, agent)
    claim = post.claim(agent, lease_seconds=30)
    post.clock.forward(20)
    assert post.office.renew(claim, lease_seconds=30) is True
    post.clock.forward(20)
    assert post.claim(agent).ids == []
    post.clock.forward(20)
    assert post.office.renew(claim, lease_seconds=30) is True
    post.clock.forward(31)
    assert post.claim(agent).ids == claim.ids
    assert post.office.renew(claim, lease_seconds=30) is False


def test_agents_with_mail_are_those_that_no_turn_serves(post: PostFleet) -> None:
    """Who waits is found without looking at every mailbox, and again when a turn is lost."""
    agent = post.agent().name
    assert post.office.agents_with_mail(10) == []
    post.send(ADA, agent)
    assert post.office.agents_with_mail(10) == [agent]
    claim = post.claim(agent, lease_seconds=30)
    assert post.office.agents_with_mail(10) == []
    post.clock.forward(31)
    assert post.office.agents_with_mail(10) == [agent]
    claim = post.claim(agent)
    post.send(ADA, agent)
    post.office.ack(claim)
    assert post.office.agents_with_mail(10) == [agent]
    post.office.ack(post.claim(agent))
    assert post.office.agents_with_mail(10) == []


def test_a_repeated_send_is_one_mail(post: PostFleet) -> None:
    """The key is the sender's own, for each recipient; it holds when the first mail is long delivered."""
    lead, builder = post.pair()
    first = post.send(builder, lead, dedupe_key="k", subject="one")
    post.office.ack(post.claim(lead))
    before = post.everything()
    again = post.send(builder, lead, dedupe_key="k", subject="two")
    assert (again.id, again.created, first.created) == (first.id, False, True)
    assert post.everything() == before
    assert post.send(ADA, lead, dedupe_key="k").created
    assert post.send(builder, "operator", dedupe_key="k").created


def test_a_repeated_send_to_a_group_reaches_only_who_is_new(post: PostFleet) -> None:
    """Each member has the mail once."""
    post.agent(job="1" * 16)
    post.send_all(ADA, "@builders", dedupe_key="k")
    post.agent(job="2" * 16)
    assert [receipt.created for receipt in post.send_all(ADA, "@builders", dedupe_key="k")] == [False, True]


def test_a_reply_goes_to_the_other_side_in_the_thread(post: PostFleet) -> None:
    """From either side; with the type and the priority of what it answers."""
    lead, builder = post.pair()
    question = post.send(builder, lead, type_="question", priority="high", subject="which?")
    answer = post.reply(lead, question)
    assert (answer.sender, answer.recipient, answer.subject) == (lead, builder, "Re: which?")
    assert (answer.type, answer.priority, answer.reply_to) == ("question", "high", question.id)
    more = post.reply(builder, question, body="well?")
    assert (more.sender, more.recipient, more.thread) == (builder, lead, question.id)
    thread = post.office.newest(10, thread=question.id)
    assert [mail.id for mail in thread] == [more.id, answer.id, question.id]


def test_a_reply_does_not_inherit_what_ends_a_task(post: PostFleet) -> None:
    """Nor a type whose fields it lacks; it may name one itself."""
    lead, builder = post.pair()
    done = post.send(builder, lead, type_="worker_done", payload=DONE)
    assert post.reply(lead, done).type is MailType.STATUS
    result = post.send(builder, lead, type_="result")
    assert post.reply(builder, result).type is MailType.STATUS
    gate = post.send(builder, "operator", type_="decision_gate", payload=GATE)
    assert post.reply(ADA, gate).type is MailType.STATUS
    named = post.reply(builder, gate, type_="worker_done", payload=DONE)
    assert named.type is MailType.WORKER_DONE


def test_only_the_two_sides_can_read_and_reply(post: PostFleet) -> None:
    """To a third agent the mail does not exist."""
    lead, builder = post.pair()
    other = post.agent(job="7" * 16).name
    sent = post.send(builder, lead)
    assert post.office.find(sent.id, reader=lead) == post.office.find(sent.id, reader=builder)
    with pytest.raises(UnknownMailError):
        post.office.find(sent.id, reader=other)
    with pytest.raises(UnknownMailError):
        post.reply(other, sent)
    with pytest.raises(InvalidInputError, match="16 hex"):
        post.office.find("*")


def test_mail_to_people_waits_until_one_reads_it(post: PostFleet) -> None:
    """No turn claims it; it is read once, or answered, which is reading."""
    _, builder = post.pair()
    first, second = post.send(builder, "operator"), post.send(builder, "operator")
    assert post.office.agents_with_mail(10) == []
    assert post.office.seen(post.find(first), by="ada") is True
    assert post.office.seen(post.find(first), by="bob") is False
    assert post.find(first).state is MailState.ACKED
    post.reply(ADA, second)
    assert post.find(second).state is MailState.ACKED


def test_an_agent_waits_at_its_gate_until_a_person_answers(post: PostFleet) -> None:
    """Reading is not deciding, and another agent's answer is not a person's."""
    lead, builder = post.pair()
    gate = post.send(builder, "operator", type_="decision_gate", payload=GATE)
    assert post.agents.find(builder).gate == gate.id
    post.office.seen(post.find(gate), by="ada")
    post.send(ADA, builder, subject="patience")
    assert post.agents.find(builder).gate == gate.id
    post.reply(ADA, gate, body="no")
    assert post.agents.find(builder).gate == ""
    post.send(builder, lead, type_="decision_gate", payload=GATE)
    assert post.agents.find(builder).gate == ""


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("type_", ["worker_done", "result", "merged", "merge_failed", "status"])
def test_what_ends_a_task_depends_on_the_role(post: PostFleet, role: Role, type_: str) -> None:
    """Mergers say how the merge went, other workers that they are done; who goes on for ever ends nothing."""
    agent = post.agent(role, "3" * 16).name
    payload = {
        "worker_done": DONE | {"task_id": "3" * 16},
        "merged": {"branch": "b", "task_id": "3" * 16, "tier": "clean"},
        "merge_failed": {"branch": "b", "task_id": "3" * 16, "conflict_files": [], "error": "e"},
    }.get(type_, {})
    receipt = post.send(agent, "operator", type_=type_, payload=payload)
    ends = {
        Role.MERGER: {"merged", "merge_failed"}, Role.COORDINATOR: set(), Role.MONITOR: set(),
    }.get(role, {"worker_done", "result"})  # fmt: skip
    assert receipt.terminal is (type_ in ends)
    assert (post.office.terminal_since(agent, 0) is not None) is (type_ in ends)


def test_terminal_mail_is_about_the_senders_task(post: PostFleet) -> None:
    """News of another task is sent, and ends nothing."""
    lead, builder = post.pair()
    receipt = post.send(builder, lead, type_="worker_done", payload=DONE | {"task_id": "another"})
    assert (receipt.created, receipt.terminal) == (True, False)
    assert post.office.terminal_since(builder, 0) is None


def test_terminal_mail_of_another_agent_is_not_ones_own(post: PostFleet) -> None:
    """It must be sent by this agent; what it is sent ends nothing."""
    lead, builder = post.pair()
    post.send(builder, lead, type_="worker_done", payload=DONE)
    assert post.office.terminal_since(lead, 0) is None
    assert post.office.terminal_since(builder, 0) is not None


def test_a_later_turn_does_not_take_an_older_terminal_mail_for_its_own(post: PostFleet) -> None:
    """By the server's sequence: the clock may stand still, or go back."""
    lead, builder = post.pair()
    assert post.office.terminal_sequence(builder) == 0
    first = post.send(builder, lead, type_="result", body="one")
    noted = post.office.terminal_sequence(builder)
    assert noted == first.sequence
    assert post.office.terminal_since(builder, noted) is None
    post.clock.forward(-1000)
    second = post.send(builder, lead, type_="result", body="two")
    found = post.office.terminal_since(builder, noted)
    assert found is not None
    assert found.id == second.id


def test_terminal_mail_that_is_repeated_in_a_later_turn_counts_in_that_turn(post: PostFleet) -> None:
    """Its sender learns that it ends the task, and it does; there is one mail and one event all the same."""
    lead, builder = post.pair()
    first = post.send(builder, lead, type_="worker_done", payload=DONE, dedupe_key="done")
    noted = post.office.terminal_sequence(builder)
    again = post.send(builder, lead, type_="worker_done", payload=DONE, dedupe_key="done")
    assert (again.id, again.created, again.terminal) == (first.id, False, True)
    found = post.office.terminal_since(builder, noted)
    assert found is not None
    assert found.id == first.id
    assert len(post.claim(lead).mails) == len(post.events("mail.sent")) == 1


def test_repetition_in_a_later_life_is_word_of_that_life(post: PostFleet) -> None:
    """What was said in an earlier life is not, until it is repeated."""
    lead, builder = post.pair()
    word: dict[str, Any] = {"type_": "worker_done", "payload": DONE, "dedupe_key": "done"}
    post.send(builder, lead, **word)
    post.agents.finish(builder, reason="its job has ended")
    post.clock.forward(10)
    post.agent(parent=lead)
    assert not has_said(post.office, post.agents.find(builder))
    post.send(builder, lead, **word)
    assert has_said(post.office, post.agents.find(builder))


def test_key_of_other_mail_does_not_hold_terminal_mail_back(post: PostFleet) -> None:
    """An agent that uses one key for all it says still says that it is done, and of each task."""
    lead, builder = post.pair()
    post.send(builder, lead, dedupe_key="k")
    assert post.send(builder, lead, type_="worker_done", payload=DONE, dedupe_key="k").created
    helper = post.agent(job="", name="helper")
    for task in ("one", "two"):
        letter = Letter.checked(
            to=lead, subject="done", type_="worker_done", payload=DONE | {"task_id": task}, dedupe_key="k"
        )
        (receipt,) = post.office.send(Author(address=helper.name, task=task), letter)
        assert (receipt.created, receipt.terminal) == (True, True)


def test_lists_are_by_sequence_newest_first(post: PostFleet) -> None:
    """Of the fleet and of one recipient; at most as many as asked for."""
    lead, builder = post.pair()
    sent = [post.send(ADA, to) for to in (lead, builder, lead)]
    assert [mail.id for mail in post.office.newest(10)] == [mail.id for mail in reversed(sent)]
    assert [mail.id for mail in post.office.newest(10, recipient=lead)] == [sent[2].id, sent[0].id]
    assert [mail.id for mail in post.office.newest(1)] == [sent[2].id]


def test_every_key_expires_or_is_listed_as_permanent(post: PostFleet) -> None:
    """After all that can happen to mail; when its time has passed, a claim passes over what is gone."""
    lead, builder = post.pair()
    post.send(builder, lead, type_="result", dedupe_key="k")
    gate = post.send(builder, "operator", type_="decision_gate", payload=GATE)
    post.reply(ADA, gate)
    post.office.put_back(post.claim(builder), reason="crash")
    post.claim(builder)
    post.office.ack(post.claim(lead))
    assert post.leaks() == []
    post.send(ADA, lead)
    post.redis.delete(*post.redis.keys("test:mail:*"))
    assert post.claim(lead).ids == []
    assert post.office.newest(10) == []
    post.agents.finish(builder, reason="done")
    post.agents.finish(lead, reason="done")
    assert post.leaks() == []
    lasting = {key for key in post.redis.scan_iter() if post.redis.ttl(key) == -1}
    assert lasting == {"test:events", "test:mail_sequence"}
    assert 0 < post.redis.ttl(post.keys.agent(lead)) <= RETENTION


def test_a_damaged_record_is_reported() -> None:
    """What cannot be read is named, by its id."""
    with pytest.raises(CorruptRecordError, match="0123"):
        Mail.parse({"id": "0123", "payload": "{"})


def test_payloads_are_stored_as_json(post: PostFleet) -> None:
    """Any text in any language comes back as it was."""
    lead, builder = post.pair()
    words = 'é "quoted" \\ \n 語 \u0000'
    sent = post.send(builder, lead, type_="escalation", payload={"severity": "info", "context": words})
    assert post.find(sent).payload["context"] == words
    assert json.loads(post.redis.hget(post.keys.mail(sent.id), "payload"))["context"] == words
