"""What is concluded of GitLab's answers: which labels can be trusted, and which pipelines count."""

from datetime import datetime

import pytest

from routing.forges.gitlab.feedback import hunk_at
from routing.forges.gitlab.label_times import LabelTimes
from routing.forges.gitlab.statuses import WirePipeline, in_force
from routing.http.address import ApiAddress


@pytest.mark.parametrize(
    ("changed", "put_on", "stood"),
    [
        ("12:00:00", "12:00:01.200000", True),
        ("12:00:00", "12:00:00.900000", False),
        ("12:00:00", "11:59:59.900000", False),
        ("09:00:00", "09:00:00.900000", True),  # the second in which it was made
        ("09:00:00", "08:59:59.900000", False),  # an event of a label that another was merged into
    ],
)
def test_what_is_older_than_the_change_of_a_label_proves_nothing(
    changed: str, put_on: str, *, stood: bool
) -> None:
    """GraphQL has whole seconds, events have parts of them."""
    day = "2026-01-01T"
    label = LabelTimes.model_validate(
        {"id": "gid://gitlab/GroupLabel/7", "createdAt": f"{day}09:00:00Z", "updatedAt": f"{day}{changed}Z"}
    )
    assert label.id == 7
    assert label.stood(datetime.fromisoformat(f"{day}{put_on}+00:00")) is stood


def test_of_a_merge_requests_pipelines_the_newest_counts() -> None:
    """Whether it runs at the head, at a merge of it, or on the train."""
    refs = ["refs/merge-requests/3/head", "refs/merge-requests/3/merge", "refs/merge-requests/4/head", "main"]
    pipelines = [WirePipeline(id=number, ref=ref) for number, ref in enumerate(refs)]
    assert [one.id for one in in_force(pipelines)] == [1, 2, 3]


@pytest.mark.parametrize(
    ("api", "graphql"),
    [
        ("https://api.github.com", "https://api.github.com/graphql"),
        ("https://github.test/api/v3", "https://github.test/api/graphql"),
        ("https://gitlab.test/tools/api/v4", "https://gitlab.test/tools/api/graphql"),
    ],
)
def test_graphql_is_beside_the_versions_of_an_api(api: str, graphql: str) -> None:
    """On a GitHub Enterprise Server and on GitLab; github.com has it below its address."""
    assert ApiAddress.of(api).graphql == graphql


def test_a_hunk_is_shown_up_to_the_line_that_is_meant() -> None:
    """Lines of the new file and removed ones are counted apart; a line that is in no hunk has none."""
    diff = "@@ -2,4 +2,3 @@\n two\n-three\n-four\n+drei\n\\ No newline at end of file\n five\n"
    assert hunk_at(diff, 3).splitlines()[1:] == [" two", "-three", "-four", "+drei"]
    assert hunk_at(diff, None, 3).splitlines()[1:] == [" two", "-three"]
    assert hunk_at(diff, None, 4).splitlines()[1:] == [" two", "-three", "-four"]
    assert hunk_at(diff, 4).endswith("\n five")
    assert (hunk_at(diff, None), hunk_at(diff, None, 2), hunk_at(diff, 9)) == ("", "", "")
