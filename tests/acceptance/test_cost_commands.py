"""`coalmine cost`, and what a job and a trial cost in the commands that show them."""

import pytest

from routing.jobs.job import JobRequest
from routing.jobs.lifecycle import Claim
from tasks.agents.runtimes.agent_event import Usage
from tests.fakes.scripted import ScriptedDraws
from tests.fleets.stepped_fleet import spend
from tests.programs.command_line import CommandLine


@pytest.fixture
def paid(coalmine: CommandLine, template: str) -> list[str]:
    """Two jobs of a trial: the canary's costs 0.75 USD in two turns, the champion's is not known."""
    coalmine.shown("trial", "open", template, "--share", "0.5")
    with coalmine.coalmine(ScriptedDraws([0.1, 0.9])) as parts:
        jobs = []
        for usages in ([Usage(cost_usd=0.5), Usage(cost_usd=0.25)], [Usage(input_tokens=1200)]):
            job = parts.mailbox.enqueue(JobRequest(template=template, task="do")).job
            claim = parts.jobs.claim(job, worker="w", lease_seconds=30)
            assert isinstance(claim, Claim)
            for usage in usages:
                spend(parts, claim, usage)
            parts.log_store.spend(job, claim.fence, Usage(cost_usd=0.125).cost(0.0))
            jobs.append(job)
        parts.log_store.flush()
        return jobs


@pytest.mark.parametrize(
    ("by", "names"),
    [
        ("template", ["implementer"]),
        ("version", ["implementer@v1", "implementer@v2"]),
        ("trial", ["implementer-t1"]),
        ("arm", ["implementer-t1 canary", "implementer-t1 champion"]),
    ],
)
def test_sums_are_whole_or_floors(coalmine: CommandLine, paid: list[str], by: str, names: list[str]) -> None:
    """Every way of adding up comes to the same, and says what is not in it."""
    found = coalmine.document("cost", "--by", by)
    assert [line["name"] for line in found["sums"]] == names
    together = found["together"]
    assert (together["usd"], together["whole"]) == (0.75, False)
    assert (together["turns"], together["unknown_turns"], together["input_tokens"]) == (3, 1, 1200)
    assert {line["usd"] for line in found["sums"]} in ({0.75}, {0.75, None})
    del paid


def test_days_and_jobs_are_summed_up_too(coalmine: CommandLine, paid: list[str]) -> None:
    """Today has all of it; each job has its own, the newest first."""
    (today,) = coalmine.document("cost")["sums"]
    assert (today["usd"], today["turns"]) == (0.75, 3)
    jobs = coalmine.document("cost", "--by", "job")["sums"]
    assert [(line["name"], line["usd"]) for line in jobs] == [(paid[1], None), (paid[0], 0.75)]
    shown = coalmine.shown("cost")
    assert "≥ 0.75" in shown
    assert "1 of 3 turns are not known" in shown


def test_a_job_says_what_it_cost_and_what_it_spends(coalmine: CommandLine, paid: list[str]) -> None:
    """All turns together, not the last one alone; unknown is said, and the running turn stands beside it."""
    known, unknown = (coalmine.shown("job", "show", job) for job in paid)
    assert "0.75 USD in 2 turns" in known
    assert "0.12 USD so far" in known
    assert "not known: the agent said 1.2k tokens in, 0 out and no dollars" in unknown
    assert "0.00" not in unknown
    document = coalmine.document("job", "show", paid[1])
    assert (document["cost"]["usd"], document["cost"]["unknown_turns"]) == (None, 1)
    assert document["spending"]["usd"] == 0.125


def test_trials_and_versions_say_what_they_cost(coalmine: CommandLine, paid: list[str]) -> None:
    """An arm and a version have the sums of their jobs."""
    (trial,) = coalmine.document("trial", "status")["trials"]
    assert {arm: counts["cost"]["usd"] for arm, counts in trial["arms"].items()} == {
        "canary": 0.75, "champion": None,
    }  # fmt: skip
    versions = coalmine.document("template", "show", "implementer")["versions"]
    assert [version["cost"]["usd"] for version in versions] == [None, 0.75]
    assert "0.75 USD" in coalmine.shown("template", "show", "implementer@v2")
    del paid


def test_nothing_was_paid_yet(coalmine: CommandLine) -> None:
    """An empty list says where to look."""
    assert "coalmine status" in coalmine.shown("cost")
    assert coalmine.document("cost")["together"]["usd"] is None


def test_a_version_says_what_its_changes_cost(coalmine: CommandLine, paid: list[str]) -> None:
    """Before anything is settled nothing has a price; a version that has had no job says so."""
    found = coalmine.document("version", "cost", "implementer@v2")["versions"]
    assert [(line["version"], line["open"], line["changes"]) for line in found] == [("implementer@v2", 1, 0)]
    assert found[0]["usd"]["per_change"] is None
    assert "implementer@v1" in coalmine.shown("version", "cost", "implementer")
    coalmine.shown("template", "propose", "implementer", "--prompt", "another")
    assert "None of the newest" in coalmine.shown("version", "cost", "implementer@v3")
    del paid
