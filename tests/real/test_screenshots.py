"""The pictures of docs/screenshots: what a fleet at work looks like, on a phone and a wide screen.

With COALMINE_SCREENSHOTS set to a folder (docs/screenshots) they are made anew there. Look at them then.
"""

import os
import random
import struct
import time
from functools import partial
from pathlib import Path

import pytest
import redis

from harvest.evidence.policy import TrialPolicy
from routing.backlog.backlog import Backlog
from routing.backlog.settings import BacklogSettings
from routing.embedded.private_server import PrivateServer
from routing.jobs.job import JobResult, JobState
from routing.jobs.signal import SignalKind
from routing.store.fleet.clock_store import ClockStore
from routing.templates.version import Snapshot
from tasks.agents.mail.address import Author
from tasks.agents.mail.letter import Letter
from tasks.agents.mail.role import Role
from tests.fakes.issues import IssueForge, issue
from tests.fleets.stepped_fleet import SteppedFleet
from tests.programs.browser import Chromium, chromium
from tests.programs.web_process import console
from tests.source import ROOT
from tests.waiting import wait_until

KEPT = ROOT / "docs" / "screenshots"
SIZES = {"phone": (360, 780), "desktop": (1440, 900)}

TITLES = (
    "Round totals half to even", "Refuse an empty voucher", "Say which field of the form is wrong",
    "Keep the cart when a session ends", "Send the invoice once", "Sort names with umlauts",
)  # fmt: skip


@pytest.fixture
def fleet(redis_client: redis.Redis) -> SteppedFleet:
    """A day of work in two repositories: a trial on its way, agents at work, one that asks."""
    chance = random.Random(7)
    made = SteppedFleet(
        redis_client,
        draws=[chance.random() for _ in range(200)],
        policy=TrialPolicy(share=0.4, revert_window_seconds=0.0),
    )
    made.clock.now = time.time() - 12 * 3600
    made.add(prompt="Make the tests pass.")
    second = Snapshot(prompt="Read the tests first. Make them pass, and add one that fails without you.")
    made.open(made.app.templates.propose("implementer", second).version)
    for number in range(64):
        repository = ("acme/shop", "acme/bank")[number % 2]
        title = TITLES[number % len(TITLES)]
        named = {"title": title, "task": title, "repository": repository}
        job = made.enqueue(**named, issue=f"local:{repository}#{number + 1}").job
        made.clock.forward(640)
        arm = made.app.jobs.find(job).arm
        good = chance.random() < (0.82 if arm is not None and arm.value == "canary" else 0.74)
        kind = SignalKind.FINISHED if good else SignalKind.AGENT_ERRORED
        claim = made.claim(job)
        made.spend(claim, usd=0.3 + chance.random(), seconds=300 + 600 * chance.random())
        state = JobState.SUCCEEDED if good else JobState.ESCALATED
        said = JobResult(tail="All tests pass." if good else "test_total still fails.")
        made.app.jobs.end(claim, state, reason=kind.value, result=said, signals=[made.fact(kind)])
    made.app.harvester.harvest()
    backlog = Backlog(
        made.app.backlog_store, forges={"local": IssueForge()}, settings=BacklogSettings(),
        escalation_label="ready-for-human",
    )  # fmt: skip
    for number in range(201, 206):
        backlog.accept(issue(number, "", labels=[]), requested_by="ada")
    for number in range(3):
        job = made.enqueue(
            title=TITLES[number], task=TITLES[number], repository="acme/shop",
            issue=f"local:acme/shop#{300 + number}",
        ).job  # fmt: skip
        made.claim(job, lease_seconds=1e9)
        made.app.log_store.say(
            job, "tool", ("pytest tests/test_total.py", "git diff", "grep -rn voucher shop/")[number]
        )
        agent = made.app.agents.register(role=Role.BUILDER, job=job)
    made.app.log_store.flush()
    asked = {"options": ["half to even", "half up"], "context": "The tests and the specification disagree."}
    letter = Letter.checked(
        to="operator", type_="decision_gate", subject="How are totals rounded?",
        body="test_total expects 0.12 of 0.125, the specification says 0.13.", payload=asked,
    )  # fmt: skip
    made.app.post_office.send(Author(address=agent.name), letter)
    redis_client.hset(made.app.keys("pulse"), "at", str(time.time()))  # a sweep began just now
    clocks = ClockStore(redis_client, made.app.keys)
    clocks.report("jobs@build-1", 0.02, version="0.1.0", queues=["champion", "canary"])
    clocks.report("control@build-1", 0.02, version="0.1.0", queues=["control"])
    return made


def shows(browser: Chromium, address: str) -> bool:
    """Open a page; whether it is the page, and not what a busy machine had to say instead."""
    browser.open(address)
    return bool(browser.run("return performance.getEntriesByType('navigation')[0].responseStatus") == 200)


def test_the_pictures_are_of_the_pages_that_there_are(
    redis_server: PrivateServer, fleet: SteppedFleet, tmp_path: Path
) -> None:
    """Each is made, has its size, and shows something; docs/screenshots has these and no others."""
    folder = Path(os.environ.get("COALMINE_SCREENSHOTS") or tmp_path / "made").absolute()
    folder.mkdir(exist_ok=True)
    pages = {
        "home": "/",
        "trial": "/trials/implementer",
        "template": "/templates/implementer",
        "job": f"/jobs/{fleet.app.jobs.newest(most=1, states=frozenset([JobState.SUCCEEDED]))[0].id}",
        "gate": f"/mail/{fleet.app.post_office.newest(1)[0].id}",
    }
    with console(redis_server.url, variables={}) as web, chromium(tmp_path) as browser:
        for size, (width, height) in SIZES.items():
            browser.size(width, height)
            for colours in ("light", "dark"):
                browser.colours(colours)
                for name, path in pages.items():
                    wait_until(partial(shows, browser, web.address + path), description=f"{path} is shown")
                    browser.screenshot(folder / f"{name}-{size}-{colours}.png")
    made = {file.name: file.read_bytes() for file in folder.glob("*.png")}
    assert {file.name for file in KEPT.glob("*.png")} == set(made)
    for name, content in made.items():
        assert struct.unpack(">II", content[16:24]) == SIZES[name.split("-")[1]], name
        assert len(content) > 5_000, f"{name} shows next to nothing"
    assert len(set(made.values())) == len(made), "two pictures are the same"
