"""`coalmine trial …`, on jobs that a worker's steps have brought to their end."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
import redis
import tomli_w

from console.output.cost_views import cost_document
from harvest.evidence.policy import TrialPolicy
from routing.cost import NO_COST
from routing.jobs.job import JobRequest, JobResult, JobState
from routing.jobs.lifecycle import Claim
from routing.jobs.signal import SignalKind, signal
from tasks.agents.runtimes.agent_event import Usage
from tasks.composition.composition import Coalmine
from tests.fakes.scripted import ScriptedDraws
from tests.fleets.pairs import paired_fleet
from tests.fleets.stepped_fleet import spend
from tests.programs.command_line import CommandLine

CANARY, CHAMPION = 0.1, 0.9


def work(parts: Coalmine, good: bool) -> str:  # noqa: FBT001 - reads as a table below
    """Enqueue one job and bring it to a clean end, or to a crash of its agent."""
    job = parts.mailbox.enqueue(JobRequest(template="implementer", task="do")).job
    claim = parts.jobs.claim(job, worker="w", lease_seconds=30)
    assert isinstance(claim, Claim)
    kind = SignalKind.FINISHED if good else SignalKind.AGENT_ERRORED
    state = JobState.SUCCEEDED if good else JobState.ESCALATED
    facts = [signal(kind, at=parts.signals.now())]
    parts.jobs.end(claim, state, reason="done", result=JobResult(cost_usd=0.5), signals=facts)
    return job


def play(coalmine: CommandLine, outcomes: Sequence[tuple[float, bool]]) -> list[str]:
    """Work jobs with these draws and outcomes, and harvest them."""
    with coalmine.coalmine(ScriptedDraws(draw for draw, _ in outcomes)) as parts:
        jobs = [work(parts, good) for _, good in outcomes]
        parts.harvester.harvest()
    return jobs


def test_open_takes_the_settings_policy_and_what_is_given(coalmine: CommandLine, template: str) -> None:
    """Options win over the environment, and that over the defaults."""
    opened = coalmine.document(
        *("trial", "open", template, "--share", "0.25", "--guardrail", "cost_usd=2.5:0.1", "--provisional"),
        COALMINE_CANARY__POLICY__SHARE="0.4", COALMINE_CANARY__POLICY__DELTA="0.2",
    )  # fmt: skip
    policy = opened["trial"]["policy"]
    assert (opened["trial"]["share"], policy["delta"], policy["alpha"]) == (0.25, 0.2, 0.05)
    assert policy["guardrails"] == [{"name": "cost_usd", "cap": 2.5, "margin": 0.1}]
    assert policy["strict"] is False
    again = coalmine.document("trial", "open", f"{template}@v2")
    assert (again["changed"], again["trial"]["share"]) == (False, 0.25)


#: Each field of a policy that has an option: in the file, in a variable, its option, and what that means.
POLICY: dict[str, tuple[Any, Any, str, Any]] = {
    "mode": ("draw", "shadow", "--mode draw", "draw"),
    "share": (0.2, 0.3, "--share 0.4", 0.4),
    "pair_share": (0.5, 0.6, "--pair-share 0.7", 0.7),
    "delta": (0.2, 0.21, "--delta 0.22", 0.22),
    "alpha": (0.01, 0.02, "--alpha 0.03", 0.03),
    "beta": (0.01, 0.02, "--beta 0.03", 0.03),
    "margin": (0.01, 0.02, "--margin 0.03", 0.03),
    "max_canary_jobs": (100, 200, "--max-canary-jobs 300", 300),
    "max_days": (10, 11, "--max-days 12", 12),
    "budget_usd": (5, 6, "--budget-usd 7", 7),
    "ramp": (True, False, "--ramp", True),
    "strict": (False, True, "--provisional", False),
    "revert_window_seconds": (100, 200, "--revert-window 300", 300),
    "settle_deadline_seconds": (1000, 2000, "--settle-deadline 3000", 3000),
    "strata": ("repository", "difficulty", "--strata none", "none"),
    "guardrails": (
        [{"name": "tokens", "cap": 9.0}],
        [{"name": "fix_forwards", "cap": 3.0}],
        "--guardrail cost_usd=2.5:0.1",
        [{"name": "cost_usd", "cap": 2.5, "margin": 0.1}],
    ),
}  # fmt: skip

#: Those that are in the settings alone, and the form of the record.
WITHOUT_OPTION = {"prior_mean", "prior_weight", "stratum_weight", "v"}


def test_each_option_of_a_policy_holds_over_environment_and_file(coalmine: CommandLine) -> None:
    """Not given, it overrides nothing: the file holds."""
    assert POLICY.keys() == TrialPolicy.model_fields.keys() - WITHOUT_OPTION
    of_file = {name: values[0] for name, values in POLICY.items()}
    settings = {"canary": {"policy": of_file}}
    (coalmine.folder / "coalmine.toml").write_text(tomli_w.dumps(settings))
    variables = {f"COALMINE_CANARY__POLICY__{name.upper()}": json.dumps(each[1]).strip('"')
                 for name, each in POLICY.items()}  # fmt: skip
    options = " ".join(values[2] for values in POLICY.values()).split()
    for number, (words, given) in enumerate([([], {}), (options, variables)]):
        name = f"agent-{number}"
        coalmine.shown("template", "add", name, "--prompt", "be good", "--command", "./agent.sh")
        coalmine.shown("template", "propose", name, "--prompt", "be better")
        policy = coalmine.document("trial", "open", name, *words, **given)["trial"]["policy"]
        guardrails = [{name: each[name] for name in each if each[name]} for each in policy.pop("guardrails")]
        wanted = {name: values[(0, 3)[number]] for name, values in POLICY.items()}
        assert guardrails == wanted.pop("guardrails")
        assert {field: policy[field] for field in wanted} == wanted


def test_status_shows_arms_evidence_and_verdict(coalmine: CommandLine, template: str) -> None:
    """Counts by arm, evidence against its threshold, and why nothing is decided yet."""
    coalmine.shown("trial", "open", template, "--share", "0.5")
    play(coalmine, [(CANARY, False), (CHAMPION, True), (CANARY, True)])
    (found,) = coalmine.document("trial", "status")["trials"]
    assert found["verdict"] == "hold"
    canary = found["arms"]["canary"]
    assert canary.pop("cost") == cost_document(NO_COST)
    assert canary.pop("price")["changes"] == 0
    assert canary == {
        "dispatched": 2, "settled": 2, "open": 0, "excluded": 0, "rerouted": 0, "mean": 0.5,
    }  # fmt: skip
    assert found["thresholds"] == {"worse": 20.0, "not_worse": 20.0}
    shown = coalmine.shown("trial", "status", template)
    assert "After 2 canary jobs" in shown
    assert "█" in shown


def test_explain_is_the_table_of_the_verdict(coalmine: CommandLine, template: str) -> None:
    """Each job in dispatch order; the evidence of the last line is that of the status, and it decided."""
    coalmine.shown("trial", "open", template, "--share", "0.5")
    jobs = play(coalmine, [(CANARY, False), (CHAMPION, True)] * 8)
    found = coalmine.document("trial", "explain", template)
    assert [line["job"] for line in found["jobs"]] == jobs
    assert found["jobs"][0]["arm"] == "canary"
    assert found["jobs"][0]["score"] == 0.0
    last = found["jobs"][-1]["readings"]["worse"]["evidence"]
    assert last == pytest.approx(found["trial"]["evidence"]["worse"])
    assert last >= 20
    assert found["trial"]["verdict"] == "rolled_back"
    assert "lower than the champion's" in " ".join(found["trial"]["reasons"])


def test_long_tables_are_cut_unless_all_is_asked_for(coalmine: CommandLine, template: str) -> None:
    """The last jobs are shown, and how many are not."""
    coalmine.shown("trial", "open", template, "--share", "0.5")
    jobs = play(coalmine, [(CANARY, index % 2 == 0) for index in range(45)])
    cut = coalmine.shown("trial", "explain", template)
    assert jobs[0] not in cut
    assert "5 earlier jobs are not shown" in cut
    assert jobs[0] in coalmine.shown("trial", "explain", template, "--all")


def test_replay_agrees_until_the_stored_state_is_changed(
    coalmine: CommandLine, template: str, redis_client: redis.Redis
) -> None:
    """The ledger gives the stored state; when somebody changed that, the exit code says so."""
    coalmine.shown("trial", "open", template, "--share", "0.5")
    play(coalmine, [(CANARY, True), (CHAMPION, True)])
    assert coalmine.document("trial", "replay", template)["same"] is True
    key = "coalmine:trial:implementer-t1"
    stored = json.loads(str(redis_client.hget(key, "evidence")))
    evidence = json.loads(stored["evidence"])
    evidence["canary"]["total"] = 0.0
    stored["evidence"] = json.dumps(evidence)
    redis_client.hset(key, "evidence", json.dumps(stored))
    result = coalmine("trial", "replay", template)
    assert result.exit_code == 6
    assert "canary total" in result.stdout
    redis_client.hset(key, "evidence", "broken")
    result = coalmine("trial", "replay", template, "--json")
    assert result.exit_code == 6
    assert json.loads(result.stdout)["recomputed"]["canary"]["total"] == 1.0


def test_replay_of_pairs_agrees_until_the_stored_state_is_changed(
    coalmine: CommandLine, redis_client: redis.Redis
) -> None:
    """The same for a trial of pairs: one settled, one left out, one of which a half is late, one open."""
    fleet = paired_fleet(redis_client)
    said = coalmine.shown("trial", "replay", "implementer")
    assert "implementer-t1: the ledger of 4 pairs gives the stored state, to the last digit" in said
    found = coalmine.document("trial", "replay", "implementer")
    assert (found["same"], found["jobs"], found["stored"]["counts"]["champion_only"]) == (True, 4, 1)
    assert found["stored"] == found["recomputed"]
    key = fleet.app.keys.trial("implementer-t1")
    stored = json.loads(str(redis_client.hget(key, "evidence")))
    evidence = json.loads(stored["evidence"])
    evidence["discordance"]["total"] = 0.5
    redis_client.hset(key, "evidence", json.dumps(stored | {"evidence": json.dumps(evidence)}))
    result = coalmine("trial", "replay", "implementer")
    assert (result.exit_code, "discordance" in result.stdout) == (6, True), result.stdout
    redis_client.hset(key, "evidence", "broken")
    result = coalmine("trial", "replay", "implementer", "--json")
    assert result.exit_code == 6
    document = json.loads(result.stdout)
    assert (document["stored"], document["recomputed"]["counts"]["champion_only"]) == (None, 1)


def test_stop_ends_a_trial_without_a_verdict(coalmine: CommandLine, template: str) -> None:
    """The canary is pending again, and stopping twice changes nothing."""
    coalmine.shown("trial", "open", template)
    stopped = coalmine.document("trial", "stop", template, "--reason", "wrong model")
    assert (stopped["changed"], stopped["trial"]["state"]) == (True, "stopped")
    assert stopped["trial"]["reason"] == "wrong model"
    assert coalmine.document("trial", "stop", template)["changed"] is False
    assert coalmine.document("template", "show", f"{template}@v2")["state"] == "pending"
    assert coalmine.document("trial", "status")["trials"] == []
    assert [found["id"] for found in coalmine.document("trial", "list")["trials"]] == ["implementer-t1"]


def test_a_trial_that_holds_itself_says_why_and_can_be_resumed(coalmine: CommandLine, template: str) -> None:
    """Draws that do not fit the share: which check, with its counts, and what to do; then it goes on."""
    coalmine.shown("trial", "open", template, "--share", "0.2")
    play(coalmine, [(CANARY, True)] * 8)
    (found,) = coalmine.document("trial", "status")["trials"]
    assert (found["held_by"], found["verdict"]) == (["draws"], "hold")
    shown = " ".join(coalmine.shown("trial", "status", template).split())
    assert "8 of 8 are the canary's, about 1.6 were to be expected" in shown
    assert f"coalmine trial resume {template}-t1" in shown
    resumed = coalmine.document("trial", "resume", template, "--reason", "drawn by hand")
    assert (resumed["changed"], resumed["trial"]["released"]) == (True, ["draws"])
    assert "A person let it go on" in " ".join(coalmine.shown("trial", "status", template).split())
    assert coalmine.document("trial", "resume", template)["changed"] is False


def test_plan_says_how_many_jobs_a_verdict_takes(coalmine: CommandLine) -> None:
    """By simulation, without a server; a clear loss is found soon and rolled back."""
    found = coalmine.document(
        *("trial", "plan", "--share", "0.3", "--baseline", "0.7", "--difference", "-0.5"),
        COALMINE_REDIS_URL="redis://127.0.0.1:1/0",
    )
    (plan,) = found["plans"]
    assert plan["roll_back"] > 0.95
    assert plan["mean_canary_jobs"] < 30
    ways = {(way["mode"], way["share"]): way for way in found["modes"]}
    assert list(ways) == [("draw", 0.3), ("draw", 0.5), ("shadow", 1.0), ("backtest", 1.0)]
    assert ways["shadow", 1.0]["exposed"] == 0 < ways["draw", 0.5]["exposed"]
    assert ways["shadow", 1.0]["issues"] < ways["draw", 0.5]["issues"] < ways["draw", 0.3]["issues"]
    assert ways["shadow", 1.0]["runs"] == 2 * ways["shadow", 1.0]["issues"]
    assert {way["usd"] for way in found["modes"]} == {None}


def test_plan_of_a_template_has_money_and_days(coalmine: CommandLine, template: str) -> None:
    """By its jobs so far: what one costs, and how many come in a day."""
    with coalmine.coalmine() as parts:
        for _ in range(5):
            job = parts.mailbox.enqueue(JobRequest(template=template, task="do")).job
            claim = parts.jobs.claim(job, worker="w", lease_seconds=30)
            assert isinstance(claim, Claim)
            spend(parts, claim, Usage(cost_usd=0.5), seconds=60)
            facts = [signal(SignalKind.FINISHED, at=parts.signals.now())]
            parts.jobs.end(claim, JobState.SUCCEEDED, reason="done", result=JobResult(), signals=facts)
    asked = ("trial", "plan", template, "--share", "0.3", "--baseline", "0.7", "--difference", "-0.5")
    found = coalmine.document(*asked)
    pace, ways = found["pace"], {(way["mode"], way["share"]): way for way in found["modes"]}
    assert (pace["usd_per_run"], pace["seconds_per_run"]) == (0.5, 60)
    for way in (ways["shadow", 1.0], ways["draw", 0.3]):
        assert way["usd"] == pytest.approx(0.5 * way["runs"])
        assert way["days"] == pytest.approx(way["issues"] / pace["issues_per_day"])
    assert ways["shadow", 1.0]["extra_usd"] > ways["draw", 0.3]["extra_usd"] == 0
    assert ways["backtest", 1.0]["usd"] > 0 < ways["backtest", 1.0]["days"]
    shown = coalmine.shown(*asked)
    assert f"By the newest jobs of {template}: 0.50 USD a job, " in shown
    assert f" {ways['shadow', 1.0]['extra_usd']:.2f} " in shown


def test_a_version_that_gets_no_trial_is_named_where_people_look(coalmine: CommandLine) -> None:
    """Pairs without a judge: the proposal, the trials, the status and the doctor give the reason."""
    shadow = {"COALMINE_CANARY__POLICY__MODE": "shadow"}
    coalmine.shown("template", "add", "implementer", "--command", "true", "--policy", "canary")
    proposed = coalmine.shown("template", "propose", "implementer", "--prompt", "two", **shadow)
    assert "waits for a trial, which cannot be opened" in " ".join(proposed.split())
    (held,) = coalmine.document("trial", "status")["held"]
    assert held["version"] == "implementer@v2"
    assert "judge.command" in held["reason"]
    for command in (("trial", "status"), ("status",)):
        shown = " ".join(coalmine.shown(*command).split())
        assert "implementer@v2" in shown, command
        assert "nothing can judge" in shown, command
    findings = {found["check"]: found for found in coalmine.document("doctor", "--wait", "0.1")["findings"]}
    assert "implementer@v2: nothing can judge the work of pairs" in findings["trials"]["message"]
