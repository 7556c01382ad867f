"""Which issues wait for which, as SVG: a column for each layer, a box for each issue, lines between them.

A box is a link to its issue; one of a cycle has a double frame, and says so. The table below has the same as
text. Lines run from the left, what is waited for, to the right, what waits.
"""

from collections import defaultdict
from urllib.parse import quote

from markupsafe import Markup

from console.details.issue_graph import IssueGraph, IssueNode
from console.pages.pictures.drawing import plot, titled
from console.pages.rendering import visible

#: The size of a box, and the room between columns and rows.
BOX, TALL = 132, 26
ACROSS, DOWN = 48, 10

#: Characters of a name in a box.
_LETTERS = 17

#: How often the order within columns is improved.
_SWEEPS = 4


def graph_picture(graph: IssueGraph) -> Markup:
    """The picture; "" for no issues."""
    if not graph.nodes:
        return Markup("")
    columns = _ordered(graph)
    places = {
        node.name: (8 + (BOX + ACROSS) * across, 8 + (TALL + DOWN) * down)
        for across, column in enumerate(columns)
        for down, node in enumerate(column)
    }
    width = 8 + (BOX + ACROSS) * len(columns) - ACROSS + 8
    height = 8 + (TALL + DOWN) * max(map(len, columns)) + 2
    lines = [_line(places[blocker], places[blocked]) for blocked, blocker in graph.edges]
    boxes = [_box(node, places[node.name], is_chosen=node.ref == graph.around) for node in graph.nodes]
    said = f"{len(graph.nodes)} issues in {len(columns)} layers; {graph.cycles} are in cycles"
    drawn = plot(width, height, said, [*lines, *boxes], kind="graph")
    # As large as its boxes are, so that they can be read and touched: it is scrolled in its region.
    sized = Markup('<svg width="{}" height="{}" ').format(width, height)
    return sized + Markup(str(drawn)[len("<svg ") :])  # noqa: S704 - `plot` has escaped it


def _ordered(graph: IssueGraph) -> list[list[IssueNode]]:
    """Columns whose rows stand near their neighbours' (the barycentre method of Sugiyama 1981)."""
    columns: list[list[IssueNode]] = [[] for _ in range(max(node.layer for node in graph.nodes) + 1)]
    for node in graph.nodes:
        columns[node.layer].append(node)
    neighbours: dict[str, list[str]] = defaultdict(list)
    for blocked, blocker in graph.edges:
        neighbours[blocked].append(blocker)
        neighbours[blocker].append(blocked)
    rows = {node.name: row for column in columns for row, node in enumerate(column)}

    def middle(node: IssueNode) -> float:
        near = [rows[name] for name in neighbours[node.name]]
        return sum(near) / len(near) if near else rows[node.name]

    for _ in range(_SWEEPS):
        for column in columns:
            column.sort(key=middle)
            rows |= {node.name: row for row, node in enumerate(column)}
    return columns


def _line(before: tuple[int, int], after: tuple[int, int]) -> Markup:
    (x1, y1), (x2, y2) = before, after
    x1, y1, y2 = x1 + BOX, y1 + TALL // 2, y2 + TALL // 2
    if x2 <= before[0]:  # of a cycle: both are in one column, so the line bends to the right of it
        x2 = before[0] + BOX
        return Markup('<path class="edge cycle" d="M{} {} C{} {} {} {} {} {}"/>').format(
            x1, y1, x1 + ACROSS, y1, x2 + ACROSS, y2, x2, y2
        )
    bend = (x1 + x2) // 2
    return Markup('<path class="edge" d="M{} {} C{} {} {} {} {} {}"/>').format(
        x1, y1, bend, y1, bend, y2, x2, y2
    )


def _box(node: IssueNode, at: tuple[int, int], *, is_chosen: bool) -> Markup:
    x, y = at
    cycle = ", in a cycle" if node.in_cycle else ""
    words = f"{node.name} {node.state}{cycle} {node.title}".strip()
    kind = f"node {node.state}{' cycle' if node.in_cycle else ''}{' chosen' if is_chosen else ''}"
    frame = Markup('<rect class="{}" x="{}" y="{}" width="{}" height="{}" rx="4"/>').format(
        kind, x, y, BOX, TALL
    )
    if node.in_cycle:
        frame += Markup('<rect class="inner" x="{}" y="{}" width="{}" height="{}" rx="2"/>').format(
            x + 3, y + 3, BOX - 6, TALL - 6
        )
    name = f"{node.ref.repo.rpartition('/')[2]}#{node.ref.number}"
    short = name if len(name) <= _LETTERS else f"…{name[-_LETTERS + 1 :]}"
    return Markup('<a href="/issue?ref={}" aria-label="{}">{}{}<text x="{}" y="{}">{}</text></a>').format(
        quote(node.name, safe=""),
        visible(words),
        titled(words),
        frame,
        x + 8,
        y + TALL // 2 + 4,
        visible(short),
    )
