"""Which checks must pass on GitHub before a branch is merged into: by branch protection and rulesets.

https://docs.github.com/rest/branches/branches and https://docs.github.com/rest/repos/rules. Both are shown to
every token that may read the repository; the details of a protection only to administrators.
"""

from collections.abc import Mapping
from typing import Any, Literal

from routing.forges.errors import ForgeGoneError, ForgeInvalidError, ForgeRefusedError
from routing.forges.rest.client import ForgeClient
from routing.forges.rest.default_branch import default_branch
from routing.forges.rest.path import path_segment, repository_path
from routing.forges.rest.wire import Items, Text, Wire

#: What a forge answers about rules that it does not have, or does not show to this token.
_NOT_SHOWN = (ForgeGoneError, ForgeRefusedError, ForgeInvalidError)


class WireRequiredCheck(Wire):
    """A check that must pass: by its name, for any app."""

    context: Text = ""


class WireRequiredChecks(Wire):
    """The checks that a branch requires."""

    enforcement_level: Text = ""
    contexts: Items[str] = ()
    checks: Items[WireRequiredCheck] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """All of them, by name; none where they are not enforced."""
        if self.enforcement_level == "off":
            return ()
        return (*self.contexts, *(one.context for one in self.checks if one.context))


class WireProtection(Wire):
    """What is protected, as everybody may see it."""

    required_status_checks: WireRequiredChecks | None = None


class WireProtectedBranch(Wire):
    """A branch with its protection in short."""

    protected: bool = False
    protection: WireProtection | None = None


class WireRuleParameters(Wire):
    """What a rule of the type `required_status_checks` says."""

    required_status_checks: Items[WireRequiredCheck] = ()


class WireRule(Wire):
    """A rule of a ruleset that holds for a branch; other types have other parameters."""

    type: Literal["required_status_checks"]
    parameters: WireRuleParameters | None = None


def required_checks(client: ForgeClient, repo: str, branch: str = "") -> tuple[str, ...]:
    """The names of checks that a branch requires ("": the main one), each once; () where none are known."""
    branch = path_segment(branch or default_branch(client, repo))
    root = repository_path(repo)
    named = [
        *_protected(client, f"{root}/branches/{branch}"),
        *_ruled(client, f"{root}/rules/branches/{branch}"),
    ]
    return tuple(dict.fromkeys(named))


def _protected(client: ForgeClient, path: str) -> tuple[str, ...]:
    """By branch protection; where the short form names none, the long form is asked too."""
    try:
        branch = client.parsed(WireProtectedBranch, client.get(path))
    except _NOT_SHOWN:
        branch = WireProtectedBranch(protected=True)
    short = branch.protection.required_status_checks if branch.protection else None
    if short is not None or not branch.protected:
        return short.names if short else ()
    try:
        return client.parsed(
            WireRequiredChecks, client.get(f"{path}/protection/required_status_checks")
        ).names
    except _NOT_SHOWN:
        return ()


def _ruled(client: ForgeClient, path: str) -> tuple[str, ...]:
    """By the rulesets that hold for the branch."""
    try:
        listing = client.read_all(path)
    except _NOT_SHOWN:
        return ()
    rules = [client.parsed(WireRule, item) for item in listing.items if _requires_checks(item)]
    return tuple(
        one.context for rule in rules if rule.parameters for one in rule.parameters.required_status_checks
    )


def _requires_checks(item: Any) -> bool:
    return isinstance(item, Mapping) and item.get("type") == "required_status_checks"
