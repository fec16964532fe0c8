"""The verdict as a table, and as ``prove.json``."""

import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from apps.prove.checks import Violation, duplicates
from apps.prove.evidence import Evidence
from apps.prove.faults.base import Happened


def by_kind(faults: Iterable[Happened]) -> list[dict[str, Any]]:
    """Each kind of fault: how often, and how long (seconds) until all worked again."""
    kinds: dict[str, list[Happened]] = defaultdict(list)
    for fault in faults:
        kinds[fault.kind].append(fault)
    rows = []
    for kind, happened in sorted(kinds.items()):
        times = [fault.recovery for fault in happened if fault.recovery is not None]
        rows.append(
            {
                "kind": kind,
                "count": len(happened),
                "recovery_p50_s": round(statistics.median(times), 2) if times else None,
                "recovery_max_s": round(max(times), 2) if len(times) == len(happened) else None,
            }
        )
    return rows


def summary(evidence: Evidence, violations: Sequence[Violation], **more: Any) -> dict[str, Any]:
    """What ``prove.json`` holds."""
    counts: dict[str, int] = defaultdict(int)
    for violation in violations:
        counts[violation.check] += 1
    return {
        "seed": more.pop("seed"),
        "jobs": len(evidence.jobs),
        "faults": by_kind(evidence.faults),
        "lost": counts["lost"],
        "settled_twice": counts["settled_twice"],
        "unexplained_duplicates": counts["unexplained_duplicates"],
        "drift": counts["drift"],
        "violations": [violation._asdict() for violation in violations],
        "runs": sum(len(runs) for runs in evidence.runs.values()),
        "duplicates": duplicates(evidence),
        "timeline": [
            {
                "number": fault.number,
                "kind": fault.kind,
                "target": fault.target,
                "began": round(fault.began, 2),
                "lasted_s": round(fault.healed - fault.began, 2),
                "recovery_s": None if fault.recovery is None else round(fault.recovery, 2),
            }
            for fault in evidence.faults
        ],
        **more,
    }
