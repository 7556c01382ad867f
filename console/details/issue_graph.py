"""Which issues wait for which: the part of the backlog's dependencies that a page shows, in layers.

An issue stands one layer after the last of those that it waits for. Issues of a cycle wait for each other,
so they share a layer, and are marked. What is finished is left out: nobody waits for it any more.
"""

from collections import defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from routing.backlog.item import BacklogItem
from routing.issues.issue import IssueRef
from routing.store.backlog.dependency_store import DependencyStore, Edge
from tasks.composition.composition import Coalmine

#: Dependencies that are read, and issues that are shown at once.
MOST_EDGES, MOST_SHOWN = 4_000, 200

#: Steps from an issue whose neighbourhood is asked for, and dependencies of one issue that are followed.
STEPS_AROUND, MOST_OF_ISSUE = 3, 100


@dataclass(frozen=True, kw_only=True, slots=True)
class IssueNode:
    """An issue of the graph."""

    ref: IssueRef
    item: BacklogItem | None  # None: it is not in the backlog, its forge alone knows it
    layer: int  # 0 for one that waits for nothing that is shown
    in_cycle: bool

    @property
    def name(self) -> str:
        """The issue as its edges name it."""
        return str(self.ref)

    @property
    def state(self) -> str:
        """Its state, or that the backlog does not have it."""
        return "elsewhere" if self.item is None else self.item.state.value

    @property
    def title(self) -> str:
        """Of the issue; "" where it is not in the backlog."""
        return "" if self.item is None else self.item.title


@dataclass(frozen=True, kw_only=True, slots=True)
class IssueGraph:
    """Issues with dependencies between them."""

    nodes: Sequence[IssueNode]  # by layer
    edges: Sequence[Edge]  # between the nodes
    hidden: int  # issues with dependencies that are not shown
    is_cut: bool  # whether there are more dependencies than were read
    around: IssueRef | None = None  # whose neighbourhood it is; None: the largest groups

    @property
    def cycles(self) -> int:
        """How many issues are in cycles."""
        return sum(node.in_cycle for node in self.nodes)

    def waits(self) -> Mapping[str, Sequence[str]]:
        """Those that each issue waits for; none for an issue that is not named."""
        found: dict[str, list[str]] = defaultdict(list)
        for blocked, blocker in self.edges:
            found[blocked].append(blocker)
        return found

    def document(self) -> dict[str, Any]:
        """For scripts."""
        waits = self.waits()
        return {
            "issues": [
                {
                    "ref": node.name, "title": node.title, "state": node.state, "layer": node.layer,
                    "in_cycle": node.in_cycle, "waits_for": list(waits.get(node.name, ())),
                }
                for node in self.nodes
            ],
            "hidden": self.hidden,
            "is_cut": self.is_cut,
        }  # fmt: skip


def read_graph(parts: Coalmine, around: IssueRef | None = None) -> IssueGraph:
    """A few round trips in a backlog of any size: MOST_EDGES dependencies, or those around an issue."""
    store = parts.dependencies
    if around is not None:
        found = graph_of(_edges_near(store, str(around)), around=around)
    else:
        edges = store.first(MOST_EDGES + 1)
        found = graph_of(_unfinished(store, edges[:MOST_EDGES]), is_cut=len(edges) > MOST_EDGES)
    known = {item.ref: item for item in parts.backlog_store.read_sound([node.ref for node in found.nodes])}
    return replace(found, nodes=[replace(node, item=known.get(node.ref)) for node in found.nodes])


def _unfinished(store: DependencyStore, edges: Sequence[Edge]) -> list[Edge]:
    """Those of which neither issue is finished."""
    done = store.finished_of(list(dict.fromkeys(name for edge in edges for name in edge)))
    return [edge for edge in edges if edge[0] not in done and edge[1] not in done]


def _edges_near(store: DependencyStore, start: str) -> list[Edge]:
    """Those of the issues within STEPS_AROUND of one, step by step; of each issue MOST_OF_ISSUE a way."""
    found: dict[Edge, None] = {}
    seen, frontier = {start}, [start]
    for _ in range(STEPS_AROUND + 1):
        edges = _unfinished(store, store.of(frontier, MOST_OF_ISSUE))
        found |= dict.fromkeys(edges)
        near = sorted({name for edge in edges for name in edge} - seen)
        frontier = near[: max(0, MOST_SHOWN - len(seen))]
        seen |= set(frontier)
        if not frontier:
            break
    return list(found)


def graph_of(
    edges: Sequence[Edge], *, around: IssueRef | None = None, is_cut: bool = False, most: int = MOST_SHOWN
) -> IssueGraph:
    """What is shown of the edges, without items: around an issue, or the largest groups that fit."""
    neighbours: dict[str, set[str]] = defaultdict(set)
    for blocked, blocker in edges:
        neighbours[blocked].add(blocker)
        neighbours[blocker].add(blocked)
    shown = _groups(neighbours, most) if around is None else _around(neighbours, str(around), most)
    kept = [edge for edge in edges if edge[0] in shown and edge[1] in shown]
    layers, cycles = layered(shown, kept)
    nodes = [
        IssueNode(ref=IssueRef.parse(name), item=None, layer=layers[name], in_cycle=name in cycles)
        for name in sorted(shown, key=lambda name: (layers[name], name))
    ]
    hidden = len(neighbours.keys() - shown)
    return IssueGraph(nodes=nodes, edges=kept, hidden=hidden, is_cut=is_cut, around=around)


def _around(neighbours: Mapping[str, set[str]], start: str, most: int) -> set[str]:
    """Issues within STEPS_AROUND of one, the nearest first."""
    found, waiting = {start}, deque([(start, 0)])
    while waiting:
        ref, steps = waiting.popleft()
        for other in sorted(neighbours.get(ref, ())):
            if other not in found and steps < STEPS_AROUND and len(found) < most:
                found.add(other)
                waiting.append((other, steps + 1))
    return found


def _groups(neighbours: Mapping[str, set[str]], most: int) -> set[str]:
    """Groups of issues that hang together, the largest first, as far as they fit; of the first, a part."""
    groups, seen = [], set[str]()
    for ref in neighbours:
        if ref in seen:
            continue
        group, stack = [ref], [ref]
        seen.add(ref)
        while stack:
            for other in neighbours[stack.pop()]:
                if other not in seen:
                    seen.add(other)
                    group.append(other)
                    stack.append(other)
        groups.append(group)
    shown: set[str] = set()
    for group in sorted(groups, key=len, reverse=True):
        if not shown:
            shown |= set(group[:most])
        elif len(shown) + len(group) <= most:
            shown |= set(group)
    return shown


def layered(refs: Iterable[str], edges: Sequence[Edge]) -> tuple[dict[str, int], set[str]]:
    """The layer of each issue, and those that are in a cycle. O(issues + dependencies)."""
    names = list(refs)
    blockers: dict[str, list[str]] = defaultdict(list)
    for blocked, blocker in edges:
        blockers[blocked].append(blocker)
    layers: dict[str, int] = {}
    cycles: set[str] = set()
    for component in _components(names, blockers):  # those that are waited for come first
        inside = set(component)
        before = [layers[blocker] for ref in component for blocker in blockers[ref] if blocker not in inside]
        layers |= dict.fromkeys(component, max(before, default=-1) + 1)
        if len(component) > 1 or component[0] in blockers[component[0]]:
            cycles |= inside
    return layers, cycles


def _components(names: Sequence[str], blockers: Mapping[str, Sequence[str]]) -> list[list[str]]:
    """Strongly connected components, each after those that it waits for (Tarjan 1972, without recursion)."""
    found: list[list[str]] = []
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    path: list[str] = []
    on_path: set[str] = set()
    for start in names:
        if start in index:
            continue
        work = [(start, iter(blockers.get(start, ())))]
        index[start] = low[start] = len(index)
        path.append(start)
        on_path.add(start)
        while work:
            ref, rest = work[-1]
            other = next(rest, None)
            if other is None:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[ref])
                if low[ref] == index[ref]:
                    found.append(_taken(path, ref))
                    on_path -= set(found[-1])
            elif other not in index:
                index[other] = low[other] = len(index)
                path.append(other)
                on_path.add(other)
                work.append((other, iter(blockers.get(other, ()))))
            elif other in on_path:
                low[ref] = min(low[ref], index[other])
    return found


def _taken(path: list[str], name: str) -> list[str]:
    """What stands on the path from a name on, which it is shortened by."""
    found: list[str] = []
    while not found or found[-1] != name:
        found.append(path.pop())
    return found
