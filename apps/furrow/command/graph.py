"""A workflow drawn in a terminal: its nodes as a tree, from those that wait for nothing to the last."""

import datetime as dt
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from rich.text import Text

from furrow.command import rows
from furrow.command.output import Output, cell
from furrow.command.source import Facts
from furrow.diagnosis import wording
from furrow.plural import counted

#: Nodes of one kind and state below one node that are shown; of more their number is told. Levels that are indented.
SHOWN, DEEPEST = 5, 16


class Line(NamedTuple):
    """A line of the drawing."""

    branch: str
    name: str
    state: str
    rest: str


def draw(output: Output, workflow: Facts, now: dt.datetime) -> None:
    """Print the nodes."""
    lines = list(_lines(workflow, now))
    width = min(60, max((len(line.branch) + len(line.name) for line in lines), default=0))
    for line in lines:
        text = Text(line.branch, style="dim") + Text(wording.plain(line.name))
        text += Text(" " * (width - len(text.plain) + 2) if len(text.plain) < width else "  ")
        state = cell(line.state)
        state.pad_right(max(0, 10 - len(line.state)))
        output.console.print(text + state + Text(f" {wording.plain(line.rest)}".rstrip()), soft_wrap=True)


def _lines(workflow: Facts, now: dt.datetime) -> Iterator[Line]:
    """Each node stands below the last of those that it waits for; the others are named."""
    nodes = {node["name"]: node for node in workflow["nodes"]}
    place = {name: number for number, name in enumerate(nodes)}
    before: dict[str, list[str]] = {name: [] for name in nodes}
    for edge in workflow["edges"]:
        before[edge["child"]].append(edge["parent"])
    below: dict[str | None, list[str]] = {}
    above: dict[str, str | None] = {}
    for name, parents in before.items():
        earlier = [parent for parent in parents if place[parent] < place[name]]
        above[name] = max(earlier, key=place.__getitem__, default=None)
        below.setdefault(above[name], []).append(name)
    left = [("", "", entry) for entry in reversed(_folded(below.get(None, []), nodes, below))]
    while left:
        indent, branch, entry = left.pop()
        if isinstance(entry, Line):
            yield entry._replace(branch=indent + branch)
            continue
        others = [parent for parent in before[entry] if parent != above[entry]]
        yield Line(indent + branch, _called(nodes[entry]), nodes[entry]["state"], _rest(nodes[entry], others, now))
        further = indent + {"": "", "├─ ": "│  "}.get(branch, "   ")
        entries = _folded(below.get(entry, []), nodes, below)
        deep = len(further) >= 3 * DEEPEST or (len(entries) == 1 and len(below.get(entry, [])) == 1 and len(nodes) > SHOWN * 10)
        marks = ["├─ "] * (len(entries) - 1) + ["└─ "]
        for mark, child in reversed(list(zip(marks, entries, strict=False))):
            left.append((indent, "↓  ", child) if deep else (further, mark, child))


def _folded(names: list[str], nodes: dict[str, Facts], below: dict[str | None, list[str]]) -> list[str | Line]:
    """These nodes; of many that are alike and lead to nothing the first ones, and how many more there are."""
    seen: Counter[tuple[str, str]] = Counter()
    shown: list[str | Line] = []
    for name in names:
        alike = (nodes[name]["kind"], nodes[name]["state"])
        if name not in below:
            seen[alike] += 1
        if name in below or seen[alike] <= SHOWN:
            shown.append(name)
    for (kind, state), count in seen.items():
        if count > SHOWN:
            shown.append(Line("", f"… {counted(count - SHOWN, 'more node')} of {kind}", state, ""))
    return shown


def _called(node: Facts) -> str:
    many = f" (of {counted(node['jobs'], 'job')})" if node["sort"] in ("map", "batch") else ""
    return str(node["name"]) + many + (f" ({node['role']})" if node["role"] else "")


def _rest(node: Facts, others: list[str], now: dt.datetime) -> str:
    """What else there is to say of a node."""
    said = []
    if node["seconds"] is not None:
        said.append(wording.span(node["seconds"]))
    elif node["state"] == "running":
        said.append(f"let go {rows.ago(node['let_go_at'], now)}")
    if node["jobs"] > 1 and node["failed"]:
        said.append(f"{node['failed']:,} failed")
    if node["why"]:
        said.append(node["why"])
    if node["workflow"]:
        said.append(f"workflow {node['workflow']}")
    if others and node["state"] not in ("waiting", "skipped"):
        said.append("also after " + ", ".join(others[:SHOWN]) + (" …" if len(others) > SHOWN else ""))
    return "; ".join(said)
