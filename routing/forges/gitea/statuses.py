"""CI of a commit on Gitea or Forgejo. Their own Actions report as statuses, so there is one API for both.

What must pass a branch says itself (`GET /repos/OWNER/NAME/branches/BRANCH`), by the rule that holds for it;
where it does not, the rules are read. The names are patterns of contexts (`CI / *`). A rule without names
asks for whatever there is, which says nothing of what is to come.
"""

import re
from fnmatch import fnmatchcase

from routing.forges.commit_status import CombinedStatus, CommitStatus
from routing.forges.errors import ForgeGoneError, ForgeInvalidError, ForgeRefusedError
from routing.forges.failing_log import Complaint, failing_log_of
from routing.forges.rest.client import ForgeClient
from routing.forges.rest.default_branch import default_branch
from routing.forges.rest.path import path_segment, repository_path
from routing.forges.rest.statuses import read_statuses
from routing.forges.rest.wire import Items, Text, Wire
from routing.forges.work_branch import checked_commit

#: What Actions' contexts end with: `CI / build (push)`. A run of the same job for another event is its twin.
_EVENT = re.compile(r"(?<=.) \([a-z_]+\)$")

#: What Actions says of a run that was stopped; its state is that of a failure.
_CANCELLED = "Has been cancelled"


#: What a forge answers about rules that it does not have, or does not show to this token.
_NOT_SHOWN = (ForgeGoneError, ForgeRefusedError, ForgeInvalidError)


class GiteaStatuses:
    """Statuses of one forge. It keeps nothing: a check that is run again is seen at the next call."""

    def __init__(self, client: ForgeClient) -> None:
        self._client = client

    def of(self, repo: str, commit: str, branch: str = "") -> CombinedStatus:
        """Return all reports about the commit, or raise ForgeGoneError when it does not exist.

        What must pass is what the branch requires, "" for the main branch.
        """
        path = repository_path(repo)
        required = required_checks(self._client, repo, branch)
        said = self._read(repo, commit)
        if not said.statuses:  # Gitea may list nothing for a commit that it does not have
            self._client.get(f"{path}/git/commits/{commit}")
        return said.model_copy(update={"required": required})

    def _read(self, repo: str, commit: str) -> CombinedStatus:
        """Oldest first, so that of two within one second the one that came later counts."""
        path = f"{repository_path(repo)}/commits/{checked_commit(commit)}/statuses"
        return CombinedStatus.of(commit, map(_named, reversed(read_statuses(self._client, path))))

    def failing_log(self, repo: str, commit: str, *, most_characters: int) -> str:
        """Return the line and the address of each check that failed: Gitea's API has no logs of other CIs."""
        failed = self._read(repo, commit).failed
        return failing_log_of(
            [Complaint(heading=one.complaint, text=one.url) for one in failed], most_characters
        )


def _named(status: CommitStatus) -> CommitStatus:
    """A status with the name that its runs for other events share, and whether it was cancelled."""
    name = _EVENT.sub("", status.context)
    return status.model_copy(update={"name": name, "cancelled": status.description == _CANCELLED})


class WireStatusRule(Wire):
    """What a branch requires, or a rule requires of the branches that it names."""

    enable_status_check: bool = False
    status_check_contexts: Items[str] = ()
    branch_name: Text = ""  # of a rule, a name or a pattern; newer versions call it so:
    rule_name: Text = ""
    effective_branch_protection_name: str | None = None  # of a branch, which rule it obeys

    @property
    def names(self) -> tuple[str, ...]:
        """The patterns of contexts that must pass."""
        return tuple(name for name in self.status_check_contexts if name) if self.enable_status_check else ()


def required_checks(client: ForgeClient, repo: str, branch: str = "") -> tuple[str, ...]:
    """The patterns of contexts that a branch requires ("": the main one); () where none are known."""
    name = branch or default_branch(client, repo)
    try:
        rule = client.parsed(
            WireStatusRule, client.get(f"{repository_path(repo)}/branches/{path_segment(name)}")
        )
    except _NOT_SHOWN:
        return _by_rules(client, repo, name)
    if rule.names or rule.effective_branch_protection_name == "":
        return rule.names
    return _by_rules(client, repo, name)


def _by_rules(client: ForgeClient, repo: str, branch: str) -> tuple[str, ...]:
    """The first rule that names the branch: the forge lists them by their priority."""
    try:
        listing = client.read_all(f"{repository_path(repo)}/branch_protections")
    except _NOT_SHOWN:
        return ()
    rules = [client.parsed(WireStatusRule, item) for item in listing.items]
    holding = [one for one in rules if fnmatchcase(branch, one.rule_name or one.branch_name)]
    exact = [one for one in holding if branch in {one.rule_name, one.branch_name}]
    return next((one.names for one in (*exact, *holding)), ())
