"""A dead letter is something that is no longer tried, kept for a person to see.

A job is one when its attempts are used up, until a person retries it. Mail is claimed for a turn, and
acknowledged when the agent has read it. When the turn fails the mail waits again, and after a few attempts
it is dead rather than tried for ever. So is what waits for an agent that has ended. Nothing is thrown away
in silence: a dead letter is listed, with its reason.
"""

from routing.jobs.job import JobState
from tasks.agents.mail.mail import MailState
from tasks.agents.mail.post_office import MOST_ATTEMPTS
from tests.fleets.post import PostFleet
from tests.fleets.stepped_fleet import SteppedFleet, fail_attempt


def test_a_job_whose_attempts_are_used_up_is_a_dead_letter(fleet: SteppedFleet) -> None:
    """Each failed attempt puts it back, and the last one does not."""
    fleet.add()
    job = fleet.enqueue(max_attempts=2).job
    assert fail_attempt(fleet.app.jobs, fleet.claim(job))
    assert fleet.app.job_store.dead(10) == []
    fleet.clock.forward(600)  # longer than the pause before the second attempt
    assert not fail_attempt(fleet.app.jobs, fleet.claim(job), reason="the agent crashed")
    failed = fleet.app.jobs.find(job)
    assert (failed.state, failed.reason) == (JobState.FAILED, "the agent crashed; attempt 2 of 2")
    assert fleet.app.job_store.dead(10) == [job]


def test_a_person_who_has_repaired_the_cause_retries_it(fleet: SteppedFleet) -> None:
    """It is queued as the same job, with all its attempts, and is no longer a dead letter."""
    fleet.add()
    job = fleet.enqueue(max_attempts=1).job
    fail_attempt(fleet.app.jobs, fleet.claim(job))
    fleet.app.jobs.retry(job, by="ada")
    assert fleet.app.job_store.dead(10) == []
    assert fleet.claim(job).job.attempts == 1


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
