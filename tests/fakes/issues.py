"""Issues for tests, and a forge in memory that can be made to fail."""

from datetime import UTC, datetime
from typing import Any

from routing.forges.errors import ForgeGoneError, ForgeUnreachableError
from routing.issues.issue import Issue, IssueListing, IssueRef

#: When all of them were last changed.
AT = datetime(2026, 1, 1, tzinfo=UTC)


def ref(number: int, repo: str = "shop") -> IssueRef:
    """The name of an issue of the test's repository."""
    return IssueRef(forge="local", repo=repo, number=number)


def issue(number: int, body: str = "", **fields: Any) -> Issue:
    """An open issue that agents may work on."""
    given = {"ref": ref(number), "title": f"Issue {number}", "labels": ("agent",), "state": "open"} | fields
    return Issue(body=body, updated_at=AT, **given)


class IssueForge:
    """The issues that a test put in; what is not in is gone, and while it is down nothing is answered."""

    def __init__(self) -> None:
        self.issues: dict[IssueRef, Issue] = {}
        self.asked: list[IssueRef] = []
        self.down = False

    def put(self, one: Issue) -> Issue:
        """Make the issue what it is now."""
        self.issues[one.ref] = one
        return one

    def read_issue(self, ref: IssueRef) -> Issue:
        """The issue as it is now."""
        self.asked.append(ref)
        if self.down:
            message = "the forge is down"
            raise ForgeUnreachableError(message)
        if ref not in self.issues:
            message = f"there is no {ref}"
            raise ForgeGoneError(message)
        return self.issues[ref]

    def list_issues(self, repo: str, label: str | None) -> IssueListing:
        """The open issues of a repository that carry the label."""
        found = [one for one in self.issues.values() if one.ref.repo == repo and one.state == "open"]
        found = [one for one in found if label is None or label in one.labels]
        return IssueListing(issues=tuple(sorted(found, key=lambda one: one.ref.number)))

    def remove_label(self, ref: IssueRef, label: str) -> None:
        """Take the label off."""
        one = self.issues[ref]
        self.put(one.model_copy(update={"labels": tuple(each for each in one.labels if each != label)}))

    def close(self, ref: IssueRef) -> None:
        """Close the issue."""
        self.put(self.issues[ref].model_copy(update={"state": "closed"}))
