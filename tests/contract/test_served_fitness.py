"""Whether our branches can be pushed to a repository: what GitHub and Gitea say before an agent is paid."""

import pytest

from tests.fakes.forge_world import OWN_LOGIN
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


def test_rules_that_are_not_shown_keep_nobody_from_trying(served: ServedForge) -> None:
    """Only administrators see them on Gitea, and older servers have none."""
    for pattern in list(served.server.routes):
        if "/rules/" in pattern.pattern or "branch_protections" in pattern.pattern:
            del served.server.routes[pattern]
    assert fault(served) == ""
