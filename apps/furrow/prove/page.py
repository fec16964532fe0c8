"""The verdict as one HTML page that needs nothing else, light or dark as the reader's system is. Its picture is the course of
the campaign: the jobs settled in each second, and the faults that happened meanwhile.
"""

from typing import Any

from django.template.loader import render_to_string

from furrow.prove.checks import CHECKS
from furrow.prove.faults.base import FAULTS

#: The picture, in pixels: its width, the height of the area, a fault's bar; and rows of bars.
_WIDTH, _HEIGHT, _BAR, _LANES = 1100, 160, 7, 6
_TOP = 14


def render(verdict: dict[str, Any]) -> str:
    """The page, from what ``prove.json`` holds."""
    return render_to_string(
        "furrow/prove/page.html",
        {
            **verdict,
            "numbers": {name: f"{verdict[name]:,}" for name in ("jobs", "runs", "duplicates")},
            "checks": [(name, (CHECKS[name].__doc__ or "").strip(), count) for name, count in verdict["checks"].items()],
            "faults": [{**row, "doc": FAULTS[row["kind"]].doc} for row in verdict["faults"]],
            "picture": _picture(verdict["settled_per_second"], verdict["timeline"]),
        },
    )


def _picture(settled: list[int], timeline: list[dict[str, Any]]) -> dict[str, Any]:
    """Jobs settled each second as an area; below it a bar for each fault, as long as it and the recovery from it lasted."""
    seconds, most = max(len(settled), 1), max(settled, default=0) or 1
    x = _WIDTH / seconds
    points = "".join(f" L{n * x:.1f},{_TOP + _HEIGHT * (1 - count / most):.1f}" for n, count in enumerate(settled))
    bars, lanes = [], [0.0] * _LANES
    for fault in timeline:
        whole = fault["lasted_s"] + (fault["recovery_s"] or 0.0)
        lane = lanes.index(min(lanes))
        lanes[lane] = fault["at_s"] + whole
        bars.append(
            {
                "words": f"{fault['number']} {fault['kind']} {fault['target']}: {fault['lasted_s']} s, "
                f"recovered after {fault['recovery_s']} s",
                "x": round(fault["at_s"] * x, 1),
                "y": _TOP + _HEIGHT + 8 + lane * (_BAR + 3),
                "whole": round(max(whole * x, 2), 1),
                "lasted": round(max(fault["lasted_s"] * x, 2), 1),
            }
        )
    return {
        "width": _WIDTH,
        "height": _TOP + _HEIGHT + 8 + _LANES * (_BAR + 3),
        "bar": _BAR,
        "area": f"M0,{_TOP + _HEIGHT}{points} L{_WIDTH},{_TOP + _HEIGHT} Z",
        "bars": bars,
        "most": most,
        "seconds": seconds,
    }
