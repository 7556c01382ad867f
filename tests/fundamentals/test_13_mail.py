"""Agents write mail to each other, and people to agents.

An agent has an address for as long as its job lasts, and one that was asked for by another knows it as
`parent`. Mail has a type with fields of its own, a priority, and a thread. It waits in the recipient's
mailbox until a turn claims it. A last mail, `worker_done`, ends an agent's task, and says what came of it.
"""

from tasks.agents.supervision.worker_died import has_said
from tests.fleets.post import ADA, DONE, PostFleet


def test_a_child_writes_to_its_parent(post: PostFleet) -> None:
    """It need not know the name."""
    lead, builder = post.pair()
    sent = post.send(builder, "parent", subject="The wall is damp", body="Shall I go on?")
    assert sent.recipient == lead
    assert [mail.subject for mail in post.claim(lead).mails] == ["The wall is damp"]


def test_an_answer_stays_in_its_thread(post: PostFleet) -> None:
    """Both sides see what belongs together."""
    lead, builder = post.pair()
    question = post.send(builder, lead, body="Shall I go on?")
    answer = post.reply(lead, question, body="Yes, with the roof.")
    assert (answer.recipient, answer.thread) == (builder, question.id)


def test_urgent_mail_comes_first(post: PostFleet) -> None:
    """Then the order in which it was sent."""
    lead, builder = post.pair()
    for subject, priority in (("one", "normal"), ("two", "normal"), ("stop", "urgent")):
        post.send(lead, builder, subject=subject, priority=priority)
    assert [mail.subject for mail in post.claim(builder).mails] == ["stop", "one", "two"]


def test_a_person_writes_to_an_agent(post: PostFleet) -> None:
    """Under the person's own name."""
    _, builder = post.pair()
    sent = post.send(ADA, builder, body="Please use less paint.")
    assert post.find(sent).sender == ADA.address


def test_the_last_mail_ends_the_task(post: PostFleet) -> None:
    """It says what was done, on which branch."""
    lead, builder = post.pair()
    assert not has_said(post.office, post.agents.find(builder))
    post.send(builder, lead, type_="worker_done", payload=DONE)
    assert has_said(post.office, post.agents.find(builder))
