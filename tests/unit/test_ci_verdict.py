"""What CI says of a commit, by what is known of its checks: the decision, row by row."""

from datetime import UTC, datetime
from typing import Any

import pytest

from routing.forges.ci_rules import CiRules
from routing.forges.commit_status import (
    ANNOUNCED_SECONDS,
    CiReading,
    CiReason,
    CiVerdict,
    CombinedStatus,
    CommitStatus,
    StatusState,
    read_ci,
)

AT = datetime(2026, 1, 1, tzinfo=UTC)
GREEN, RED, PENDING, UNKNOWN = CiVerdict.GREEN, CiVerdict.RED, CiVerdict.PENDING, CiVerdict.UNKNOWN
SETTLE = CiRules(settle_seconds=60)


def said(*words: str, **known: Any) -> CombinedStatus:
    """Statuses in the form `context=state`, or `context (suite)=cancelled` for a run that was stopped."""
    statuses = []
    for word in words:
        context, _, state = word.partition("=")
        name = context.partition(" (")[0]
        cancelled = state == "cancelled"
        given = StatusState.ERROR if cancelled else StatusState(state)
        statuses.append(CommitStatus(context=context, state=given, at=AT, name=name, cancelled=cancelled))
    return CombinedStatus(commit="0" * 40, statuses=tuple(statuses), **known)


def read(status: CombinedStatus, rules: CiRules = SETTLE, waited: float = 60.0) -> CiReading:
    """What is decided when the time has passed in which more checks may begin."""
    return read_ci(status, rules, waited_seconds=waited)


@pytest.mark.parametrize(
    ("words", "verdict", "reason"),
    [
        ((), UNKNOWN, CiReason.SILENT),
        (("ci/build=success",), GREEN, CiReason.PASSED),
        (("license/cla=success",), UNKNOWN, CiReason.UNPROVEN),
        (("DCO=success",), UNKNOWN, CiReason.UNPROVEN),
        (("license/cla=success", "DCO=success", "ci/build=success"), GREEN, CiReason.PASSED),
        (("ci/build=success", "license/cla=pending", "tide=pending"), GREEN, CiReason.PASSED),
        (("ci/build=success", "license/cla=failure", "code-review/approval=failure"), GREEN, CiReason.PASSED),
        (("ci/build=success", "DCO=failure"), RED, CiReason.FAILED),
        (("ci/build=success", "ci/slow=pending"), PENDING, CiReason.RUNNING),
        (("build=skipped",), UNKNOWN, CiReason.NOTHING),
        (("build=skipped", "lint=success"), GREEN, CiReason.PASSED),
        (("build (1)=cancelled", "build (2)=success"), GREEN, CiReason.PASSED),
        (("build (1)=cancelled", "build (2)=pending"), PENDING, CiReason.RUNNING),
        (("build (1)=cancelled", "build (2)=failure"), RED, CiReason.FAILED),
        (("build (1)=cancelled", "lint=success"), RED, CiReason.FAILED),
        (("build (1)=failure", "build (2)=success"), RED, CiReason.FAILED),
    ],
)
def test_where_nothing_is_required_all_that_is_listed_counts(
    words: tuple[str, ...], verdict: CiVerdict, reason: CiReason
) -> None:
    """But for what waits for people, and for runs that another one has replaced."""
    spelt = tuple(word.replace("=skipped", "=neutral") for word in words)
    found = read(said(*spelt))
    assert (found.verdict, found.reason) == (verdict, reason)


@pytest.mark.parametrize(
    ("words", "verdict", "names"),
    [
        ((), UNKNOWN, ("build", "lint")),
        (("license/cla=success",), PENDING, ("build", "lint")),
        (("build=success",), PENDING, ("lint",)),
        (("build=success", "lint=pending"), PENDING, ("lint",)),
        (("build=success", "lint=failure"), RED, ("lint",)),
        (("build=success", "lint=success", "coverage=failure", "preview=pending"), GREEN, ("build", "lint")),
        (("build=success", "lint=neutral"), GREEN, ("build", "lint")),
        (("build (1)=success", "build (2)=failure", "lint=success"), RED, ("build (2)",)),
    ],
)
def test_what_is_required_decides_alone(
    words: tuple[str, ...], verdict: CiVerdict, names: tuple[str, ...]
) -> None:
    """At once, however long ago the push was; the checks that are waited for, or failed, are named."""
    for status, rules in (
        (said(*words, required=("build", "lint")), SETTLE),
        (said(*words, required=("build",)), CiRules(checks=("lint",), settle_seconds=60)),
        (said(*words), CiRules(checks=("build", "lint"), settle_seconds=60)),
    ):
        found = read(status, rules, waited=0.0)
        assert (found.verdict, found.names) == (verdict, names)


def test_a_required_form_alone_is_not_green() -> None:
    """A branch that requires no more than a sign-off says nothing of what the work must pass."""
    assert read(said("DCO=success", required=("DCO",))).verdict is UNKNOWN
    assert read(said("DCO=success", "build=failure", required=("DCO",))).verdict is RED
    assert read(said("DCO=success", "build=success", required=("DCO",)), waited=1.0).verdict is PENDING
    assert read(said("DCO=success", "build=success", required=("DCO",))).verdict is GREEN
    assert read(said("DCO=success"), CiRules(checks=("DCO",))).verdict is GREEN  # people have said so


@pytest.mark.parametrize("people", ["license/cla", "tide", "pullapprove", "code-review/two"])
def test_a_required_check_of_people_is_waited_for_and_never_red(people: str) -> None:
    """No agent can repair it: what is left to do is named for people."""
    for word in ("pending", "failure"):
        status = said("build=success", f"{people}={word}", required=("build", people))
        found = read(status)
        assert (found.verdict, found.reason, found.names) == (PENDING, CiReason.PEOPLE, (people,))
        assert people in str(found)
    assert read(said(f"{people}=pending", "build=pending", required=("build", people))).names == (
        "build",
        people,
    )


def test_settings_say_which_checks_wait_for_people() -> None:
    """Beside those with the usual names; a name that must pass is never one of them."""
    status = said("build=success", "sign here=pending")
    assert read(status).verdict is PENDING
    assert read(status, CiRules(people=("sign*",))).verdict is GREEN
    assert read(said("tide=failure"), CiRules(checks=("tide",))).verdict is RED


def test_more_checks_may_begin_for_a_while() -> None:
    """A quick check is green at once, the build comes later; red is red at once."""
    assert read(said("lint=success"), waited=59.9).reason is CiReason.SETTLING
    assert read(said("lint=success"), waited=60.0).verdict is GREEN
    assert read(said("lint=failure"), waited=0.0).verdict is RED
    assert read(said("build=neutral"), waited=1.0).reason is CiReason.SETTLING


def test_runs_that_were_announced_are_waited_for() -> None:
    """Those of the forge's own CI to their end; of an app that never says anything, for ten minutes."""
    queued = said("lint=success", expected=("github-actions/CI",))
    assert (read(queued, waited=9999.0).verdict, read(queued).names) == (PENDING, ("github-actions/CI",))
    silent = said("lint=success", announced=("some-app/7",))
    assert read(silent, waited=ANNOUNCED_SECONDS - 1).verdict is PENDING
    assert read(silent, waited=ANNOUNCED_SECONDS).verdict is GREEN


def test_a_run_that_failed_before_it_began_is_red() -> None:
    """Nothing is listed of a broken workflow file; what it was to report is missing."""
    broken = CommitStatus(
        context="github-actions/CI", state=StatusState.ERROR, description="startup_failure", at=AT,
        unstarted=True,
    )  # fmt: skip
    status = said("DCO=success").model_copy(update={"statuses": (*said("DCO=success").statuses, broken)})
    found = read(status, waited=0.0)
    assert (found.verdict, found.names) == (RED, ("github-actions/CI",))
    assert "startup_failure" in found.complaint
    required = status.model_copy(update={"required": ("build",)})
    assert read(required).verdict is RED
    passed = said("build=success", required=("build",))
    passed = passed.model_copy(update={"statuses": (*passed.statuses, broken)})
    assert read(passed).verdict is GREEN  # what must pass has passed: the broken one is another workflow


def test_a_run_that_waits_for_approval_is_named() -> None:
    """It has not failed, and will not come by itself."""
    for status in (
        said("DCO=success", approvals=("CI",)),
        said("DCO=success", approvals=("CI",), required=("build",)),
    ):
        found = read(status)
        assert (found.verdict, found.reason, found.names) == (PENDING, CiReason.APPROVAL, ("CI",))


def test_settings_may_leave_a_run_that_waits_for_approval_to_people() -> None:
    """A deployment that somebody releases is not what the work waits for."""
    status = said("build=success", approvals=("github-actions/Deploy",))
    assert read(status).verdict is PENDING
    assert read(status, CiRules(people=("*/Deploy",))).verdict is GREEN


def test_work_that_kept_ci_away_is_known() -> None:
    """Unless something has judged it all the same, or may still begin."""
    away = said("license/cla=success", keeps_ci_away="[skip ci]")
    assert (read(away).verdict, read(away).reason) == (UNKNOWN, CiReason.KEPT_AWAY)
    assert "[skip ci]" in read(away).complaint
    assert read(away, waited=1.0).reason is CiReason.SETTLING
    required = said(keeps_ci_away="[skip ci]", required=("build",))
    assert read(required).reason is CiReason.KEPT_AWAY
    assert read(said("build=success", keeps_ci_away="[skip ci]")).verdict is GREEN


def test_names_on_a_reading_are_few() -> None:
    """A person reads them."""
    names = [f"check {number}" for number in range(20)]
    sentence = str(read(said(*(f"{name}=pending" for name in names))))
    assert sentence.startswith("CI is running (check 0, check 1")
    assert sentence.count("check") == 5


@pytest.mark.parametrize(
    ("known", "waited", "verdict", "reason"),
    [
        ({}, 60.0, UNKNOWN, CiReason.EXPECTED),
        ({"expected": ("github-actions/CI",)}, 60.0, PENDING, CiReason.EXPECTED),
        ({"keeps_ci_away": "[skip ci]"}, 59.0, UNKNOWN, CiReason.EXPECTED),
        ({"keeps_ci_away": "[skip ci]"}, 60.0, UNKNOWN, CiReason.KEPT_AWAY),
        ({"keeps_ci_away": "[skip ci]", "approvals": ("CI",)}, 60.0, PENDING, CiReason.APPROVAL),
    ],
)
def test_a_required_check_that_has_not_spoken(
    known: dict[str, Any], waited: float, verdict: CiVerdict, reason: CiReason
) -> None:
    """It may be on its way, kept away for good, or never come; our own word does not speak for it."""
    for words in ((), ("coalmine/progress=success",)):
        found = read(said(*words, required=("build",), **known), waited=waited)
        assert (found.verdict, found.reason) == (verdict, reason)


def test_a_required_form_that_is_missing_waits_for_people() -> None:
    """The work has passed; nobody but its author can sign it."""
    found = read(said("build=success", required=("DCO",)))
    assert (found.verdict, found.reason, found.names) == (PENDING, CiReason.PEOPLE, ("DCO",))


def test_a_check_is_known_by_its_own_name_too() -> None:
    """In whichever suite it runs: what it is called says whether it waits for people, or is a form."""
    runs = {
        name: CommitStatus(context=f"suite 7: {name}", state=state, at=AT, app="an-app", name=name)
        for name, state in (("tide", StatusState.PENDING), ("DCO", StatusState.SUCCESS))
    }
    built = said("build=success").statuses
    waits = said().model_copy(update={"statuses": (*built, runs["tide"])})
    assert read(waits).verdict is GREEN
    signed = said().model_copy(update={"statuses": (runs["DCO"],)})
    assert read(signed).reason is CiReason.UNPROVEN
    running = CommitStatus(context="build", state=StatusState.PENDING, at=AT, app="github-actions")
    assert read(said().model_copy(update={"statuses": (running,)})).reason is CiReason.RUNNING


@pytest.mark.parametrize("word", ["tide=success", "review=success", "license/cla=neutral"])
def test_a_check_of_people_proves_nothing(word: str) -> None:
    """Nor does one that it skipped mean that CI has run nothing."""
    assert read(said(word)).reason is CiReason.UNPROVEN


def test_the_complaint_is_that_of_the_first_by_name() -> None:
    """Whatever the order in which they are required, so that two looks say the same."""
    failed = [
        CommitStatus(context=one, state=StatusState.FAILURE, at=AT, description=f"{one} says no")
        for one in ("lint", "build", "test")
    ]
    status = said(required=("lint", "build", "test")).model_copy(update={"statuses": tuple(failed)})
    assert read(status).complaint == "build: build says no"
