"""The verdict: ``prove.json``, and the same as tables on a terminal."""

import math
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from furrow.plural import counted
from furrow.prove.checks import CHECKS, Violation, duplicates
from furrow.prove.evidence import Evidence
from furrow.prove.faults.base import FAULTS, Happened
from furrow.prove.story import story
from furrow.states import FINAL

#: Violations of each check that are told with their whole story; the rest by name.
STORIES = 5


def summary(evidence: Evidence, violations: Sequence[Violation], *, seed: int, **more: Any) -> dict[str, Any]:
    """What ``prove.json`` holds; docs/prove.md describes it."""
    counts = Counter(violation.check for violation in violations)
    told = [found for name in CHECKS for found in [v for v in violations if v.check == name][:STORIES]]
    runs = sum(len(runs) for runs in evidence.runs.values())
    return {
        "seed": seed,
        "jobs": len(evidence.jobs),
        "faults": _by_kind(evidence.faults),
        "lost": counts["lost"],
        "settled_twice": counts["settled_twice"],
        "unexplained_duplicates": counts["unexplained_duplicates"],
        "drift": counts["drift"],
        "violations": [
            {
                "seed": seed,
                **violation._asdict(),
                "story": story(evidence, violation.job) if violation.job and violation in told else [],
            }
            for violation in violations
        ],
        **more,
        "checks": {name: counts[name] for name in CHECKS},
        "runs": runs,
        "duplicates": duplicates(evidence),
        "events": len({heard.id for heard in evidence.heard}),
        "ticks": len(evidence.ticked.jobs),
        "deliveries": sum(map(len, evidence.deliveries.values())),
        "states": Counter(job.state for job in evidence.jobs.values()),
        "outcomes": Counter(row.outcome for rows in evidence.attempts.values() for row in rows),
        "submits": Counter(submit.outcome or "unknown" for submit in evidence.submits),
        "ways": Counter(submit.way for submit in evidence.submits),
        **_course(evidence),
    }


def _by_kind(faults: Iterable[Happened]) -> list[dict[str, Any]]:
    """Each kind of fault: how often, and how many seconds until all worked again (``None``: not always)."""
    kinds: dict[str, list[Happened]] = defaultdict(list)
    for fault in faults:
        kinds[fault.kind].append(fault)
    rows = []
    for kind, happened in sorted(kinds.items()):
        times = [fault.recovery for fault in happened if fault.recovery is not None]
        always = len(times) == len(happened)
        rows.append(
            {
                "kind": kind,
                "count": len(happened),
                "recovery_p50_s": round(statistics.median(times), 2) if times else None,
                "recovery_max_s": round(max(times), 2) if always else None,
            }
        )
    return rows


def _course(evidence: Evidence) -> dict[str, Any]:
    """What happened when: the faults, and jobs settled in each second since the first one appeared."""
    began = min((moves[0].at for moves in evidence.moves.values()), default=0.0)
    settled = Counter(
        math.floor(move.at - began)
        for moves in evidence.moves.values()
        for move in moves
        if move.before == "running" and move.after in FINAL
    )
    return {
        "timeline": [
            {
                "number": fault.number,
                "kind": fault.kind,
                "target": fault.target,
                "at_s": round(fault.began - began, 2),
                "lasted_s": round(fault.healed - fault.began, 2),
                "recovery_s": None if fault.recovery is None else round(fault.recovery, 2),
            }
            for fault in evidence.faults
        ],
        "settled_per_second": [settled[second] for second in range(max(settled, default=-1) + 1)],
    }


def show(verdict: dict[str, Any], console: Console) -> None:
    """Print it."""
    faults = Table("fault", "what", "times", "recovered, median", "at most", title=f"Faults, seed {verdict['seed']}")
    for row in verdict["faults"]:
        times = (_seconds(row[key]) for key in ("recovery_p50_s", "recovery_max_s"))
        faults.add_row(row["kind"], FAULTS[row["kind"]].doc.strip(), str(row["count"]), *times)
    console.print(faults)
    title = f"{counted(verdict['jobs'], 'job')}, {counted(verdict['runs'], 'run')}"
    checks = Table("check", "promise", "violations", title=title)
    for name, count in verdict["checks"].items():
        promise = (CHECKS[name].__doc__ or "").strip()
        checks.add_row(name, promise, f"[bold red]{count}[/]" if count else "[green]0[/]")
    console.print(checks)
    for violation in [found for found in verdict["violations"] if found["story"] or not found["job"]]:
        console.print(f"\n[bold red]{violation['check']}[/], seed {violation['seed']}: ", end="")
        console.print(violation["text"], markup=False, highlight=False)
        for line in violation["story"]:
            console.print("    " + line, markup=False, highlight=False)


def _seconds(value: float | None) -> str:
    return "[red]never[/]" if value is None else f"{value:.1f} s"
