"""GitHub's classic branch protections, as far as they keep pushes of our branches out.

A rule names branches by a pattern, and holds for branches that are yet to be made. REST shows the rule of a
branch that exists only, so GraphQL is asked: https://docs.github.com/graphql/reference/branches. Where it
does not show the rules (a token with few rights, a server of one's own), nothing is known, and the push is
tried.
"""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Annotated, Final

from pydantic import BeforeValidator, Field

from routing.forges.rest.client import ForgeClient
from routing.forges.rest.wire import Items, Login, Text, Wire

_USER: Final = "User"

_RULES: Final = (
    "query($owner: String!, $name: String!) { viewer { login } repository(owner: $owner, name: $name) { "
    "viewerCanAdminister branchProtectionRules(first: 100) { nodes { pattern isAdminEnforced lockBranch "
    "restrictsPushes pushAllowances(first: 100) { totalCount nodes { actor { __typename ... on User { "
    "login } } } } } } } }"
)

_Flag = Annotated[bool, BeforeValidator(bool)]  # null is no


class WireActor(Wire):
    """Who may push: a user, or a team or an App, of which we are perhaps."""

    kind: Text = Field("", validation_alias="__typename")
    login: Text = ""


class WireAllowance(Wire):
    """One of those who may push."""

    actor: WireActor | None = None


class WireAllowances(Wire):
    """Those who may push, the first of them."""

    count: int = Field(0, validation_alias="totalCount")
    nodes: Items[WireAllowance] = ()

    def may_name(self, login: str) -> bool:
        """Whether the user is named, or may be: of whom a team consists is not looked at."""
        actors = [one.actor for one in self.nodes]
        return self.count > len(actors) or any(
            actor is None or actor.kind != _USER or actor.login.casefold() == login.casefold()
            for actor in actors
        )


class WireClassicRule(Wire):
    """What a rule forbids."""

    pattern: Text = ""
    holds_for_admins: _Flag = Field(False, validation_alias="isAdminEnforced")
    locks: _Flag = Field(False, validation_alias="lockBranch")
    restricts: _Flag = Field(False, validation_alias="restrictsPushes")
    allowed: WireAllowances = Field(WireAllowances(), validation_alias="pushAllowances")


class WireClassicRules(Wire):
    """All rules of a repository, the first hundred."""

    nodes: Items[WireClassicRule] = ()


class WireProtected(Wire):
    """A repository with its rules."""

    is_ours: _Flag = Field(False, validation_alias="viewerCanAdminister")
    rules: WireClassicRules | None = Field(None, validation_alias="branchProtectionRules")


class WireClassicData(Wire):
    """What the query found; parts that may not be seen are null."""

    viewer: Login = ""
    repository: WireProtected | None = None


class WireClassicAnswer(Wire):
    """The answer of GraphQL."""

    data: WireClassicData | None = None


def keeps_out(client: ForgeClient, repo: str, branch: str) -> str:
    """The pattern of a rule that does not let us push a branch of this name, "" for none."""
    owner, _, name = client.called(repo).partition("/")
    asked = {"query": _RULES, "variables": {"owner": owner, "name": name}}
    said = client.parsed(WireClassicAnswer, client.write("POST", "/graphql", asked, repeatable=True)).data
    if said is None or said.repository is None or said.repository.rules is None:
        return ""
    for rule in said.repository.rules.nodes:
        bypassed = said.repository.is_ours and not rule.holds_for_admins
        shut = rule.locks or (rule.restricts and not rule.allowed.may_name(said.viewer))
        if shut and not bypassed and names(rule.pattern, branch):
            return rule.pattern
    return ""


def names(pattern: str, branch: str) -> bool:
    """Whether a rule's pattern names a branch: `*` stands for no slash, `**/` for any number of folders."""
    return _names(pattern.split("/"), branch.split("/"))


def _names(patterns: Sequence[str], parts: Sequence[str]) -> bool:
    if not patterns:
        return not parts
    first, *others = patterns
    if first == "**" and others:
        return any(_names(others, parts[skipped:]) for skipped in range(len(parts) + 1))
    return bool(parts) and fnmatchcase(parts[0], first) and _names(others, parts[1:])
