"""Whether our branches can be pushed to a repository: what forges over HTTP say before an agent is paid."""

import pytest

from tests.fakes.forge_world import OWN_LOGIN
from tests.servers.forge_server import Answer
from tests.servers.served_forges import ServedForge


def fault(served: ServedForge) -> str:
    """What is found."""
    return served.forge.repository_fault(served.world.repo)


def test_a_sound_repository_has_no_fault(served: ServedForge) -> None:
    """With rules for other branches, too."""
    served.world.protections = [{"rule_name": "release/*", "enable_push": False}]
    assert fault(served) == ""


def test_an_archived_repository_is_named(served: ServedForge) -> None:
    """Nothing can be pushed there."""
    served.world.archived = True
    assert "is archived" in fault(served)


def test_a_repository_that_is_not_there_is_named(served: ServedForge) -> None:
    """Or that the token may not see."""
    assert "404" in served.forge.repository_fault("acme/gone")


def test_a_user_who_may_not_push_is_named(served: ServedForge) -> None:
    """By the rights that the forge shows."""
    served.world.users[OWN_LOGIN] = "read"
    assert "may not write" in fault(served)


def test_rights_that_are_not_shown_keep_nobody_from_trying(served: ServedForge) -> None:
    """GitHub shows the token of an App's installation no right at all, although it may push."""
    served.world.users[OWN_LOGIN] = "none"
    assert fault(served) == ""


def test_an_empty_repository_is_named(served: ServedForge) -> None:
    """There is no commit that work could begin from."""
    served.world.repository.git("update-ref", "-d", "refs/heads/main")
    assert "has no commit on its main branch main; make a first one" in fault(served)


@pytest.mark.parametrize("let_in", [False, True])
def test_a_rule_that_keeps_our_branches_out_is_named(served: ServedForge, *, let_in: bool) -> None:
    """Unless our user may bypass it, or is on its list."""
    if served.kind == "github":
        served.world.shut = ["creation", "update", "deletion"]
        served.world.bypass = "always" if let_in else "never"
    else:
        served.world.protections = [
            {
                "rule_name": "coalmine/*",
                "enable_push": True,
                "enable_push_whitelist": True,
                "push_whitelist_usernames": [OWN_LOGIN if let_in else "ann"],
            }
        ]
    assert ("leave coalmine/* out of it" in fault(served)) is not let_in


def test_a_branch_protection_without_pushes_is_named(served: ServedForge) -> None:
    """A pattern that catches everything, of which only administrators think."""
    if served.kind == "github":
        return
    served.world.protections = [{"rule_name": "*/*", "enable_push": False}]
    assert "the branch protection */*" in fault(served)


def classic(pattern: str = "coalmine/*", *actors: tuple[str, str], **rule: bool) -> dict[str, object]:
    """A classic protection of GitHub's that lets these push."""
    nodes = [{"actor": {"__typename": kind, **({"login": name} if name else {})}} for kind, name in actors]
    allowed = {"pushAllowances": {"totalCount": len(nodes), "nodes": nodes}}
    return {"pattern": pattern, "restrictsPushes": True, **allowed, **rule}


@pytest.mark.parametrize(
    ("rule", "admin", "is_shut"),
    [
        (classic(), False, True),
        (classic("**/*"), False, True),
        (classic("*/*", ("User", "ann")), False, True),
        (classic("coalmine/*", lockBranch=True, restrictsPushes=False), False, True),
        (classic(), True, False),
        (classic(isAdminEnforced=True), True, True),
        (classic("coalmine/*", ("User", OWN_LOGIN.upper())), False, False),
        (classic("coalmine/*", ("Team", "")), False, False),
        (classic("coalmine/*", ("App", "")), False, False),
        (classic(restrictsPushes=False), False, False),
        (classic("*"), False, False),
        (classic("release/*"), False, False),
        (classic("coalmine/*/notes"), False, False),
    ],
)
def test_a_classic_protection_that_keeps_our_branches_out_is_named(
    served: ServedForge, rule: dict[str, object], *, admin: bool, is_shut: bool
) -> None:
    """By its pattern; who may push, perhaps by a team, or as an administrator, is let try."""
    if served.kind != "github":
        return
    served.world.users[OWN_LOGIN] = "admin" if admin else "write"
    served.world.classic = [classic("main"), rule]
    assert (f"the branch protection {rule['pattern']} of" in fault(served)) is is_shut
    if not is_shut:
        assert fault(served) == ""


@pytest.mark.parametrize(
    "answer",
    [
        {
            "data": None,
            "errors": [{"type": "FORBIDDEN", "message": "Resource not accessible"}],
        },
        {"data": {"viewer": {"login": OWN_LOGIN}, "repository": {"branchProtectionRules": None}}},
        {"errors": [{"message": "Field 'lockBranch' doesn't exist on type 'BranchProtectionRule'"}]},
    ],
)
def test_classic_protections_that_are_not_shown_keep_nobody_from_trying(
    served: ServedForge, answer: dict[str, object]
) -> None:
    """Some tokens may not see them, and older servers do not know all of them."""
    if served.kind != "github":
        return
    (route,) = (pattern for pattern in served.server.routes if "/graphql" in pattern.pattern)
    served.server.routes[route] = lambda _asked, _found: Answer(value=answer)
    assert fault(served) == ""


def test_rules_that_are_not_shown_keep_nobody_from_trying(served: ServedForge) -> None:
    """Only administrators see them on Gitea, and older servers have none."""
    for pattern in list(served.server.routes):
        if any(words in pattern.pattern for words in ("graphql", "/rules/", "branch_protections")):
            del served.server.routes[pattern]
    assert fault(served) == ""
