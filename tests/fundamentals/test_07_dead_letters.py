"""A dead letter is something that could not be delivered, kept for a person to see.

Mail is claimed for a turn, and acknowledged when the agent has read it. When the turn fails the mail waits
again, and after a few attempts it is dead rather than tried for ever. So is what waits for an agent that
has ended. Nothing is thrown away in silence: a dead letter is listed, with its reason.
"""

from tasks.agents.mail.mail import MailState
from tasks.agents.mail.post_office import MOST_ATTEMPTS
from tests.fleets.post import PostFleet


def test_mail_that_was_read_is_delivered(post: PostFleet) -> None:
    """Acknowledging says so; it is not handed out again."""
    lead, builder = post.pair()
    sent = post.send(lead, builder, body="Begin with the roof.")
    claim = post.claim(builder)
    assert [mail.id for mail in claim.mails] == [sent.id]
    post.office.ack(claim)
    assert post.find(sent).state is MailState.ACKED
    assert not post.claim(builder).mails


def test_mail_that_cannot_be_delivered_is_dead_in_the_end(post: PostFleet) -> None:
    """Each failed turn puts it back, and the last one does not."""
    lead, builder = post.pair()
    sent = post.send(lead, builder)
    for _ in range(MOST_ATTEMPTS):
        assert post.find(sent).state is MailState.QUEUED
        post.office.put_back(post.claim(builder), reason="the agent crashed")
    assert post.find(sent).state is MailState.DEAD
    assert [mail.id for mail in post.office.dead(10)] == [sent.id]


def test_what_waits_for_an_agent_that_has_ended_is_dead(post: PostFleet) -> None:
    """Nobody will ever read it."""
    lead, builder = post.pair()
    sent = post.send(lead, builder)
    post.agents.finish(builder, reason="its job has ended")
    assert post.find(sent).state is MailState.DEAD
