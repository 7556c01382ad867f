"""What the README says in numbers and names is what the code does."""

import re

import pytest

from console.local.fleet import LOG_BYTES, LOG_FILES
from harvest.draws.draw_plan import plan
from harvest.evidence.policy import TrialPolicy
from harvest.trials.mode_plan import Pace, plan_shadow
from routing.forges.local.ci import MAX_LOG_BYTES
from routing.templates.trial import Mode
from tasks.agents.runtimes.registry import PROGRAMS
from tasks.agents.turn.limits import TurnLimits
from tasks.settings.settings import Settings
from tests.source import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGE = (ROOT / "docs" / "agent-programs.md").read_text(encoding="utf-8")

#: The rows of the table of verdicts: share, delta, jobs for three canaries, weeks.
ROWS = re.findall(
    r"^\| (0\.\d) \| (0\.\d) \| (\d+) \| (\d+) \| (\d+) \| (\d+) to (\d+) \|$", README, re.MULTILINE
)


#: The rows of pairs: delta, issues for three canaries, weeks.
PAIRS = re.findall(
    r"^\| shadow \| (0\.\d) \| (\d+) \| (\d+) \| (\d+) \| (\d+) to (\d+) \|$", README, re.MULTILINE
)


def is_long(row: tuple[str, ...]) -> bool:
    """Whether a row's simulations take long, as it has the most jobs."""
    return float(row[0]) * float(row[1]) < 0.03


def test_the_table_of_verdicts_is_there() -> None:
    """With a row for each share and delta that people would choose."""
    assert (len(ROWS), len(PAIRS)) == (6, 3)


@pytest.mark.parametrize("row", PAIRS, ids=lambda row: row[0])
def test_verdicts_of_pairs_take_as_many_issues_as_the_readme_says(row: tuple[str, ...]) -> None:
    """By the simulation of `trial plan`, and as many weeks at 50 issues a week."""
    delta, written = float(row[0]), [int(number) for number in row[1:4]]
    policy = TrialPolicy(mode=Mode.SHADOW, delta=delta)
    for difference, number in zip((-delta, 0.0, 0.1), written, strict=True):
        planned = plan_shadow(policy, baseline=0.7, difference=difference, pace=Pace())
        assert round(planned.issues) == number
    weeks = [max(1, round(number / 50)) for number in (min(written), max(written))]
    assert weeks == [int(number) for number in row[4:]]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row[0]}-{row[1]}")
def test_verdicts_take_as_many_jobs_as_the_readme_says(row: tuple[str, ...]) -> None:
    """By the simulation of `trial plan`, and as many weeks at 50 jobs a week.

    Of the two rows with the most jobs one number is simulated here, and the others in the test below.
    """
    share, delta, written = float(row[0]), float(row[1]), [int(number) for number in row[2:5]]
    for difference, number in zip((-delta, 0.0, 0.1), written, strict=True):
        if is_long(row) and difference <= 0:
            continue
        planned = plan(policy=TrialPolicy(), baseline=0.7, difference=difference, delta=delta, share=share)
        assert round(planned.mean_canary_jobs / share) == number
    weeks = [max(1, round(number / 50)) for number in (min(written), max(written))]
    assert weeks == [int(number) for number in row[5:]]


@pytest.mark.long
@pytest.mark.parametrize("row", [row for row in ROWS if is_long(row)], ids=lambda row: f"{row[0]}-{row[1]}")
def test_verdicts_that_take_long_take_what_the_readme_says(row: tuple[str, ...]) -> None:
    """The numbers that the test above leaves out."""
    share, delta = float(row[0]), float(row[1])
    for difference, number in ((-delta, int(row[2])), (0.0, int(row[3]))):
        planned = plan(policy=TrialPolicy(), baseline=0.7, difference=difference, delta=delta, share=share)
        assert round(planned.mean_canary_jobs / share) == number


def test_limits_that_the_readme_names_are_those_of_the_code() -> None:
    """Sizes of logs, turns that a job may cost, and how long things are kept."""
    settings = Settings()
    assert f"at most {LOG_BYTES * (1 + LOG_FILES) // 1_000_000} MB each" in README
    turn = TurnLimits(time_limit_seconds=1, stall_seconds=1)
    assert f"at most {turn.log_bytes // 2**20} MiB a turn" in README
    assert f"at most {MAX_LOG_BYTES // 2**20} MiB a commit" in README
    assert f"up to {settings.issues.watch.fix_forwards} corrective turns" in README
    assert f"up to {settings.job.max_attempts - 1} more attempts" in README
    assert f"for {settings.job.retention_days:g} days (`job.retention_days`)" in README
    assert f"for {settings.agent.keep_failed_days:g} days when it failed" in README
    assert f"`max_days` ({settings.canary.policy.max_days:g})" in README
    assert f"`max_canary_jobs` ({settings.canary.policy.max_canary_jobs})" in README
    assert f"Agents have {settings.job.drain_grace_seconds:g} s" in README


@pytest.mark.parametrize("runtime", PROGRAMS)
def test_each_known_program_is_in_the_tables_with_its_installation(runtime: str) -> None:
    """In the README and on the page of programs, with every variable that is a way in."""
    program = PROGRAMS[runtime]
    (short,) = re.findall(
        rf"^\| {re.escape(program.name)} \|.*--runtime {runtime}` \|$", README, re.MULTILINE
    )
    (long,) = re.findall(rf"^\| `{runtime}` \| {re.escape(program.name)} \|.*$", PAGE, re.MULTILINE)
    assert all(f"`{program.install}`" in row for row in (short, long))
    assert all(f"`{key}`" in long for key in program.keys)
    assert f"\n## {program.name}\n" in PAGE
