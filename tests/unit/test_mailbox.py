"""The mailbox: what one enqueue writes, what it refuses, and that asking again leads to the first job."""

import json
from typing import Any

import pytest
import redis

from harvest.draws.draw_ledger import Dispatched
from harvest.evidence.policy import Guardrail, TrialPolicy
from routing.errors import ConflictError, InvalidInputError
from routing.jobs.job import MAX_REQUEST_BYTES
from routing.jobs.mailbox import PayloadTooLargeError
from routing.store.jobs.acceptance import Acceptance, Accepted
from routing.store.jobs.job_store import JobStore
from routing.templates.templates import UnknownTemplateError
from tests.fleets.stepped_fleet import START, SteppedFleet, request


@pytest.fixture
def fleet(redis_client: redis.Redis) -> SteppedFleet:
    """A fleet with one template."""
    made = SteppedFleet(redis_client)
    made.add()
    return made


def test_job_is_recorded_reported_and_published(fleet: SteppedFleet) -> None:
    """An accepted request is a queued job, one event, and one message with the job's id."""
    done = fleet.enqueue(title="roof", repository="acme/shop", priority="high")
    job = fleet.app.jobs.find(done.job)
    assert (job.state, job.version, job.created_at) == ("queued", 1, START)
    assert (job.request.title, job.request.repository) == ("roof", "acme/shop")
    assert [event.subject for event in fleet.events("job.queued")] == [job.id]
    assert fleet.broker.sent == [(job.id, "champion", "high")]


def test_canary_job_goes_to_the_canary_queue(redis_client: redis.Redis) -> None:
    """The queue is the arm's."""
    fleet = SteppedFleet(redis_client, draws=[0.1, 0.9])
    fleet.on_trial()
    fleet.enqueue()
    fleet.enqueue()
    assert [queue for _, queue, _ in fleet.broker.sent] == ["canary", "champion"]


def test_ledger_holds_the_bet_of_the_job(redis_client: redis.Redis) -> None:
    """The dispatch in the trial's ledger carries the very bet that is on the job."""
    policy = TrialPolicy(
        share=0.3, strata="repository", guardrails=(Guardrail(name="cost_usd", cap=2.0),), prior_mean=0.7
    )
    fleet = SteppedFleet(redis_client, draws=[0.1, 0.3], policy=policy)
    trial = fleet.on_trial()
    jobs = [fleet.app.jobs.find(fleet.enqueue(repository="acme/shop").job) for _ in range(2)]
    ledger = [Dispatched.model_validate_json(line) for line in fleet.app.trial_store.dispatches(trial.id)]
    assert [line.bet for line in ledger] == [job.bet for job in jobs]
    assert [(line.job_id, line.draw, line.index) for line in ledger] == [
        (jobs[0].id, 0.1, 0),
        (jobs[1].id, 0.3, 1),
    ]
    bet = jobs[0].bet
    assert bet is not None
    assert (bet.share, bet.baseline, bet.stratum) == (0.3, 0.7, "acme/shop")
    assert dict(bet.guardrail_baselines) == {"cost_usd": 0.7}


def test_job_records_where_its_content_came_from(fleet: SteppedFleet) -> None:
    """Version, content hash and source commit are on the job."""
    snapshot = fleet.app.templates.champion("implementer").snapshot.model_copy(update={"prompt": "new"})
    step = fleet.app.templates.propose("implementer", snapshot, source_commit="4be1")
    fleet.app.templates.promote(step.version.id, by="ada")
    job = fleet.app.jobs.find(fleet.enqueue().job)
    assert (job.version, job.content_hash, job.source_commit) == (2, snapshot.content_hash, "4be1")


def test_same_idempotency_key_leads_to_the_first_job(redis_client: redis.Redis) -> None:
    """Asked twice, one job and one draw; nothing is written by the second request."""
    fleet = SteppedFleet(redis_client, draws=[0.1])
    fleet.on_trial()
    first = fleet.enqueue(idempotency_key="issue-7")
    before = fleet.everything()
    again = fleet.enqueue(idempotency_key="issue-7", task="something else")
    assert (again.job, again.created) == (first.job, False)
    assert fleet.everything() == before
    assert (fleet.generator.asked, len(fleet.broker.sent)) == (1, 1)


def test_idempotency_key_holds_after_the_jobs_end(fleet: SteppedFleet) -> None:
    """A finished job is found again by its key."""
    first = fleet.enqueue(idempotency_key="once")
    fleet.end(first.job)
    assert fleet.enqueue(idempotency_key="once").job == first.job


def test_repeated_key_within_a_batch_is_drawn_once(redis_client: redis.Redis) -> None:
    """Two requests of one batch with one key are one job and one draw; the third gets the second draw."""
    fleet = SteppedFleet(redis_client, draws=[0.1, 0.9])
    fleet.on_trial()
    done = fleet.app.mailbox.enqueue_many(
        [request(idempotency_key="a"), request(idempotency_key="a"), request(idempotency_key="b")]
    )
    assert done[1].job == done[0].job
    assert [one.created for one in done] == [True, False, True]
    assert [one.draw for one in done] == [0.1, None, 0.9]
    assert fleet.generator.asked == 2


def test_repeated_issue_within_a_batch_is_drawn_once(redis_client: redis.Redis) -> None:
    """Two requests of one batch for one issue are one job, whatever their keys."""
    fleet = SteppedFleet(redis_client, draws=[0.1])
    fleet.on_trial()
    done = fleet.app.mailbox.enqueue_many(
        [request(issue="local:shop#1", idempotency_key=key) for key in ("a", "b")]
    )
    assert (done[1].job, done[1].created, fleet.generator.asked) == (done[0].job, False, 1)


def test_issue_at_work_leads_to_its_job(redis_client: redis.Redis) -> None:
    """One active job an issue: another request for it leads to that job, with no second draw."""
    fleet = SteppedFleet(redis_client, draws=[0.1])
    fleet.on_trial()
    first = fleet.enqueue(issue="local:shop#3", idempotency_key="revision 1")
    again = fleet.enqueue(issue="local:shop#3", idempotency_key="revision 2")
    assert (again.job, again.created, fleet.generator.asked) == (first.job, False, 1)


def test_issue_is_free_when_it_shows_the_end(fleet: SteppedFleet) -> None:
    """The next job of an issue begins when the last one's end was shown there."""
    first = fleet.enqueue(issue="local:shop#3")
    fleet.end(first.job)
    assert fleet.enqueue(issue="local:shop#3").job == first.job
    fleet.app.job_store.effects_done(first.job, "local:shop#3")
    second = fleet.enqueue(issue="local:shop#3")
    assert second.created
    assert fleet.app.job_store.active_on(["local:shop#3"]) == [(second.job, 1)]


def test_requests_without_key_or_issue_are_jobs_of_their_own(fleet: SteppedFleet) -> None:
    """Nothing is guessed from the text of a task."""
    assert fleet.enqueue().job != fleet.enqueue().job


class _Meddling(JobStore):
    """Lets something happen between the read of a route and the write of a job."""

    def meddle(self, what: Any) -> None:
        """Do this before the next job is accepted."""
        self.what = [what]

    def accept(self, step: Acceptance) -> list[Accepted]:
        if getattr(self, "what", None):
            self.what.pop()()
        return super().accept(step)


def meddling(fleet: SteppedFleet) -> _Meddling:
    """Give the fleet's mailbox a store into which tests can reach."""
    store = _Meddling(fleet.redis, fleet.app.keys, fleet.clock)
    vars(fleet.app)["job_store"] = store
    return store


def test_changed_route_is_tried_again_with_the_same_draw(redis_client: redis.Redis) -> None:
    """A trial that ends between read and write: the job goes to the champion, outside it, with one draw."""
    fleet = SteppedFleet(redis_client, draws=[0.1])
    trial = fleet.on_trial()
    meddling(fleet).meddle(lambda: fleet.app.templates.reject(trial.canary_id, by="ada"))
    done = fleet.enqueue()
    assert (done.version, done.trial, fleet.generator.asked) == ("implementer@v1", "", 1)
    assert fleet.app.trial_store.dispatches(trial.id) == []
    assert len(fleet.events("job.queued")) == 1


def test_changed_share_is_compared_to_the_same_draw(redis_client: redis.Redis) -> None:
    """The share on the job is the one that holds when it is written; the draw is the first one."""
    fleet = SteppedFleet(redis_client, draws=[0.1])
    trial = fleet.on_trial()

    def lower() -> None:
        fleet.redis.hset(fleet.app.keys.trial(trial.id), "share", "0.05")
        fleet.redis.hincrby(fleet.app.keys.template("implementer"), "revision", 1)

    meddling(fleet).meddle(lower)
    done = fleet.enqueue()
    job = fleet.app.jobs.find(done.job)
    assert job.bet is not None
    assert (done.arm, done.draw, job.bet.share, fleet.generator.asked) == ("champion", 0.1, 0.05, 1)


def test_route_that_is_kept_follows_a_promotion(fleet: SteppedFleet) -> None:
    """A mailbox that knows a route learns of its change by the write that is refused."""
    fleet.enqueue()
    fleet.app.templates.promote(fleet.propose().id, by="ada")
    assert fleet.enqueue().version == "implementer@v2"


def test_latest_follows_a_proposal(fleet: SteppedFleet) -> None:
    """`@latest` means the newest version at the time of the request."""
    assert fleet.enqueue("implementer@latest").version == "implementer@v1"
    fleet.propose()
    assert fleet.enqueue("implementer@latest").version == "implementer@v2"


@pytest.mark.parametrize(
    "fields",
    [
        {"task": ""},
        {"task": "  \n"},
        {"priority": "whenever"},
        {"title": "x" * 501},
        {"max_attempts": 0},
        {"colour": "red"},
        {"task": None},
    ],
)
def test_malformed_requests_are_refused(fields: dict[str, Any]) -> None:
    """A wrong field is named before the mailbox sees the request."""
    with pytest.raises(InvalidInputError, match=next(iter(fields))):
        request(**fields)


@pytest.mark.parametrize(
    ("template", "error"),
    [
        ("nobody", UnknownTemplateError),
        ("implementer@v9", Exception),
        ("Not A Name", InvalidInputError),
        ("implementer@v2", ConflictError),
    ],
)
def test_request_without_a_version_to_work_it_writes_nothing(
    fleet: SteppedFleet, template: str, error: type[Exception]
) -> None:
    """Unknown, malformed and rejected versions are refused with a named error; the store is as before."""
    fleet.app.templates.reject(fleet.propose().id, by="ada")
    before = fleet.everything()
    with pytest.raises(error):
        fleet.enqueue(template)
    assert fleet.everything() == before
    assert fleet.broker.sent == []


def test_one_bad_request_of_a_batch_writes_none(fleet: SteppedFleet) -> None:
    """Every request of a batch is checked before the first is written."""
    before = fleet.everything()
    with pytest.raises(UnknownTemplateError):
        fleet.app.mailbox.enqueue_many([request(), request("nobody")])
    assert fleet.everything() == before


def task_for(size: int, letter: str) -> str:
    """A task of many such letters that makes the request's JSON so many bytes long."""
    room = size - len(json.dumps({"template": "implementer", "task": ""}, separators=(",", ":")))
    width = len(letter.encode())
    return letter * (room // width) + "x" * (room % width)


@pytest.mark.parametrize("letter", ["x", "é", "😀"])
def test_request_of_exactly_the_limit_is_accepted(fleet: SteppedFleet, letter: str) -> None:
    """The limit counts bytes of the request's JSON, and is itself allowed."""
    task = task_for(MAX_REQUEST_BYTES, letter)
    job = fleet.enqueue(task=task).job
    assert fleet.app.jobs.find(job).request.task == task


@pytest.mark.parametrize("letter", ["x", "é"])
def test_request_one_byte_over_the_limit_is_refused(fleet: SteppedFleet, letter: str) -> None:
    """One byte more is refused, with what to do instead, and writes nothing."""
    before = fleet.everything()
    with pytest.raises(PayloadTooLargeError, match="nothing was written"):
        fleet.enqueue(task=task_for(MAX_REQUEST_BYTES + 1, letter))
    assert fleet.everything() == before


def test_large_batch_is_accepted_in_order(fleet: SteppedFleet) -> None:
    """More requests than one round trip takes are all accepted, in their order."""
    done = fleet.app.mailbox.enqueue_many([request(title=str(number)) for number in range(501)])
    titles = [job.request.title for job in fleet.app.job_store.read_many([one.job for one in done]) if job]
    assert titles == [str(number) for number in range(501)]
    assert len(fleet.broker.sent) == 501
