"""Which issues wait for which: layers, cycles, and what is shown of a backlog that is large."""

import random
import re

import pytest
import redis

from console.details.issue_graph import MOST_EDGES, MOST_SHOWN, IssueGraph, graph_of, layered, read_graph
from console.pages.pictures.graph_picture import graph_picture
from routing.backlog.backlog import Backlog
from routing.backlog.item import BacklogState
from routing.backlog.settings import BacklogSettings
from routing.issues.issue import IssueRef
from routing.store.backlog.dependency_store import Edge
from tests.fakes.issues import IssueForge, issue
from tests.fleets.stepped_fleet import SteppedFleet


def ref(number: int) -> IssueRef:
    """An issue of one repository."""
    return IssueRef.parse(f"local:shop#{number}")


def edges(*pairs: tuple[int, int]) -> list[Edge]:
    """From each issue to the one that it waits for."""
    return [(str(ref(blocked)), str(ref(blocker))) for blocked, blocker in pairs]


def layers_of(graph: IssueGraph) -> dict[int, int]:
    """The layer of each issue."""
    return {node.ref.number: node.layer for node in graph.nodes}


def test_an_issue_stands_after_all_that_it_waits_for() -> None:
    """By the longest way: what is in a layer can begin when the layers before it are done."""
    graph = graph_of(edges((2, 1), (3, 2), (4, 1), (4, 3)))
    assert layers_of(graph) == {1: 0, 2: 1, 3: 2, 4: 3}
    assert graph.cycles == 0
    assert graph.waits()["local:shop#4"] == ["local:shop#1", "local:shop#3"]


def test_issues_of_a_cycle_share_a_layer_and_are_marked() -> None:
    """What waits for a cycle stands after it, and is not in it; one that waits for itself is one, too."""
    graph = graph_of(edges((2, 1), (3, 2), (2, 3), (4, 3), (5, 5)))
    assert layers_of(graph) == {1: 0, 5: 0, 2: 1, 3: 1, 4: 2}
    assert {node.ref.number for node in graph.nodes if node.in_cycle} == {2, 3, 5}


def test_layers_of_any_graph_agree_with_its_edges() -> None:
    """Two issues of one layer that wait for each other are in a cycle; all others stand before who waits."""
    chance = random.Random(3)
    for _ in range(60):
        size = chance.randint(2, 14)
        pairs = edges(
            *{(chance.randint(1, size), chance.randint(1, size)) for _ in range(chance.randint(1, 24))}
        )
        refs = {each for pair in pairs for each in pair}
        layers, cycles = layered(refs, pairs)
        reach = {each: _reach(each, pairs) for each in refs}
        assert cycles == {each for each in refs if each in reach[each]}
        for blocked, blocker in pairs:
            together = blocked in reach[blocker]
            assert layers[blocker] < layers[blocked] or (together and layers[blocker] == layers[blocked])


def _reach(start: str, pairs: list[Edge]) -> set[str]:
    seen, stack = set[str](), [start]
    while stack:
        at = stack.pop()
        for blocked, blocker in pairs:
            if blocked == at and blocker not in seen:
                seen.add(blocker)
                stack.append(blocker)
    return seen


def test_a_large_backlog_is_shown_by_its_largest_groups() -> None:
    """And by what is near an issue, when that is asked for; a long chain needs no deep recursion."""
    chain = [(number + 1, number) for number in range(1, 150)]
    pairs = edges(*chain, *((1000 + 2 * number, 1001 + 2 * number) for number in range(925)))
    graph = graph_of(pairs)
    assert len(graph.nodes) <= MOST_SHOWN
    assert {ref(number) for number in range(1, 151)} <= {node.ref for node in graph.nodes}
    assert graph.hidden == 2_000 - len(graph.nodes)
    near = graph_of(pairs, around=ref(75))
    assert sorted(layers_of(near)) == list(range(72, 79))
    endless = graph_of(edges(*((number + 1, number) for number in range(1, 5_001))), most=6_000)
    assert max(layers_of(endless).values()) == 5_000


def test_a_picture_has_a_box_for_each_issue_and_a_line_for_each_dependency() -> None:
    """Each box is a link, and says its state and whether it is in a cycle."""
    graph = graph_of(edges((2, 1), (3, 2), (2, 3)), around=ref(2))
    drawn = str(graph_picture(graph))
    assert len(re.findall('class="edge', drawn)) == 3
    assert re.findall(r'href="/issue\?ref=([^"]*)"', drawn) == [f"local%3Ashop%23{n}" for n in (1, 2, 3)]
    assert "local:shop#3 elsewhere, in a cycle" in drawn
    assert "3 issues in 2 layers; 2 are in cycles" in drawn
    assert graph_picture(graph_of([])) == ""


@pytest.fixture
def fleet(redis_client: redis.Redis) -> SteppedFleet:
    """A fleet with three issues, of which one waits for another, and that for one of another repository."""
    made = SteppedFleet(redis_client)
    backlog = Backlog(
        made.app.backlog_store, forges={"local": IssueForge()}, settings=BacklogSettings(),
        escalation_label="ready-for-human",
    )  # fmt: skip
    for number, body in ((1, "Blocked by: team/other#9"), (2, "Blocked by: #1"), (3, "")):
        backlog.accept(issue(number, body, labels=[]), requested_by="ada")
    return made


def test_pages_show_the_dependencies_of_the_backlog(fleet: SteppedFleet) -> None:
    """With links both ways, as a picture and a table; the API has the same."""
    page = fleet.web.get("/issues/graph", Accept="text/html").text
    assert 'class="plot graph"' in page
    table = fleet.web.get("/issues/graph?csv=Dependencies", Accept="text/html").text.splitlines()
    assert [line.split(",")[0] for line in table[1:]] == [
        "local:team/other#9",
        "local:shop#1",
        "local:shop#2",
    ]
    assert (
        "/issues/graph?around=local%3Ashop%232"
        in fleet.web.get("/issue?ref=local:shop%232", Accept="text/html").text
    )
    found = fleet.web.get("/api/v1/issues/graph?around=local:shop%232").json()
    assert [(each["ref"], each["layer"], each["waits_for"]) for each in found["issues"]] == [
        ("local:team/other#9", 0, []), ("local:shop#1", 1, ["local:team/other#9"]),
        ("local:shop#2", 2, ["local:shop#1"]),
    ]  # fmt: skip
    nothing = fleet.web.get("/issues/graph?around=local:shop%233", Accept="text/html").text
    assert "No issue waits for another, or is waited for, around this one" in nothing
    assert fleet.web.get("/issues/graph?around=nonsense", Accept="text/html").status_code == 422


def test_what_is_finished_is_left_out(fleet: SteppedFleet) -> None:
    """Nobody waits for it: an item that is completed, and an issue that its forge says is closed."""
    store = fleet.app.backlog_store
    store.answer(IssueRef.parse("local:team/other#9"), "closed", again=60.0)
    assert [node.name for node in read_graph(fleet.app).nodes] == ["local:shop#1", "local:shop#2"]
    moved = store.move(ref(1), BacklogState.COMPLETED, allowed=list(BacklogState), reason="merged")
    assert moved.done
    assert read_graph(fleet.app).nodes == []


def test_what_is_around_an_issue_is_found_in_a_backlog_of_any_size(fleet: SteppedFleet) -> None:
    """The picture of all has the first dependencies, and says so; that around an issue has all of its."""
    pairs = edges(*((number + 1, number) for number in range(10_000, 10_000 + MOST_EDGES + 500)))
    stored = {f"{way}{one} {other} {pair[0]}": 0 for pair in pairs for way, (one, other) in _both(pair)}
    fleet.redis.zadd(fleet.app.keys("backlog_edges"), stored)
    last = 10_000 + MOST_EDGES + 500
    near = read_graph(fleet.app, ref(last))
    assert sorted(node.ref.number for node in near.nodes) == [last - 3, last - 2, last - 1, last]
    assert (len(near.edges), near.hidden, near.is_cut) == (3, 1, False)
    every = read_graph(fleet.app)
    assert every.is_cut
    assert len(every.nodes) <= MOST_SHOWN
    assert "There are more dependencies than a page reads" in fleet.web.get(
        "/issues/graph", Accept="text/html"
    ).text  # fmt: skip


def _both(pair: Edge) -> tuple[tuple[str, Edge], tuple[str, Edge]]:
    """The two forms in which an edge is stored: from either of its issues."""
    return ("<", pair), (">", (pair[1], pair[0]))
