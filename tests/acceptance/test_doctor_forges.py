"""`coalmine doctor` on forges: what it finds out, and that none of it ends in a traceback."""

import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from routing.backlog.backlog import Backlog
from routing.issues.issue import IssueRef
from routing.store.backlog.delivery_store import DeliveryStore, NewDelivery
from tasks.composition.forge_parts import ForgeParts
from tests.fakes.forge_world import OWN_LOGIN, TOKEN, ForgeWorld
from tests.fakes.issues import issue
from tests.programs.command_line import CommandLine
from tests.repositories import new_repository
from tests.servers.forge_server import Answer, ForgeServer
from tests.servers.gitea_server import gitea_server
from tests.servers.github_app import AppServer, make_key
from tests.servers.github_server import github_server

Found = dict[str, tuple[str, str]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Patient:
    """A forge, and a doctor who looks at it."""

    kind: str
    server: ForgeServer
    world: ForgeWorld
    coalmine: CommandLine

    def variables(self, **changes: str) -> dict[str, str]:
        """Settings under which all is well."""
        values = {
            "BASE_URL": self.server.address,
            "TOKEN": TOKEN,
            "REPOSITORIES": self.world.repo,
            "KILL_SWITCH": "off",
            "LOGIN": OWN_LOGIN,
            "WEBHOOK_SECRET": "5" * 32,
            "GIT_URL": self.server.address,
        } | changes
        prefix = f"COALMINE_FORGE__{self.kind.upper()}__"
        return {f"{prefix}{name}": value for name, value in values.items() if value != "-"}

    def found(self, code: int = 0, **changes: str) -> Found:
        """What is found by check: status, and message with remedy."""
        return examined(self.coalmine, code, **self.variables(**changes))

    def check(self, what: str) -> str:
        """The check of the one repository."""
        return f"{what}-{self.kind}:{self.world.repo}"


def examined(coalmine: CommandLine, code: int, **variables: str) -> Found:
    """What the doctor finds."""
    result = coalmine("doctor", "--wait", "0.1", "--json", **variables)
    assert result.exit_code == code, result.output
    assert TOKEN not in result.output
    document = json.loads(result.stdout)
    return {
        each["check"]: (each["status"], f"{each['message']} | {each['remedy']}")
        for each in document["findings"]
    }


@pytest.fixture(params=["github", "gitea", "forgejo"])
def patient(
    request: pytest.FixtureRequest, coalmine: CommandLine, template: str, tmp_path: Path
) -> Iterator[Patient]:
    """Each of the suite's forges, and a template that works on its issues."""
    assert template == "implementer"
    place = tmp_path / "forge"
    place.mkdir()
    world = ForgeWorld(new_repository(place, bare=True))
    world.users[OWN_LOGIN] = "admin"
    server = github_server(world) if request.param == "github" else gitea_server(world)
    yield Patient(kind=request.param, server=server, world=world, coalmine=coalmine)
    server.stop()


def test_a_forge_that_is_well(patient: Patient) -> None:
    """Settings, webhook, API and git: each says what it found, and nothing is written to the forge."""
    found = patient.found()
    wrong = {check for check, (status, _) in found.items() if status != "ok"}
    assert wrong <= {"workers", "secrecy", "sandbox"}  # the last where there is no bubblewrap
    assert "label coalmine" in found[f"forge-{patient.kind}"][1]
    assert found[f"webhook-{patient.kind}"] == ("ok", "its secret is set | ")
    version = "API of 2022-11-28" if patient.kind == "github" else "version 1.22.3"
    assert version in found[patient.check("access")][1]
    assert f"git reads {patient.server.address}/acme/shop.git" in found[patient.check("git")][1]
    assert {asked.method for asked in patient.server.asked} == {"GET"}


def test_a_forge_of_which_only_the_kind_is_set(coalmine: CommandLine, tmp_path: Path) -> None:
    """What it lacks is said to the person who named it."""
    file = tmp_path / "named.toml"
    file.write_text('[[forge]]\nkind = "gitea"\n', encoding="utf-8")
    found = examined(coalmine, 0, COALMINE_CONFIG=str(file))
    status, said = found["forge-gitea"]
    assert (status, "it has no address" in said, "set forge.gitea.base_url" in said) == (
        "warning",
        True,
        True,
    )
    assert "forges" not in found


def test_a_wrong_token(patient: Patient) -> None:
    """It is refused by the API and by git, and that is distinguished from silence."""
    found = patient.found(1, TOKEN="wr0ng-tok3n")  # noqa: S106 - it opens nothing
    status, said = found[patient.check("access")]
    assert (status, "the token was refused" in said) == ("problem", True), said
    assert f"forge.{patient.kind}.token" in said
    status, said = found[patient.check("git")]
    assert (status, "refused" in said) == ("problem", True), said
    assert "wr0ng" not in str(found)


def test_a_repository_that_is_not_there(patient: Patient) -> None:
    """The one that is gone is named; the one beside it is looked at all the same."""
    found = patient.found(1, REPOSITORIES="acme/gone,acme/shop")
    for what in ("access", "git"):
        status, said = found[f"{what}-{patient.kind}:acme/gone"]
        assert (status, "repositories" in said) == ("problem", True), said
        assert found[patient.check(what)][0] == "ok"


def test_a_server_that_is_down(patient: Patient) -> None:
    """Nobody listens: that is said once, with what to look at, and is not the token's fault."""
    found = patient.found(1, BASE_URL="http://127.0.0.1:1", REPOSITORIES="acme/shop,acme/tool")
    status, said = found[patient.check("access")]
    assert (status, "does not answer" in said, "base_url" in said) == ("problem", True, True)
    assert f"access-{patient.kind}:acme/tool" not in found


def test_a_server_that_talks_nonsense(patient: Patient) -> None:
    """A login page in place of the API, or a connection that is cut, is neither an answer nor a traceback."""
    patient.server.next.append(Answer(raw=b"<html>log in</html>", headers={"Content-Type": "text/html"}))
    assert "does not answer" in patient.found(1)[patient.check("access")][1]
    patient.server.silent = True
    assert "does not answer" in patient.found(1)[patient.check("access")][1]


@pytest.mark.parametrize("patient", ["github"], indirect=True)
def test_a_forge_that_never_answers(patient: Patient) -> None:
    """Neither the API nor git is waited for longer than some seconds, of the minutes that a fleet has."""
    door = patient.server.git
    assert door is not None
    door.open.clear()
    found = patient.found(1)
    assert found[patient.check("access")][0] == "ok"
    assert found[patient.check("git")][0] == "problem"
    assert "took over 4 s" in found[patient.check("git")][1]
    with socket.create_server(("127.0.0.1", 0)) as mute:
        address = f"http://127.0.0.1:{mute.getsockname()[1]}"
        said = patient.found(1, BASE_URL=address)[patient.check("access")][1]
    assert "does not answer" in said
    assert "timed out" in said


def test_a_user_who_may_not_write(patient: Patient) -> None:
    """Reading is not enough."""
    patient.world.users[OWN_LOGIN] = "read"
    status, said = patient.found(1)[patient.check("access")]
    assert (status, "not written" in said) == ("problem", True)


def test_a_user_who_may_not_ask_about_people(patient: Patient) -> None:
    """Gitea tells administrators only: without that no issue is ever dispatched."""
    patient.world.users[OWN_LOGIN] = "write"
    status, said = patient.found(0 if patient.kind == "github" else 1)[patient.check("access")]
    assert (status == "problem", "administrator" in said) == (patient.kind != "github",) * 2


@pytest.mark.parametrize(
    ("changes", "check", "status", "said"),
    [
        ({"TOKEN": "-"}, "forge", "warning", "no token"),
        ({"REPOSITORIES": ""}, "forge", "warning", "no repository"),
        ({"KILL_SWITCH": "-"}, "forge", "warning", "kill_switch = false"),
        ({"ENABLED": "off"}, "forge", "warning", "enabled = true"),
        ({"LABEL": ""}, "forge", "warning", "every open issue"),
        ({"WEBHOOK_SECRET": "-"}, "webhook", "ok", "every 60 s"),
        ({"WEBHOOK_SECRET": "short"}, "webhook", "warning", "could be guessed"),
        ({"WEBHOOK_SECRET": "5" * 15}, "webhook", "warning", "shorter than 16 characters"),
        ({"PREVIOUS_WEBHOOK_SECRET": "6" * 15}, "webhook", "warning", "the previous webhook secret of"),
        ({"PREVIOUS_WEBHOOK_SECRET": "6" * 32}, "webhook", "warning", "take forge"),
    ],
)
@pytest.mark.parametrize("patient", ["github"], indirect=True)
def test_settings_that_keep_a_forge_from_work(
    patient: Patient, changes: dict[str, str], check: str, status: str, said: str
) -> None:
    """Each is said with the setting to change; none of them is a fault."""
    found = examined(patient.coalmine, 0, **patient.variables(**changes))[f"{check}-github"]
    assert found[0] == status
    assert said in found[1]


def test_settings_that_make_no_forge_are_a_finding(coalmine: CommandLine, template: str) -> None:
    """A token that could not be sent; the variable is named, and what it holds is not shown."""
    assert template
    given = {"TOKEN": "two words", "REPOSITORIES": "acme/shop"}
    found = examined(coalmine, 1, **{f"COALMINE_FORGE__GITHUB__{name}": given[name] for name in given})
    assert found["settings"][0] == "problem"
    assert "COALMINE_FORGE__GITHUB__TOKEN" in found["settings"][1]
    assert "two words" not in str(found)


def test_a_template_that_is_not_there(coalmine: CommandLine) -> None:
    """Issues would be escalated one by one."""
    folder = str(coalmine.folder)
    found = examined(
        coalmine, 1,
        COALMINE_FORGE__LOCAL__REPOSITORY=folder, COALMINE_FORGE__LOCAL__ISSUES=folder,
        COALMINE_FORGE__LOCAL__TEMPLATE="fixer",
    )  # fmt: skip
    assert found["forge-templates"][0] == "problem"
    assert "coalmine template add fixer" in found["forge-templates"][1]


@pytest.fixture
def backlog(coalmine: CommandLine, template: str) -> Iterator[Backlog]:
    """The backlog by the command line."""
    assert template
    with coalmine.coalmine() as parts:
        yield ForgeParts(coalmine=parts, run_ci=lambda _commit: None, given={}).backlog


def shop(number: int) -> IssueRef:
    """An issue's name."""
    return IssueRef(forge="github", repo="acme/shop", number=number)


def test_cycles_and_held_issues_are_counted(coalmine: CommandLine, backlog: Backlog) -> None:
    """With the command that lists them; otherwise the backlog's counts are said."""
    backlog.accept(issue(3, ref=shop(3)))
    assert examined(coalmine, 0)["backlog"] == ("ok", "1 ready | ")
    backlog.accept(issue(1, "Blocked by: #2", ref=shop(1)))
    backlog.accept(issue(2, "Blocked by: #1", ref=shop(2)))
    backlog.accept(issue(4, "- " * 40 + "depends on #1", ref=shop(4)))
    status, said = examined(coalmine, 0)["backlog"]
    assert status == "warning"
    assert "2 issues wait for themselves in a cycle, 1 have a body" in said
    assert "coalmine issue list --state blocked" in said


def test_starts_without_a_job_are_found(coalmine: CommandLine, backlog: Backlog) -> None:
    """A slot that nobody works in; one that was taken a moment ago is none."""
    backlog.accept(issue(1, ref=shop(1)))
    backlog.start(shop(1), per_repo=1)
    assert examined(coalmine, 0)["backlog"] == ("ok", "1 in progress | ")
    with coalmine.coalmine() as parts:
        stored: Any = parts.redis
        fields = json.loads(stored.hget(parts.keys("backlog"), str(shop(1)))) | {
            "started_at": f"{backlog.now() - 301:.6f}"
        }
        stored.hset(parts.keys("backlog"), str(shop(1)), json.dumps(fields))
    status, said = examined(coalmine, 1)["backlog"]
    assert (status, str(shop(1)) in said) == ("problem", True)


def test_an_intake_that_nobody_empties_is_found(coalmine: CommandLine, backlog: Backlog) -> None:
    """What a webhook reported a moment ago is not one; what is due for minutes is."""
    with coalmine.coalmine() as parts:
        store = DeliveryStore(parts.redis, parts.keys, parts.clock)
        delivery = NewDelivery(digest="d", issue=str(shop(1)), hint={"digest": "d"}, event={})
        assert store.accept(delivery) == "ok"
        assert examined(coalmine, 0)["intake"][0] == "ok"
        parts.redis.zadd(parts.keys("intake"), {str(shop(1)): backlog.now() - 121})
    status, said = examined(coalmine, 0)["intake"]
    assert (status, "control" in said) == ("warning", True)


@pytest.mark.parametrize("patient", ["github"], indirect=True)
def test_a_github_app_is_asked_for_a_token(patient: Patient, tmp_path: Path) -> None:
    """Its key and its installation are looked at; the suite's git knows no tokens that were lent."""
    key = make_key(tmp_path)
    app = {"TOKEN": "-", "APP_ID": "4711", "APP_KEY_PATH": str(key)}
    AppServer(patient.server, app_id=4711, key=key)
    status, said = patient.found(1, **app)[patient.check("access")]
    assert (status, "API of 2022-11-28" in said) == ("ok", True)
    lost = patient.found(1, **(app | {"APP_KEY_PATH": str(tmp_path / "none.pem")}))
    status, said = lost[patient.check("access")]
    assert status == "problem"
    assert "no RSA key in PEM form, or not to be read" in said
    assert "or correct what is set in its place" in said
