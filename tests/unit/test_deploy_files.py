"""Kubernetes manifests and the dashboard of Grafana, held to the code: queues, commands, secrets, metrics."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from console.metrics import metric_list
from console.metrics.metric_list import Metric
from tasks.broker import QUEUES
from tasks.settings.settings import Settings
from tests.unit.test_deployment import composed, served

DEPLOY = Path(__file__).parents[2] / "deploy"

#: What a processes' secrets may be, by the deployment: agents get what they need, and no token of the pages.
SECRETS = {
    "worker": {"redis_url", "forge_token"}, "control": {"redis_url", "forge_token"},
    "backtest": {"redis_url", "forge_token"}, "beat": {"redis_url"},
    "web": {"redis_url", "web_token", "webhook_secret"},
}  # fmt: skip


def manifests(name: str = "coalmine") -> list[dict[str, Any]]:
    """The documents of a file."""
    text = (DEPLOY / "kubernetes" / f"{name}.yaml").read_text(encoding="utf-8")
    return [dict(document) for document in yaml.safe_load_all(text)]


def deployments() -> dict[str, dict[str, Any]]:
    """The specification of the pods of each, by its component."""
    return {
        each["metadata"]["labels"]["app.kubernetes.io/component"]: each["spec"]
        for each in manifests()
        if each["kind"] == "Deployment"
    }


def test_every_process_has_a_deployment_with_the_command_of_compose() -> None:
    """But for the number of agents, and where beat writes; together they serve every queue."""
    sizes = re.compile(r" (-c \d+|-s \S+)")
    expected = {name: command for name, command in composed().items() if name != "flower"}
    found = {
        name: " ".join(spec["template"]["spec"]["containers"][0]["command"])
        for name, spec in deployments().items()
    }
    assert {name: sizes.sub("", line) for name, line in found.items()} == {
        name: sizes.sub("", line) for name, line in expected.items()
    }
    assert sorted(queue for line in found.values() for queue in served(line)) == sorted(QUEUES)


@pytest.mark.parametrize("name", SECRETS)
def test_pods_have_no_rights_and_the_secrets_that_they_name(name: str) -> None:
    """No root, a file system that is read only, no privilege, no token of the cluster."""
    pod = deployments()[name]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False, "variables that begin with COALMINE_ are settings"
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
    }  # fmt: skip
    (volume,) = [each["secret"] for each in pod["volumes"] if "secret" in each]
    mounted = {item["path"] for item in volume["items"]}
    named = set(re.findall(r"/run/secrets/coalmine/(\w+)", str(container["env"])))
    assert mounted == named == SECRETS[name]
    assert {each["name"] for each in container["volumeMounts"]} == {each["name"] for each in pod["volumes"]}
    assert container["resources"]["requests"]
    assert re.fullmatch(r"coalmine:\d+\.\d+\.\d+", container["image"])


def test_workers_get_the_time_to_give_their_jobs_back() -> None:
    """Longer than a warm shutdown takes; and no probe of a store that is away ends one."""
    for name, spec in deployments().items():
        pod = spec["template"]["spec"]
        if name in {"worker", "control", "backtest"}:
            assert pod["terminationGracePeriodSeconds"] > 2 * Settings().job.drain_grace_seconds
            assert "livenessProbe" not in pod["containers"][0]
    web = deployments()["web"]["template"]["spec"]["containers"][0]
    assert {web[probe]["httpGet"]["path"] for probe in ("readinessProbe", "livenessProbe")} == {"/healthz"}
    assert web["ports"][0]["containerPort"] == Settings().web.port
    assert deployments()["beat"]["replicas"] == 1
    assert deployments()["beat"]["strategy"] == {"type": "Recreate"}


def test_what_selects_pods_selects_some() -> None:
    """Services and budgets of disruption name labels that pods have, and leave room for an upgrade."""
    labels = {name: spec["template"]["metadata"]["labels"] for name, spec in deployments().items()}
    others = [each for each in manifests() if each["kind"] != "Deployment"]
    assert {each["kind"] for each in others} == {"Service", "PodDisruptionBudget"}
    for each in others:
        selector = each["spec"]["selector"].get("matchLabels", each["spec"]["selector"])
        (name,) = [name for name, known in labels.items() if selector.items() <= known.items()]
        if each["kind"] == "PodDisruptionBudget":
            assert each["spec"]["minAvailable"] < deployments()[name]["replicas"]
    for spec in deployments().values():
        assert spec["selector"]["matchLabels"] == spec["template"]["metadata"]["labels"]


def known_metrics() -> dict[str, Metric]:
    """The list, by name."""
    return {each.name: each for each in vars(metric_list).values() if isinstance(each, Metric)}


def expressions() -> Iterator[tuple[str, str]]:
    """Every question to Prometheus of the dashboard and of the scaling, with where it is."""
    dashboard = json.loads((DEPLOY / "grafana" / "coalmine.json").read_text(encoding="utf-8"))
    for panel in dashboard["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"]
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            yield variable["name"], variable["query"]
    (scaled,) = manifests("scaling")
    for trigger in scaled["spec"]["triggers"]:
        yield "scaling", trigger["metadata"]["query"]


def test_every_metric_that_is_asked_for_exists_with_its_labels() -> None:
    """By name; what it is filtered and grouped by are labels of it."""
    known, seen = known_metrics(), set[str]()
    for place, expression in expressions():
        names = re.findall(r"coalmine_\w+", expression)
        assert names, place
        for name in names:
            assert name in known, f"{place} asks for {name}, which does not exist"
            seen.add(name)
        labels = {label for name in names for label in known[name].labels}
        used = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", expression))
        for group in re.findall(r"by \(([^)]*)\)", expression):
            used |= {label.strip() for label in group.split(",")}
        assert used <= labels, f"{place} uses labels that its metrics do not have: {used - labels}"
    assert len(seen) > 30


def test_panels_are_apart_and_each_says_what_it_shows() -> None:
    """None lies on another; each has a sentence, and a source that people choose."""
    panels = json.loads((DEPLOY / "grafana" / "coalmine.json").read_text(encoding="utf-8"))["panels"]
    taken = set[tuple[int, int]]()
    for panel in panels:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24, panel["title"]
        taken |= cells
        if panel["type"] != "row":
            assert panel["description"].endswith("."), panel["title"]
            assert panel["datasource"]["uid"] == "${source}"
    assert len({panel["id"] for panel in panels}) == len(panels)


def test_the_scaled_deployment_exists() -> None:
    """And a worker that is taken away has the time for it."""
    (scaled,) = manifests("scaling")
    assert scaled["spec"]["scaleTargetRef"]["name"] == "coalmine-worker"
    behaviour = scaled["spec"]["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]["scaleDown"]
    assert behaviour["stabilizationWindowSeconds"] > Settings().job.drain_grace_seconds
