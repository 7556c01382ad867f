"""Reading what forges write: rounds of review, check runs, and a real server's issues. All pure."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.forges.change_request import Review, ReviewVerdict, in_rounds
from routing.forges.commit_status import CiVerdict, CombinedStatus
from routing.forges.errors import ForgeGoneError, ForgeInvalidError
from routing.forges.github.runs import WireCheckRun, statuses_of_runs
from routing.forges.rest.path import path_segment, repository_path
from routing.forges.rest.wire import WireIssue, WirePull, is_of
from routing.http.rate_limit import LONGEST_SECONDS, is_limited_answer, resumes_at

RECORDED = Path(__file__).parents[1] / "recordings" / "webhooks" / "gitea-1.14.jsonl"
SHA, OTHER = "a1b2c3d4" * 5, "0f" * 20
AT = datetime(2026, 1, 1, tzinfo=UTC)


def review(minute: int, verdict: str, sha: str, author: str = "ann") -> Review:
    """A review."""
    at = AT + timedelta(minutes=minute)
    return Review(author=author, verdict=ReviewVerdict(verdict), commit=sha, at=at)


def test_reviews_of_one_state_of_the_work_are_one_round() -> None:
    """Two people who want changes of one commit are one round; new work that is looked at begins the next."""
    given_ = [
        review(9, "approved", "c"),
        review(1, "commented", "a"),
        review(2, "changes_requested", "a"),
        review(3, "changes_requested", "a", "bob"),
        review(5, "changes_requested", "b"),
    ]
    assert [(one.commit, one.round) for one in in_rounds(given_)] == [
        ("a", 1), ("a", 1), ("a", 1), ("b", 2), ("c", 3),
    ]  # fmt: skip


def test_new_work_that_nobody_asked_for_is_the_same_round() -> None:
    """Only a request for changes ends a round."""
    assert [one.round for one in in_rounds([review(1, "commented", "a"), review(2, "approved", "b")])] == [
        1,
        1,
    ]


def run(name: str, conclusion: str | None, **more: Any) -> WireCheckRun:
    """A check run of GitHub Actions."""
    status = "completed" if conclusion else "queued"
    whole = {
        "name": name,
        "status": status,
        "conclusion": conclusion,
        "app": {"slug": "github-actions"},
        **more,
    }
    return WireCheckRun.model_validate(whole)


@pytest.mark.parametrize(
    ("conclusion", "verdict"),
    [
        ("success", CiVerdict.GREEN), ("failure", CiVerdict.RED), ("timed_out", CiVerdict.RED),
        ("cancelled", CiVerdict.RED), ("skipped", CiVerdict.UNKNOWN), ("neutral", CiVerdict.UNKNOWN),
        ("action_required", CiVerdict.PENDING), ("some_new_word", CiVerdict.PENDING),
        (None, CiVerdict.PENDING),
    ],
)  # fmt: skip
def test_a_check_run_means(conclusion: str | None, verdict: CiVerdict) -> None:
    """What was skipped proves nothing; a word that is not known means wait."""
    combined = CombinedStatus.of(SHA, statuses_of_runs([run("build", conclusion)]))
    assert combined.verdict is verdict


def test_jobs_of_one_name_do_not_hide_each_other() -> None:
    """Two workflows with a job `build`: the later green one leaves the red one in force."""
    runs = [
        run("build", "failure", completed_at="2026-01-01T10:00:00Z", check_suite={"id": 1}),
        run("build", "success", completed_at="2026-01-01T11:00:00Z", check_suite={"id": 2}),
    ]
    combined = CombinedStatus.of(SHA, statuses_of_runs(runs))
    assert [status.context for status in combined.statuses] == [
        "github-actions/build (1)",
        "github-actions/build (2)",
    ]
    assert combined.verdict is CiVerdict.RED


def test_our_own_checks_stay_our_own() -> None:
    """A check under our prefix proves nothing, by any author."""
    combined = CombinedStatus.of(SHA, statuses_of_runs([run("coalmine/progress", "success")]))
    assert combined.verdict is CiVerdict.UNKNOWN


def test_a_real_servers_issues_can_be_read() -> None:
    """Each issue that a real Gitea sent, with its nulls and its zero times."""
    lines = RECORDED.read_text(encoding="utf-8").splitlines()
    issues = [WireIssue.model_validate(json.loads(line)["body"]["issue"]) for line in lines]
    assert {issue.repository.full_name for issue in issues if issue.repository} == {"boss/proj"}
    assert {issue.user for issue in issues} == {"boss"}
    assert {user.login for issue in issues for user in issue.assignees} != set()
    assert {label.name for issue in issues for label in issue.labels} != set()
    assert all(issue.pull_request is None for issue in issues)


@pytest.mark.parametrize(
    ("head", "ours"),
    [
        ({"ref": "x", "label": "acme:x", "repo": {"full_name": "Acme/shop"}}, True),
        ({"ref": "refs/pull/3/head", "label": "x", "repo": {"full_name": "acme/shop"}}, True),
        ({"ref": "x", "label": "acme:x", "repo": None}, True),
        ({"ref": "x", "label": "eve:x", "repo": None}, False),
        ({"ref": "x", "label": "x", "repo": {"full_name": "eve/shop"}}, False),
        ({"ref": "y", "label": "acme:y", "repo": {"full_name": "acme/shop"}}, False),
    ],
)
def test_a_forks_branch_is_not_ours(head: dict[str, Any], *, ours: bool) -> None:
    """Anyone can name a branch of a fork like one of ours."""
    pull = WirePull.model_validate({"number": 3, "state": "open", "head": head, "base": {"ref": "main"}})
    assert is_of(pull, "acme/shop", "x") is ours


@pytest.mark.parametrize(
    "name", ["../admin", "a/../b", "acme/shop?x=1", "acme/shop#1", "acme/shop ", "a//b", ""]
)
def test_a_repository_is_named_or_refused(name: str) -> None:
    """What is not a name never becomes a path."""
    with pytest.raises(ForgeInvalidError):
        repository_path(name)


def test_a_repository_has_an_owner() -> None:
    """A name without one is nobody's on these forges."""
    assert repository_path("acme/shop.js") == "/repos/acme/shop.js"
    for name in ("shop", "acme/shop/more"):
        with pytest.raises(ForgeGoneError):
            repository_path(name)


@given(st.text())
def test_a_segment_stays_one_segment(text: str) -> None:
    """Whatever stands in it, it leads nowhere else."""
    try:
        segment = path_segment(text)
    except ForgeInvalidError:
        return
    assert not set(segment) & set("/?#&= \r\n\\")
    assert segment not in {"", ".", ".."}


@given(st.text(), st.text(), st.floats(min_value=0, max_value=4e9))
def test_no_header_makes_us_wait_for_ever(retry: str, reset: str, now: float) -> None:
    """Whatever a server writes, the pause lies between now and an hour from now."""
    headers = {"Retry-After": retry, "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": reset}
    until = resumes_at(429, headers, "", now)
    assert until is not None
    assert now <= until <= now + LONGEST_SECONDS


def _linear(what: str) -> dict[str, str]:
    """Linear's headers of one of its limits, which are in milliseconds; its status is 400."""
    return {
        f"X-RateLimit-{what}-Remaining": "0", f"X-RateLimit-{what}-Reset": "{epoch}000",
        "X-RateLimit-Endpoint-Requests-Remaining": "7",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("status", "headers", "said", "seconds"),
    [
        (429, {}, "", 60),
        (429, {"Retry-After": "30"}, "Retry later", 30),
        (429, {"RateLimit-Remaining": "0", "RateLimit-Reset": "{epoch}"}, "", 90),  # GitLab
        (429, {"RateLimit-Remaining": "0", "RateLimit-ResetTime": "Thu, 01 Jan 2026 00:02:00 GMT"}, "", 120),
        (429, {"RateLimit-Remaining": "0", "RateLimit-Reset": "45"}, "", 45),  # in seconds from now
        (429, {"RateLimit": '"default";r=0;t=50'}, "", 50),  # the IETF's draft
        (403, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "{epoch}"}, "", 90),
        (403, {"Retry-After": "20"}, "no", 20),
        (403, {"X-RateLimit-Remaining": "4000"}, "You have exceeded a secondary rate limit.", 60),
        (403, {}, "You have triggered an abuse detection mechanism. Please wait a few minutes", 60),
        (429, _linear("Requests"), "", 90),
        (429, _linear("Complexity"), "", 90),
        (503, {"Retry-After": "Thu, 01 Jan 2026 00:02:00 GMT"}, "", 120),
    ],
)
def test_every_way_to_say_a_limit_is_understood(
    status: int, headers: dict[str, str], said: str, seconds: float
) -> None:
    """GitHub's, Gitea's, GitLab's and the draft's, with headers and without."""
    now = AT.timestamp()
    given = {name: text.format(epoch=int(now + 90)) for name, text in headers.items()}
    assert resumes_at(status, given, said, now) == now + seconds


@pytest.mark.parametrize(
    ("status", "headers", "said"),
    [
        (403, {"X-RateLimit-Remaining": "4000"}, "Resource not accessible by personal access token"),
        (403, {}, "Your account was suspended for abuse"),
        (404, {"X-RateLimit-Remaining": "7"}, ""),
        (503, {}, ""),
    ],
)
def test_other_refusals_are_not_waited_for(status: int, headers: dict[str, str], said: str) -> None:
    """A missing permission is a refusal, and a server that is down has no limit."""
    assert resumes_at(status, headers, said, AT.timestamp()) is None


@pytest.mark.parametrize(
    ("body", "limited"),
    [
        (b'{"errors": [{"type": "RATE_LIMITED", "message": "API rate limit exceeded"}]}', True),
        (b'{"data": null, "errors": [{"extensions": {"code": "RATE_LIMITED"}}]}', True),
        (b'{"errors": [{"message": "x", "extensions": {"code": "RATELIMITED"}}]}', True),  # Linear, with 400
        (b'{"data": {"body": "RATE_LIMITED"}}', False),
        (b'[{"title": "RATE_LIMITED", "errors": []}]', False),
        (b'{"errors": [{"type": "NOT_FOUND", "message": "RATE_LIMITED"}]}', False),
        (b"RATE_LIMITED", False),
    ],
)
def test_graphql_says_a_limit_in_a_success(body: bytes, *, limited: bool) -> None:
    """Only as a kind of error: the text of an issue may say the word."""
    assert is_limited_answer(200, body) is limited
    assert is_limited_answer(400, body) is limited
    assert not is_limited_answer(404, body)


@pytest.mark.parametrize(
    ("retry", "seconds"),
    [("30", 30), ("Thu, 01 Jan 2026 00:02:00 GMT", 120), ("Mon, 01 Jan 2024 00:00:00 GMT", 0), ("soon", 60)],
)
def test_retry_after_is_a_number_or_a_date(retry: str, seconds: float) -> None:
    """RFC 9110 allows both; what is neither counts as unsaid."""
    assert resumes_at(429, {"Retry-After": retry}, "", AT.timestamp()) == AT.timestamp() + seconds
