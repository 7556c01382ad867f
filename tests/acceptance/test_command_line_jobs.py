"""`coalmine enqueue`, `coalmine job …`, `coalmine events`."""

import json
import random
from pathlib import Path
from typing import Any

from routing.jobs.job import JobRequest, JobResult, JobState
from routing.jobs.lifecycle import Claim
from routing.jobs.signal import SignalKind, signal
from routing.store.jobs.log_store import LogStore
from tests.programs.command_line import CommandLine


def test_enqueue_says_job_version_arm_and_draw(coalmine: CommandLine, template: str) -> None:
    """The draw is the generator's first number; the words are one task."""
    coalmine.shown("trial", "open", template, "--share", "0.5")
    (made,) = coalmine.lines("enqueue", template, "make", "it", "pass", COALMINE_SEED="7")
    draw = random.Random(7).random()
    assert made["draw"] == draw
    assert (made["arm"], made["version"]) == (
        ("canary", "implementer@v2") if draw < 0.5 else ("champion", "implementer@v1")
    )
    found = coalmine.document("job", "show", made["job"])
    assert found["request"]["task"] == "make it pass"
    assert (found["state"], found["draw"], found["bet"]["share"]) == ("queued", draw, 0.5)


def test_tasks_come_from_files_and_standard_input(coalmine: CommandLine, template: str) -> None:
    """A file is one task, or one a line; a dash reads standard input."""
    Path("tasks.txt").write_text("one\n\n two\n")
    whole = coalmine.lines("enqueue", template, "--task-file", "tasks.txt")
    each = coalmine.lines("enqueue", template, "--task-file", "tasks.txt", "--each-line")
    piped = json.loads(coalmine.shown("enqueue", template, "-", "--json", stdin="three"))
    made = [found["job"] for found in [*whole, *each, piped]]
    tasks = [coalmine.document("job", "show", job)["request"]["task"] for job in made]
    assert tasks == ["one\n\n two\n", "one", "two", "three"]


def test_same_key_is_the_same_job(coalmine: CommandLine, template: str) -> None:
    """A repeated request leads to the job that is there."""
    (first,) = coalmine.lines("enqueue", template, "do", "--key", "k")
    (again,) = coalmine.lines("enqueue", template, "do", "--key", "k")
    assert (again["job"], again["created"]) == (first["job"], False)


def test_list_filters_by_state_and_template(coalmine: CommandLine, template: str) -> None:
    """The newest first, at most so many."""
    coalmine.shown("template", "add", "other", "--command", "x")
    jobs = [coalmine.lines("enqueue", name, "do")[0]["job"] for name in (template, "other", template)]
    coalmine.shown("job", "cancel", jobs[0])

    def listed(*arguments: str) -> list[str]:
        return [job["id"] for job in coalmine.document("job", "list", *arguments)["jobs"]]

    assert listed() == jobs[::-1]
    assert listed("--limit", "1") == [jobs[2]]
    assert listed("--state", "cancelled") == [jobs[0]]
    assert listed("--template", template, "--state", "queued") == [jobs[2]]


def test_cancel_retry_and_dead_letters(coalmine: CommandLine, template: str) -> None:
    """A job that failed for good is a dead letter until a person retries it."""
    (made,) = coalmine.lines("enqueue", template, "do")
    job = made["job"]
    with coalmine.coalmine() as parts:
        claim = parts.jobs.claim(job, worker="w", lease_seconds=30)
        assert isinstance(claim, Claim)
        parts.jobs.end(claim, JobState.FAILED, reason="crashed", result=JobResult())
    assert [found["id"] for found in coalmine.document("job", "dead")["jobs"]] == [job]
    assert coalmine("job", "cancel", job).exit_code == 4
    assert coalmine.document("job", "retry", job)["state"] == "queued"
    assert coalmine.document("job", "dead")["jobs"] == []
    assert coalmine.document("job", "cancel", job)["state"] == "cancelled"


def test_the_last_thumb_decides(coalmine: CommandLine, template: str) -> None:
    """A person may change their mind, more than once; the same thumb again changes nothing."""
    (made,) = coalmine.lines("enqueue", template, "do")
    job = made["job"]
    changed = [
        coalmine.document("job", "thumb", job, way)["changed"] for way in ("up", "up", "down", "up", "down")
    ]
    assert changed == [True, False, True, True, True]
    with coalmine.coalmine() as parts:
        parts.harvester.harvest()
    found = coalmine.document("job", "show", job)
    assert found["score"] == 0.0
    assert [fact["kind"] for fact in found["signals"]] == ["thumb_up", "thumb_down", "thumb_up", "thumb_down"]


def test_logs_are_printed_without_control_characters(coalmine: CommandLine, template: str) -> None:
    """What an agent said cannot reach the terminal's controls; following ends with the job."""
    (made,) = coalmine.lines("enqueue", template, "do")
    with coalmine.coalmine() as parts:
        store = LogStore(parts.redis, parts.keys)
        store.say(made["job"], "text", "hello \x1b]0;title\x07\x1b[2Jworld [bold]x")
        store.say(made["job"], "tool", "edit sum.py")
        store.flush()
        parts.jobs.cancel(made["job"], by="t", at=parts.signals.now())
    assert (
        coalmine.shown("job", "logs", made["job"], "--follow") == "hello world [bold]x\n[tool] edit sum.py\n"
    )
    first = coalmine.lines("job", "logs", made["job"])[0]
    assert set(first) == {"at", "kind", "text"}


def test_watch_ends_with_the_job(coalmine: CommandLine, template: str) -> None:
    """Exit 0 when it succeeded and 1 when it did not."""
    with coalmine.coalmine() as parts:
        jobs = [parts.mailbox.enqueue(JobRequest(template=template, task="do")).job for _ in range(2)]
        for job, state in zip(jobs, (JobState.SUCCEEDED, JobState.ESCALATED), strict=True):
            claim = parts.jobs.claim(job, worker="w", lease_seconds=30)
            assert isinstance(claim, Claim)
            facts = [signal(SignalKind.FINISHED, at=parts.signals.now())]
            parts.jobs.end(claim, state, reason="so it went", result=JobResult(), signals=facts)
    assert "succeeded" in coalmine.shown("job", "watch", jobs[0])
    result = coalmine("job", "watch", jobs[1])
    assert result.exit_code == 1
    assert "so it went" in result.stdout


def test_events_are_shown_in_their_order(coalmine: CommandLine, template: str) -> None:
    """The last ones, of a kind if asked."""
    coalmine.shown("enqueue", template, "do")
    kinds = [event["kind"] for event in coalmine.lines("events")]
    assert kinds == ["template.added", "candidate.awaiting_promotion", "job.queued"]
    assert [event["kind"] for event in coalmine.lines("events", "--kind", "job.*")] == ["job.queued"]
    assert [event["kind"] for event in coalmine.lines("events", "--limit", "1")] == ["job.queued"]


def test_attempts_that_an_option_gives_hold_over_environment_and_file(
    coalmine: CommandLine, template: str
) -> None:
    """Without the option the environment holds, and without that the file."""
    (coalmine.folder / "coalmine.toml").write_text("[job]\nmax_attempts = 7\n")

    def attempts(*options: str, **variables: str) -> Any:
        (made,) = coalmine.lines("enqueue", template, "do", *options, **variables)
        return coalmine.document("job", "show", made["job"])["max_attempts"]

    of_environment = {"COALMINE_JOB__MAX_ATTEMPTS": "6"}
    assert attempts() == 7
    assert attempts(**of_environment) == 6
    assert attempts("--max-attempts", "5", **of_environment) == 5
