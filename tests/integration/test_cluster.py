"""A Redis Cluster: a fleet lives on one of its nodes, by a namespace in braces; else an error says so."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from routing.errors import UnavailableError
from routing.jobs.job import JobRequest, JobState
from routing.store.redis.health import Status, look_at
from tests.fleets.worker_fleet import WorkerFleet, fleet, until_state
from tests.programs.agent_book import Book
from tests.servers.private_cluster import PrivateCluster, private_cluster
from tests.servers.private_server import plain_client

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("cluster")]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateCluster]:
    """Three masters."""
    with private_cluster(tmp_path_factory.mktemp("cluster")) as made:
        yield made


def work_one(made: WorkerFleet, book: Book) -> None:
    """Have a worker of the fleet work a job to its end, with ticks."""
    parts = made.coalmine()
    parts.templates.add("implementer", book.snapshot())
    made.worker()
    made.beat()
    job = parts.mailbox.enqueue(JobRequest(template="implementer", task="work")).job
    until_state(parts, job, JobState.SUCCEEDED)


def test_fleets_live_on_nodes_of_a_cluster(cluster: PrivateCluster, tmp_path: Path) -> None:
    """Each by its hash tag, messages and ticks too: fleets share a cluster out among them."""
    tags = {cluster.url_of(tag): tag for tag in ("shop", "bank", "mail", "farm", "post", "mill")}
    assert len(tags) > 1
    for number, (url, tag) in enumerate(list(tags.items())[:2]):
        folder = tmp_path / str(number)
        folder.mkdir()
        with fleet(folder, url, COALMINE_NAMESPACE=f"{{{tag}}}") as made:
            work_one(made, Book(folder / "book"))


def test_doctor_says_what_a_cluster_is_for(cluster: PrivateCluster) -> None:
    """A fleet on one of its nodes follows no failover."""
    with plain_client(cluster.urls[0]) as client:
        found = {each.check: each for each in look_at(client, time.time)}
    assert found["redis-cluster"].status is Status.WARNING
    assert "failover" in found["redis-cluster"].message


def test_the_wrong_node_is_said(cluster: PrivateCluster, tmp_path: Path) -> None:
    """The error says what to do; nothing is written."""
    with (
        fleet(tmp_path, cluster.other_url("shop"), COALMINE_NAMESPACE="{shop}") as made,
        pytest.raises(UnavailableError, match=r"a node of a cluster.*COALMINE_REDIS_URL name the node"),
    ):
        made.coalmine().templates.add("implementer", Book(tmp_path / "book").snapshot())


def test_a_namespace_without_braces_is_said(cluster: PrivateCluster, tmp_path: Path) -> None:
    """Its keys are on several nodes, and a step needs several of them."""
    with (
        fleet(tmp_path, cluster.urls[0], COALMINE_NAMESPACE="shop") as made,
        pytest.raises(UnavailableError, match=r"COALMINE_NAMESPACE=\{coalmine\}"),
    ):
        made.coalmine().templates.add("implementer", Book(tmp_path / "book").snapshot())
