"""A fleet at work for the suite's GitHub, Gitea, Forgejo and GitLab: processes, webhooks, git over HTTP."""

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from routing.backlog.item import BacklogItem, BacklogState
from routing.git.git import Git
from routing.issues.issue import IssueRef
from routing.jobs.job import Job, JobState
from routing.jobs.signal import SignalKind
from routing.templates.version import Snapshot
from tasks.broker import POLL
from tasks.composition.composition import Coalmine
from tasks.composition.forge_parts import ForgeParts
from tasks.settings.issue_settings import WatchSettings
from tests.fakes.deliveries import DELIVERING_KINDS, SECRET, SentDelivery
from tests.fakes.forge_world import OWN_LOGIN, TOKEN, ForgeWorld, WorldComment, WorldIssue, WorldPull
from tests.fakes.world_deliveries import deliveries_of, review_deliveries
from tests.fleets.worker_fleet import WorkerFleet, fleet
from tests.programs.web_process import Console, console
from tests.repositories import new_repository
from tests.servers.forge_server import AskedRequest, ForgeServer
from tests.servers.gitea_server import gitea_server
from tests.servers.github_server import github_server
from tests.servers.gitlab_operations import foreign
from tests.servers.gitlab_server import gitlab_server
from tests.waiting import wait_until

LABEL = "coalmine"
IN_PROGRESS, FOR_HUMAN = WatchSettings().in_progress_label, WatchSettings().escalation_label
IN_REVIEW = WatchSettings().in_review_label

#: Notes its prompt and whose conversation it is in, waits while it is to be held, and does some work, or
#: settles conflicts, unless the issue says that there is nothing to be done.
AGENT = """
notes="$NOTES/$COALMINE_JOB_ID"; mkdir -p "$notes"
cp "$COALMINE_PROMPT_FILE" "$notes/prompt.$(ls "$notes" | grep -c prompt)"
echo "${COALMINE_SESSION:-none} $VARIANT" >> "$notes/turns"
echo '{"type": "session", "id": "s-'"$COALMINE_JOB_ID"'"}'
while [ -e "$NOTES/hold" ]; do sleep 0.05; done
if [ "$COALMINE_TURN_KIND" = conflict ]; then
    export GIT_AUTHOR_NAME=agent GIT_AUTHOR_EMAIL=a@b.test
    export GIT_COMMITTER_NAME=agent GIT_COMMITTER_EMAIL=a@b.test
    exec git merge --quiet -X ours -m "Settle it" origin/main
fi
grep -q "Nothing is to be done" "$COALMINE_PROMPT_FILE" || echo "$VARIANT" >> "work-$COALMINE_JOB_ID.txt"
"""


@dataclass(kw_only=True)
class ForgeShop:
    """One forge with what people, and CI, do there; the fleet is shared with the others."""

    kind: str
    world: ForgeWorld
    server: ForgeServer
    notes: Path
    parts: Coalmine
    forges: ForgeParts
    web: Console
    times: list[tuple[float, AskedRequest]] = field(default_factory=list)  # when each request was carried out

    def note(self, asked: AskedRequest) -> None:
        """Note when a request was carried out."""
        self.times.append((time.time(), asked))

    def issue(
        self, title: str = "Slow", body: str = "It is slow.", *, author: str = "ann", **more: Any
    ) -> WorldIssue:
        """Somebody opens an issue with the label of agents; no webhook is sent."""
        return self.world.open_issue(title, body, labels=[LABEL], author=author, **more)

    def tell(self, issue: WorldIssue, action: str) -> list[dict[str, Any]]:
        """The forge delivers what happened last; returns what the door answered."""
        return self.deliver(deliveries_of(self.kind, self.world, issue, action))

    def deliver(self, deliveries: Iterable[SentDelivery]) -> list[dict[str, Any]]:
        """Send deliveries to the door; returns what it answered."""
        answers = [self.web.post(sent) for sent in deliveries]
        assert {answer.status_code for answer in answers} == {200}, answers
        return [answer.json() for answer in answers]

    def review(self, pull: WorldPull, state: str, **said: Any) -> None:
        """Somebody judges a pull request, and the forge delivers that."""
        self.world.review(pull, state, **said)
        answers = self.deliver(review_deliveries(self.kind, self.world, pull))
        assert {answer["status"] for answer in answers} == {"success"}, answers

    def say(self, pull: WorldPull, text: str, *, by: str) -> None:
        """Somebody comments on a pull request, and the forge delivers that."""
        self.world.comment(pull.issue.number, by, text)
        answers = self.tell(pull.issue, "commented")
        assert {answer["status"] for answer in answers} == {"success"}, answers

    def poll(self) -> None:
        """What beat sends when it is time to look at the forge."""
        self.parts.app.send_task(POLL, args=(self.kind,), queue="control")

    def open(self, title: str = "Slow", body: str = "It is slow.", **more: Any) -> WorldIssue:
        """An issue that a webhook reports to the fleet."""
        issue = self.issue(title, body, **more)
        answers = self.tell(issue, "opened")
        assert answers[0] | {"status": "success", "issue_number": issue.number} == answers[0]
        return issue

    def ref(self, issue: WorldIssue) -> IssueRef:
        """The issue's name."""
        return IssueRef(forge=self.kind, repo=self.world.repo, number=issue.number)

    def item(self, issue: WorldIssue) -> BacklogItem | None:
        """The issue in the backlog."""
        return self.forges.backlog.known(self.ref(issue))

    def until_item(self, issue: WorldIssue, state: BacklogState) -> BacklogItem:
        """Wait for the issue's state in the backlog."""

        def found() -> BacklogItem | None:
            item = self.item(issue)
            return item if item is not None and item.state is state else None

        item = wait_until(found, description=f"{self.ref(issue)} is {state}", timeout=30)
        assert item is not None
        return item

    def jobs(self, issue: WorldIssue) -> list[Job]:
        """The jobs of an issue, oldest first."""
        name = str(self.ref(issue))
        return [job for job in self.parts.jobs.newest(most=100)[::-1] if job.request.issue == name]

    def until(self, issue: WorldIssue, state: JobState) -> Job:
        """Wait until the newest job of an issue is in a state."""
        wait_until(
            lambda: [job.state for job in self.jobs(issue)[-1:]] == [state],
            description=f"the job of {self.ref(issue)} is {state}",
            timeout=30,
        )
        return self.jobs(issue)[-1]

    def pull(self, job: Job) -> WorldPull:
        """Wait for the pull request of a job's branch."""
        wait_until(
            lambda: any(one.branch == job.branch for one in self.world.pulls.values()),
            description=f"a pull request of {job.branch} is open",
        )
        return self.world.pull_of(job.branch)

    def judge(self, issue: WorldIssue, word: str = "success") -> Job:
        """Wait until the issue's work is pushed, and have CI say something of it."""
        job = self.until(issue, JobState.WAITING)
        self.world.say(job.result.commit, "ci/build", word, description="all tests ran")
        return job

    def until_closed(self, issue: WorldIssue) -> Job:
        """Wait until an issue's work is done, it is closed, and its comment says so."""
        wait_until(lambda: issue.state == "closed", description=f"{self.ref(issue)} is closed", timeout=30)
        return self.until_shown(issue)

    def until_in_review(self, issue: WorldIssue) -> Job:
        """Wait until an issue's work is left to people to merge, and the issue says so."""
        shown = {IN_REVIEW: True, IN_PROGRESS: False}
        wait_until(
            lambda: all((label in issue.labels) is there for label, there in shown.items()),
            description=f"{self.ref(issue)} is in review",
            timeout=30,
        )
        return self.jobs(issue)[-1]

    def until_landed(self, issue: WorldIssue) -> Job:
        """Have a person merge an issue's work when it is in review, and wait until the issue is closed."""
        self.world.merge(self.pull(self.until_in_review(issue)), "Take it")
        return self.until_closed(issue)

    def until_shown(self, issue: WorldIssue) -> Job:
        """Wait until the issue is free for another job."""
        name = str(self.ref(issue))
        wait_until(
            lambda: not self.parts.job_store.active_on([name])[0][0],
            description=f"{name} shows the end of its job",
            timeout=30,
        )
        return self.jobs(issue)[-1]

    def ours(self, issue: WorldIssue) -> list[WorldComment]:
        """The comments that we wrote on an issue."""
        said = list(self.world.comments.values())
        return [one for one in said if one.issue == issue.number and one.author == OWN_LOGIN]

    def signals(self, job: Job) -> set[SignalKind]:
        """The kinds of facts that are known of a job."""
        return {fact.kind for fact in self.parts.signals.read(job.id)}

    def until_scored(self, job: Job) -> float | None:
        """Wait until a job is settled, and return its score."""
        wait_until(lambda: self.parts.jobs.find(job.id).settled_at, description="the job is settled")
        return self.parts.jobs.find(job.id).score

    def asked(self, method: str, end: str = "") -> list[AskedRequest]:
        """What the forge was asked, by method and the end of its path."""
        return [one for one in list(self.server.asked) if one.method == method and one.path.endswith(end)]

    def requests_for(self, branch: str) -> list[AskedRequest]:
        """How we asked for a branch to be merged into another one."""
        path, name = ("/merge_requests", "source_branch") if self.kind == "gitlab" else ("/pulls", "head")
        return [one for one in self.asked("POST", path) if one.body[name] == branch]

    def comments_on(self, issue: WorldIssue) -> list[AskedRequest]:
        """What we wrote on an issue, apart from edits."""
        what = "notes" if self.kind == "gitlab" else "comments"
        return self.asked("POST", f"/issues/{issue.number}/{what}")

    def turns(self, job: Job) -> list[list[str]]:
        """For each turn of a job: the conversation that it resumed, and its version's variant."""
        return [line.split() for line in (self.notes / job.id / "turns").read_text().splitlines()]

    def prompt(self, job: Job, turn: int = 0) -> str:
        """The agent's prompt at the beginning of a turn."""
        return (self.notes / job.id / f"prompt.{turn}").read_text()

    def push(self, branch: str, name: str) -> str:
        """A person pushes one more commit to a branch."""
        Git(self.world.repository.bench)("fetch", "--quiet", "origin")
        return self.world.repository.work(branch, {name: "by hand\n"}, onto=f"origin/{branch}")

    @contextmanager
    def held(self) -> Iterator[None]:
        """Agents wait in the middle of their turn until the block ends."""
        hold = self.notes / "hold"
        hold.touch()
        try:
            yield
        finally:
            hold.unlink()


@dataclass(frozen=True, kw_only=True, slots=True)
class ForgeShops:
    """All forges, and the fleet that serves them."""

    shops: Mapping[str, ForgeShop]
    fleet: WorkerFleet
    parts: Coalmine


#: What serves each kind; Forgejo is a Gitea.
_SERVERS = {"github": github_server, "gitlab": gitlab_server}


def _settings(kind: str, server: ForgeServer, world: ForgeWorld) -> dict[str, str]:
    values = {
        "BASE_URL": server.address,
        "TOKEN": TOKEN,
        "REPOSITORIES": world.repo,
        "KILL_SWITCH": "off",
        "WEBHOOK_SECRET": SECRET,
    }
    if kind == "gitlab":  # which requires no checks by name, so that more of them would be waited for
        values["SETTLE_SECONDS"] = "0"
    return {f"COALMINE_FORGE__{kind.upper()}__{name}": value for name, value in values.items()}


def _for_all(values: Mapping[str, str]) -> dict[str, str]:
    return {
        f"COALMINE_FORGE__{kind.upper()}__{name}": value
        for kind in DELIVERING_KINDS
        for name, value in values.items()
    }


@contextmanager
def forge_shops(
    folder: Path, redis_url: str, *, forges: Mapping[str, str], **settings: str
) -> Iterator[ForgeShops]:
    """A worker, beat and the console on all forges; `forges` are settings of each of them."""
    with ExitStack() as stack:
        worlds, servers = {}, {}
        for kind in DELIVERING_KINDS:
            home = folder / kind
            home.mkdir(parents=True)
            worlds[kind] = ForgeWorld(new_repository(home, bare=True))
            worlds[kind].required_once_seen = ["ci/build"]  # so that nobody waits for more checks to begin
            servers[kind] = _SERVERS.get(kind, gitea_server)(worlds[kind])
            stack.callback(servers[kind].stop)
            settings |= _settings(kind, servers[kind], worlds[kind])
        made = stack.enter_context(fleet(folder, redis_url, **settings, **_for_all(forges)))
        parts = made.coalmine()
        notes = folder / "notes"
        notes.mkdir()
        parts.templates.add("implementer", agent(notes, "champion"))
        made.worker()
        made.beat()
        web = stack.enter_context(console(redis_url, variables=made.variables))
        wired = ForgeParts(coalmine=parts, run_ci=lambda _commit: None)
        shops = {
            kind: ForgeShop(
                kind=kind,
                world=worlds[kind],
                server=servers[kind],
                notes=notes,
                parts=parts,
                forges=wired,
                web=web,
            )
            for kind in DELIVERING_KINDS
        }
        for shop in shops.values():
            shop.server.after = shop.note
        yield ForgeShops(shops=shops, fleet=made, parts=parts)
        asked = list(servers["gitlab"].asked)
        assert {wrong for one in asked for wrong in foreign(one)} == set()  # see tests/real for the others


def agent(notes: Path, variant: str) -> Snapshot:
    """A version whose agents do their work, and sign it with the name of their variant."""
    environment = {"NOTES": str(notes), "VARIANT": variant}
    return Snapshot(prompt="Do what the issue says.", command=AGENT, environment=environment)
