"""A picture of a run: bars for drain and end to end, one row a peer, with whiskers from minimum to maximum. SVG by hand."""

from html import escape

from benchmarks.report import Row, number

_METRICS = {"drain": "Drain (jobs/s)", "end_to_end": "End to end (jobs/s)"}
#: Pixels: the column of names, the two columns of bars with room for a figure behind each, a row, what is above the rows.
_NAMES, _BARS, _FIGURE, _ROW, _TOP = 200, 250, 90, 22, 64
# Brings its own background, so it can be read on any page; a dark one in browsers that are set to dark.
_STYLE = """
  svg { font: 12px system-ui, sans-serif }
  .page { fill: #fff; stroke: #d0d7de } text { fill: #1f2328 } .whisker { stroke: #1f2328 }
  .ours { fill: #d1570b } .records { fill: #6cb6ff } .forgets { fill: #b6bec8 } .title { font-weight: 600 }
  @media (prefers-color-scheme: dark) {
    .page { fill: #0d1117; stroke: #3d444d } text { fill: #f0f6fc } .whisker { stroke: #f0f6fc }
    .ours { fill: #f0883e } .records { fill: #316dca } .forgets { fill: #59636e }
  }"""


def svg(rows: list[Row]) -> str:
    """The quickest drain is on top. Furrow's bars stand out, and so do those of peers that keep their jobs in PostgreSQL."""
    found = {(row["peer"], row["metric"]): row for row in rows}
    peers = [row["peer"] for row in sorted(rows, key=lambda row: -row["median"]) if row["metric"] == "drain"]
    width, height = _NAMES + 2 * (_BARS + _FIGURE), _TOP + _ROW * len(peers) + 12
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img">',
        f"<title>Drain and end to end of all peers</title><style>{_STYLE}</style>",
        f'<rect class="page" x=".5" y=".5" width="{width - 1}" height="{height - 1}" rx="6"/>',
        *_legend(),
    ]
    for index, peer in enumerate(peers):
        parts.append(f'<text x="{_NAMES - 8}" y="{_TOP + index * _ROW + 12}" text-anchor="end">{escape(peer)}</text>')
    for column, (metric, title) in enumerate(_METRICS.items()):
        left = _NAMES + column * (_BARS + _FIGURE)
        most = max((row["max"] for row in rows if row["metric"] == metric), default=1)
        parts.append(f'<text class="title" x="{left}" y="50">{title}</text>')
        for index, peer in enumerate(peers):
            if row := found.get((peer, metric)):
                kept = found.get((peer, "database_mib_per_million"))
                kind = "ours" if peer.startswith("furrow") else "records" if kept and kept["median"] else "forgets"
                parts.append(_bar(row, kind, left, _TOP + index * _ROW, _BARS / most))
    return "\n".join([*parts, "</svg>", ""])


def _bar(row: Row, kind: str, left: int, top: int, scale: float) -> str:
    low, middle, high = (left + row[key] * scale for key in ("min", "median", "max"))
    y = top + 8
    return (
        f'<rect class="{kind}" x="{left}" y="{top}" width="{middle - left:.1f}" height="16" rx="2"/>'
        f'<path class="whisker" d="M{low:.1f} {y}H{high:.1f}M{low:.1f} {y - 4}v8M{high:.1f} {y - 4}v8"/>'
        f'<text x="{max(middle, high) + 6:.1f}" y="{top + 12}">{number(row["median"])}</text>'
    )


def _legend() -> list[str]:
    kinds = {"ours": "Furrow", "records": "keeps its jobs in PostgreSQL, too", "forgets": "does not"}
    parts, x = [], _NAMES
    for kind, name in kinds.items():
        parts.append(
            f'<rect class="{kind}" x="{x}" y="14" width="12" height="12" rx="2"/><text x="{x + 18}" y="24">{name}</text>'
        )
        x += 45 + 7 * len(name)
    return parts
