"""`/metrics`: what Prometheus reads of a fleet, that labels stay few, and that alerts use what there is."""

import re
from pathlib import Path
from typing import Any

import pytest
import redis
import yaml
from prometheus_client.parser import text_string_to_metric_families

from console.metrics.exposition import CONTENT_TYPE, exposed
from console.metrics.metric_list import METRICS, TRIAL, MetricKind
from console.metrics.readings import read_metrics
from console.web.app import web_of
from harvest.evidence.policy import TrialPolicy
from routing.accounts.breaker import version_breaker
from routing.jobs.signal import SignalKind
from routing.store.redis.connection import connect
from routing.store.redis.health import memory_use
from routing.templates.step import StepKind
from routing.templates.way import Way
from tasks.composition.composition import compose
from tasks.settings.settings import Settings
from tests.fakes.deliveries import FORGES, payload, sent
from tests.fleets.stepped_fleet import SteppedFleet
from tests.servers.web_client import WebClient

ROOT = Path(__file__).parents[2]

Numbers = dict[tuple[str, tuple[str, ...]], float]


def numbers(text: str) -> Numbers:
    """Each number of the text by its metric and the values of its labels, in the order of the names."""
    return {
        (sample.name, tuple(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@pytest.fixture
def fleet(redis_client: redis.Redis) -> SteppedFleet:
    """A fleet with an open trial; the first job is drawn to the canary."""
    made = SteppedFleet(redis_client, draws=[0.1, *[0.9] * 20], policy=TrialPolicy(share=0.5))
    made.on_trial()
    return made


def scraped(fleet: SteppedFleet) -> Numbers:
    """What a scrape of the fleet has."""
    return numbers(exposed(read_metrics(fleet.app)).decode())


def test_jobs_are_counted_where_they_are(fleet: SteppedFleet) -> None:
    """Queued and running ones, those that run by template and arm, and how long the oldest has waited."""
    first = fleet.enqueue(issue="local:shop#1").job
    fleet.claim(first, lease_seconds=10_000)
    fleet.enqueue(issue="local:shop#2")
    fleet.clock.forward(60)
    fleet.enqueue(issue="local:shop#3")
    fleet.clock.forward(30)
    found = scraped(fleet)
    assert found["coalmine_jobs", ("queued",)] == 2
    assert found["coalmine_jobs", ("running",)] == 1
    # sorted by the labels' names: arm, queue, template
    assert found["coalmine_agents", ("canary", "canary", "implementer")] == 1
    assert found["coalmine_oldest_queued_job_seconds", ()] == 90
    assert found["coalmine_trial_jobs", ("canary", "open", "implementer")] == 0  # the harvest has not read it


def test_a_closed_account_counts_down(fleet: SteppedFleet) -> None:
    """Until it is tried again; one that a person must open has no number."""
    fleet.app.breakers.close("claude:a", "opus", until=fleet.clock() + 600, words="", by="ada")
    fleet.app.breakers.close("claude:b", "*", until=None, words="the bill", by="ada")
    fleet.clock.forward(200)
    found = scraped(fleet)
    assert found["coalmine_account_open", ("claude:a",)] == 0
    left = {key: value for key, value in found.items() if key[0] == "coalmine_account_closed_seconds_left"}
    assert left == {("coalmine_account_closed_seconds_left", ("claude:a", "opus")): 400}


def test_a_version_that_does_not_start_is_not_among_accounts(fleet: SteppedFleet) -> None:
    """Its breaker is beside those of accounts; a label with a version would grow with the work."""
    version = version_breaker("implementer@v1")
    fleet.app.breakers.close(version, "*", until=fleet.clock() + 600, words="", by="ada")
    assert not [key for key in scraped(fleet) if any("version:" in label for label in key[1])]


def test_a_trial_is_shown_with_its_evidence_and_thresholds(fleet: SteppedFleet) -> None:
    """Its state, its arms and its two questions, while it is open; its state alone afterwards."""
    job = fleet.enqueue().job
    fleet.end(job, SignalKind.AGENT_ERRORED)
    fleet.clock.forward(60)
    fleet.app.harvester.harvest()
    found = scraped(fleet)
    assert found["coalmine_trial", ("open", "implementer")] == 1
    assert found["coalmine_trial", ("expired", "implementer")] == 0
    assert found["coalmine_trial_jobs", ("canary", "settled", "implementer")] == 1
    assert found["coalmine_trial_mean_score", ("canary", "implementer")] == 0
    assert ("coalmine_trial_mean_score", ("champion", "implementer")) not in found
    assert found["coalmine_trial_evidence", ("worse", "implementer")] > 1
    assert found["coalmine_trial_threshold", ("worse", "implementer")] == 20
    assert found["coalmine_trial_age_seconds", ("implementer",)] == 60
    fleet.app.trials.stop(fleet.app.trials.find("implementer"), by="ada")
    ended = scraped(fleet)
    assert ended["coalmine_trial", ("stopped", "implementer")] == 1
    assert not [name for name, _ in ended if name == "coalmine_trial_evidence"]


def test_a_trial_that_a_person_decided_after_its_end_alerts_nobody(fleet: SteppedFleet) -> None:
    """An expired one asks until its version is rejected, promoted or tried again; its state stays."""
    trial = fleet.app.trials.find("implementer")
    fleet.app.trials.stop(trial, by="ada")
    fleet.redis.hset(fleet.app.keys.trial(trial.id), "state", "expired")
    found = scraped(fleet)
    assert found["coalmine_trial_undecided", ("implementer",)] == 1
    fleet.app.templates.reject(trial.canary_id, by="ada")
    found = scraped(fleet)
    assert found["coalmine_trial_undecided", ("implementer",)] == 0
    assert found["coalmine_trial", ("expired", "implementer")] == 1


def test_a_verdict_that_a_person_took_back_alerts_nobody(fleet: SteppedFleet) -> None:
    """Signals contradict a graduation until the champion is another version."""
    trial = fleet.app.trials.find("implementer")
    fleet.app.templates.promote(trial.canary_id, by="ada")
    fleet.redis.hset(fleet.app.keys.trial(trial.id), mapping={"contradicted": "1", "state": "graduated"})
    assert scraped(fleet)["coalmine_trial_undecided", ("implementer",)] == 1
    fleet.app.templates.revert("implementer", by="ada")
    found = scraped(fleet)
    assert found["coalmine_trial_undecided", ("implementer",)] == 0
    assert found["coalmine_trial_contradicted", ("implementer",)] == 1


def test_a_damaged_trial_hides_no_other(fleet: SteppedFleet) -> None:
    """Templates after it in the list have their numbers."""
    app = fleet.app
    app.templates.add("reviewer", app.templates.find("implementer").snapshot)
    other = app.templates.find("reviewer").snapshot.model_copy(update={"prompt": "other"})
    app.proposals.open(app.templates.propose("reviewer", other).version, TrialPolicy(), by="ada")
    fleet.redis.hset(app.keys.trial("implementer-t1"), "share", "much")
    found = scraped(fleet)
    assert found["coalmine_unread", ("trials",)] == 1
    assert found["coalmine_trial", ("open", "reviewer")] == 1


def test_a_damaged_way_hides_no_other(fleet: SteppedFleet) -> None:
    """How far one version has come cannot be read; the steps of the others are there."""
    app = fleet.app
    for name in ("reviewer", "writer"):
        app.templates.add(name, app.templates.find("implementer").snapshot)
    way = Way(
        template="writer", version=2, steps=(StepKind.SHADOW, StepKind.DRAW),
        policy=TrialPolicy().to_json(), by="ada",
    )  # fmt: skip
    fleet.redis.hset(app.keys.template("writer"), "way", way.model_dump_json())
    fleet.redis.hset(app.keys.template("reviewer"), "way", "{")
    found = scraped(fleet)
    assert found["coalmine_unread", ("ways",)] == 1
    assert found["coalmine_way_steps", ("writer",)] == 2


def test_what_turns_have_cost_only_grows(fleet: SteppedFleet) -> None:
    """The sums are a template's, over all of its versions: a version that goes takes nothing away."""
    job = fleet.enqueue().job
    claim = fleet.claim(job)
    fleet.spend(claim, usd=0.25, seconds=30)
    found = scraped(fleet)
    assert found["coalmine_turns_total", ("implementer",)] == 1
    assert found["coalmine_turn_usd_total", ("implementer",)] == 0.25
    assert found["coalmine_turn_seconds_total", ("implementer",)] == 30
    assert found["coalmine_spent_today_usd", ()] == 0.25


def test_a_record_that_cannot_be_read_costs_its_part_alone(fleet: SteppedFleet) -> None:
    """The rest is there, and one number says what is not."""
    trial = fleet.app.trials.find("implementer")
    fleet.redis.hset(fleet.app.keys.trial(trial.id), "policy", "{")
    found = scraped(fleet)
    assert found["coalmine_unread", ("trials",)] == 1
    assert found["coalmine_unread", ("jobs",)] == 0
    assert found["coalmine_jobs", ("queued",)] == 0


def test_an_empty_fleet_has_numbers_too(redis_client: redis.Redis) -> None:
    """Nothing is wrong with a fleet that has not begun."""
    found = scraped(SteppedFleet(redis_client))
    assert found["coalmine_jobs", ("dead",)] == 0
    assert found["coalmine_unread", ("trials",)] == 0
    assert ("coalmine_sweep_age_seconds", ()) not in found


def test_a_scrape_writes_nothing(fleet: SteppedFleet) -> None:
    """However often one looks."""
    fleet.enqueue()
    before = fleet.everything()
    scraped(fleet)
    assert fleet.everything() == before


def test_prometheus_gets_its_text_form(redis_client: redis.Redis) -> None:
    """With help and type of each metric, and the deliveries that this process answered."""
    client = WebClient(web_of(compose(Settings(forge=FORGES), redis=redis_client)))
    request = sent("github", payload())
    client.post("/webhook/github", request.body, request.headers)
    client.post("/webhook/github", request.body, request.headers)
    client.post("/webhook/github", request.body, {})
    assert client.post("/webhook/made-up-name", request.body, {}).status_code == 404
    answer = client.get("/metrics")
    assert (answer.status_code, answer.headers["content-type"]) == (200, CONTENT_TYPE)
    assert "# TYPE coalmine_webhook_deliveries_total counter" in answer.text
    found = numbers(answer.text)
    for result, count in (("success", 1), ("duplicate", 1), ("refused", 1), ("failed", 0)):
        assert found["coalmine_webhook_deliveries_total", ("github", result)] == count
    assert "made-up-name" not in answer.text


def test_a_public_process_wants_its_token_for_the_numbers(redis_client: redis.Redis) -> None:
    """They say what a team works on."""
    client = WebClient(web_of(compose(Settings(), redis=redis_client), token="0123456789abcdef"))  # noqa: S106
    assert client.get("/metrics").status_code == 401
    assert client.get("/metrics", Authorization="Bearer 0123456789abcdef").status_code == 200


def test_a_store_that_is_away_is_a_target_that_is_down() -> None:
    """503: the target is down for Prometheus, rather than all zeros."""
    with connect("redis://127.0.0.1:1/0", patience_seconds=0.0) as gone:
        assert WebClient(web_of(compose(Settings(), redis=gone))).get("/metrics").status_code == 503


def test_memory_of_a_server_that_forbids_the_question_is_unknown() -> None:
    """As on a shared server."""

    class Forbidding:
        """A server whose user may not ask for INFO."""

        def info(self, section: str) -> Any:
            """Refuse."""
            raise redis.ResponseError(f"NOPERM {section}")

    assert memory_use(Forbidding()) is None  # type: ignore[arg-type]


def test_names_follow_the_rules() -> None:
    """One prefix, one unit, each name once; what grows says so by its name."""
    names = [metric.name for metric in METRICS]
    assert len(names) == len(set(names)) > 30
    for metric in METRICS:
        assert re.fullmatch(r"coalmine(_[a-z]+)+", metric.name)
        assert (metric.kind is MetricKind.COUNTER) == metric.name.endswith("_total")
    labels = {label for metric in METRICS for label in metric.labels}
    assert not labels & {"job", "issue", "version", "trial", "agent", "worker"}, "it would grow for ever"


def test_every_metric_is_in_the_reference() -> None:
    """docs/metrics.md has each with its kind, labels and meaning, and no other."""
    rows = re.findall(
        r"^\| `(coalmine_\w+)` \| (\w+) \| (.*?) \| (.*?) \|$",
        (ROOT / "docs/metrics.md").read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    assert rows == [
        (
            metric.name,
            metric.kind.value,
            ", ".join(f"`{label}`" for label in metric.labels) or "none",
            metric.meaning,
        )
        for metric in METRICS
    ]


def test_alerts_use_numbers_that_there_are() -> None:
    """Each rule names metrics of the list, says what is the case, and what to do."""
    rules = yaml.safe_load((ROOT / "deploy/prometheus/coalmine.rules.yml").read_text(encoding="utf-8"))
    known = {metric.name for metric in METRICS}
    for rule in rules["groups"][0]["rules"]:
        named = set(re.findall(r"coalmine_\w+", rule["expr"]))
        assert named <= known, rule["alert"]
        assert named or rule["alert"] == "CoalmineDown"
        assert set(rule["annotations"]) == {"summary", "action"}


def test_a_state_that_a_rule_waits_for_is_one(fleet: SteppedFleet) -> None:
    """An alert on a state that does not exist would never fire."""
    rules = (ROOT / "deploy/prometheus/coalmine.rules.yml").read_text(encoding="utf-8")
    found = scraped(fleet)
    for name, state in re.findall(r"(coalmine_\w+)\{state=\"(\w+)\"\}", rules):
        if name != "coalmine_notifications":  # no sink is on here
            assert [key for key in found if key[0] == name and state in key[1]], (name, state)
    assert TRIAL.name in rules
