"""A backtest on a real fleet whose halves crash, are cancelled, wait for a limit and lose their worker."""

import json
from pathlib import Path

import pytest
from redis import Redis

from harvest.backtests.case import Case, HiddenFile
from harvest.backtests.case_pair import CasePair
from harvest.evidence.health import HealthCheck
from harvest.pairs.pair_ledger import PairSettlement
from routing.embedded.private_server import PrivateServer
from routing.git.git import Git
from routing.jobs.job import JobState
from routing.templates.trial import Arm
from routing.templates.version import Snapshot
from tasks.backtests.opening import BacktestOrder
from tasks.backtests.report import replayed
from tasks.backtests.running import evidence_of, own_jobs
from tests.fleets.shop import ShopFleet, shop
from tests.fleets.worker_fleet import until_state
from tests.waiting import wait_until

pytestmark = pytest.mark.long

#: No verdict, whatever becomes of the few pairs.
LONG = '{"delta": 0.9, "alpha": 0.0001, "beta": 0.0001}'

#: What happens to the canary, and once to the champion, by a word of the case's text.
FAULTS = ("crash", "champion-crashes", "cancel", "limit", "lost-worker", "nothing")

GOOD = "echo done > done.txt"

CHAMPION = f"""if grep -q 'champion-crashes' "$COALMINE_PROMPT_FILE"; then exit 7; fi; {GOOD}"""

#: It remembers its limit in its tree, all that it keeps where it is confined.
CANARY = f"""case "$(cat "$COALMINE_PROMPT_FILE")" in *'Fault: crash.'*) exit 7;;
*'Fault: cancel.'*|*'Fault: lost-worker.'*) tail -f /dev/null;;
*'Fault: limit.'*) if mkdir seen; then echo '{{"type": "limit", "text": "enough"}}'; exit 1; fi;; esac
{GOOD}"""

#: Each version has an account of its own, so that the limit of one is not the other's.
ACCOUNTS = [{"name": name, "runtime": "command"} for name in ("of-champion", "of-canary")]


def test_faults_in_one_half_hit_its_version_or_leave_out_the_pair(
    tmp_path: Path, redis_client: Redis, redis_server: PrivateServer
) -> None:
    """A crash scores 0 on its side; a cancel and a lost worker leave out the pair; a limit costs waiting."""
    assert redis_client.ping()
    variables = {"COALMINE_TIMES__LEASE_SECONDS": "3", "COALMINE_ACCOUNT": json.dumps(ACCOUNTS)}
    with shop(
        tmp_path, redis_server.url, CHAMPION, ci="test -e done.txt", policy=LONG, variables=variables
    ) as made:
        parts, templates = made.parts, made.parts.templates
        content = Snapshot(prompt="Do it well.", command=CANARY, accounts=("of-canary",))
        canary = templates.propose("implementer", content).version
        order = BacktestOrder(
            canary=canary, champion=templates.champion("implementer"), cases=cases_of(made), by="a test"
        )
        run = parts.backtest_opening.open(order)
        found = {}
        for number in range(len(FAULTS)):
            pair = given_out(made, run.id, number)
            fault = pair.name
            act(made, fault, pair)
            found[fault] = line_of(made, run.id, number)
        assert {name: (line.champion, line.canary) for name, line in found.items()} == {
            "crash": (1.0, 0.0), "champion-crashes": (0.0, 1.0), "cancel": (None, None), "limit": (1.0, 1.0),
            "lost-worker": (None, None), "nothing": (1.0, 1.0),
        }  # fmt: skip
        assert found["limit"].waited == (Arm.CANARY,)
        assert (found["cancel"].excluded_by, found["lost-worker"].excluded_by) == (None, Arm.CANARY)
        wait_until(
            lambda: not parts.backtest_opening.find(run.id).is_running, description="all cases are used up"
        )
        ended = parts.backtest_opening.find(run.id)
        state = evidence_of(ended)
        assert (state.counts.settled, state.counts.excluded) == (4, 2)
        assert state.health.balances[HealthCheck.EXCLUSIONS].canary == 1
        assert state.health.balances[HealthCheck.LIMITS].canary == 1
        assert replayed(parts.backtest_store, ended, state) == state


def cases_of(made: ShopFleet) -> list[Case]:
    """One past issue for each fault, on the commit that the shop is at."""
    hidden, base = (HiddenFile(path="tests/hidden.txt", content="hidden\n"),), made_at(made)
    return [
        Case(id=fault, repository="local:shop", base=base, text=f"Fault: {fault}.", hidden=hidden)
        for fault in FAULTS
    ]


def made_at(made: ShopFleet) -> str:
    """The commit that the shop is at."""
    return Git(made.repository.path)("rev-parse", "HEAD")


def given_out(made: ShopFleet, run: str, number: int) -> CasePair:
    """A pair, once it was given out."""
    store = made.parts.backtest_store
    wait_until(lambda: len(store.pairs(run)) > number, description=f"pair {number} is given out", timeout=60)
    return CasePair.model_validate_json(store.pairs(run)[number])


def act(made: ShopFleet, fault: str, pair: CasePair) -> None:
    """What a person, or the machine, does to the canary's half, when the champion's work is done."""
    parts = made.parts
    canary, champion = (parts.jobs.find(job) for job in own_jobs(pair))
    if fault != "champion-crashes":
        wait_until(lambda: parts.jobs.find(champion.id).handed_at, description="the champion's work is done")
    if fault in {"cancel", "lost-worker"}:
        until_state(parts, canary.id, JobState.RUNNING)
    if fault == "cancel":
        parts.jobs.cancel(canary.id, by="ada", at=parts.now())
    if fault == "lost-worker":
        made.fleet.kill("w1")
        made.fleet.worker("w2")
    if fault == "limit":
        wait_until(
            lambda: canary.id in parts.job_store.limited(9), description="the canary waits for its account"
        )
        assert parts.jobs.find(canary.id).attempts == 0
        parts.breakers.reopen("command:of-canary", by="a test")


def line_of(made: ShopFleet, run: str, number: int) -> PairSettlement:
    """What became of a pair, once that is known."""

    def found() -> list[PairSettlement]:
        lines = made.parts.backtest_store.settlements(run)
        read = (PairSettlement.model_validate_json(line) for line in lines)
        return [line for line in read if line.index == number]

    wait_until(found, description=f"pair {number} is settled", timeout=60)
    (line,) = found()
    return line
