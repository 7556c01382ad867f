"""What a worker does for a job of a case: what its agent reaches, and what is said of that."""

import random
from dataclasses import replace

import pytest
import redis

from routing.jobs.job import Job
from routing.sandbox.bubblewrap_here import Bubblewrap
from routing.sandbox.profile import Injection, NetworkMode, SandboxKind, SandboxProfile
from routing.templates.version import Snapshot
from tasks.agents.pairs.case_work import CaseWork
from tasks.agents.proxy.hosts import OF_MODELS
from tasks.agents.runtimes.runtime import RuntimeRefusedError, RuntimeSpec
from tasks.agents.sandbox.choice import SandboxMissingError, choose
from tasks.backtests.report import read_report
from tasks.composition.pair_parts import case_work_of
from tasks.settings.backtest_settings import BacktestSettings
from tasks.settings.settings import JudgeSettings
from tests.fleets.backtests import SteppedBacktest
from tests.fleets.stepped_fleet import SteppedFleet


def backtest_on(client: redis.Redis, *allow: str) -> SteppedBacktest:
    """A backtest with a pair that is given out, and hosts that its settings allow."""
    fleet = SteppedFleet(
        client, judge=JudgeSettings(command="make test"), generator=random.Random(7),
        backtest=BacktestSettings(allow=allow),
    )  # fmt: skip
    fleet.add()
    fleet.propose()
    made = SteppedBacktest(fleet)
    made.tick()
    return made


def added(host: str) -> Injection:
    """A secret that is added for a host."""
    return Injection(host=host, header="authorization", secret="TOKEN")  # noqa: S106 - a variable's name


def confined(work: CaseWork, job: Job, *hosts: str) -> SandboxProfile:
    """What a version's profile with secrets for these hosts becomes on a case."""
    profile = SandboxProfile(
        network=NetworkMode.ALLOW_LIST, allow=("example.org",), inject=tuple(map(added, hosts))
    )
    return work.confined(job, RuntimeSpec.of(Snapshot(prompt="x", profile=profile))).profile


def test_no_secret_is_added_for_a_forge(redis_client: redis.Redis) -> None:
    """With it an agent could ask for the true change; those for models stay, and those of the settings."""
    made = backtest_on(redis_client, "models.example:8443")
    work, job = case_work_of(made.fleet.app), made.jobs()[0]
    profile = confined(work, job, "api.github.com", "api.anthropic.com", "models.example:8443")
    assert [one.host for one in profile.inject] == ["api.anthropic.com", "models.example:8443"]
    assert profile.allow == (*OF_MODELS, "models.example:8443")
    assert not profile.usual_hosts


def test_the_report_names_what_jobs_reach_beside_models(redis_client: redis.Redis) -> None:
    """Hosts of the settings are the operator's own decision, and the result says so."""
    made = backtest_on(redis_client, "models.example:8443", "*.shop.example")
    work, app = case_work_of(made.fleet.app), made.fleet.app
    for job, kind in zip(made.jobs(), (SandboxKind.BUBBLEWRAP, SandboxKind.NONE), strict=True):
        work.note_reach(job, kind, confined(work, job))
    report = read_report(app.backtest_store, app.log_store, made.now)
    assert report.beyond == ["*.shop.example", "models.example:8443"]
    assert (report.unconfined, report.looked) == (1, 2)


def test_a_case_and_a_shadow_get_no_less_than_the_fleet_requires(redis_client: redis.Redis) -> None:
    """A case gives a version a sandbox that has none, if one works here; a shadow of it is not started."""
    made = backtest_on(redis_client)
    work, job = case_work_of(made.fleet.app), made.jobs()[0]
    none = RuntimeSpec.of(Snapshot(prompt="x", sandbox=SandboxKind.NONE))
    works, broken = Bubblewrap(program="/usr/bin/bwrap"), Bubblewrap(why_not="it is not installed")
    required = SandboxKind.BUBBLEWRAP
    lifted = work.confined(job, none)
    assert choose(lifted, required=required, bubblewrap=works).kind is required
    with pytest.raises(SandboxMissingError, match="require_sandbox"):
        choose(lifted, required=required, bubblewrap=broken)
    shadow = work.confined(replace(job, case="", backtest=""), none)
    with pytest.raises(RuntimeRefusedError, match="require_sandbox"):
        choose(shadow, required=required, bubblewrap=works)


@pytest.mark.parametrize("reached", ["models", "machine"])
def test_a_version_without_a_sandbox_gets_one_on_a_case(redis_client: redis.Redis, reached: str) -> None:
    """Where it works here; elsewhere it runs as it is, and the report says of how many jobs."""
    works = reached == "models"
    made = backtest_on(redis_client)
    work, job, app = case_work_of(made.fleet.app), made.jobs()[0], made.fleet.app
    here = Bubblewrap(program="/usr/bin/bwrap") if works else Bubblewrap(why_not="it is not installed")
    none = RuntimeSpec.of(Snapshot(prompt="x", sandbox=SandboxKind.NONE))
    spec = work.confined(job, none)
    assert spec.profile.network is NetworkMode.ALLOW_LIST
    choice = choose(spec, required=SandboxKind.NONE, bubblewrap=here)
    assert choice.kind is (SandboxKind.BUBBLEWRAP if works else SandboxKind.NONE)
    work.note_reach(job, choice.kind, spec.profile)
    assert app.backtest_store.reaches(made.run.id) == {job.id: reached}
    assert read_report(app.backtest_store, app.log_store, made.now).unconfined == int(not works)
    assert work.confined(replace(job, case=""), none) is none
