"""Events of schedules: ``schedule.<name>.fired``, ``missed``, ``paused``, …, while somebody wants them."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from furrow.events.telling import tell, word
from furrow.models import Schedule, Tick

if TYPE_CHECKING:
    from furrow.schedules.firing import Round


def tell_of(rows: Iterable[Schedule], event: str, **more: Any) -> None:
    """This happened to these, in the current transaction."""
    tell("schedule", ((f"{word(row.name)}.{event}", {**_known(row), **more}) for row in rows))


def tell_held(row: Schedule, reason: str) -> None:
    """It cannot submit any more."""
    tell_of([row], "held", reason=reason)


def tell_ticks(rounds: Iterable["Round"]) -> None:
    """What became of the times of these, in the current transaction."""
    tell("schedule", _ticks(rounds))


def _ticks(rounds: Iterable["Round"]) -> Iterator[tuple[str, dict[str, Any]]]:
    for one in rounds:
        if one.held:
            if one.held != one.row.held:
                yield f"{word(one.row.name)}.held", {**_known(one.row), "reason": one.held}
            continue
        for due in one.due:
            outcome, note, planned = str(due.outcome), due.note, one.jobs[due.at]
            if outcome == Tick.Outcome.FIRED:
                if planned not in one.won:  # it had its job before
                    continue
                if planned not in one.became:
                    outcome, note = str(Tick.Outcome.SKIPPED), one.note
            told = {"due_at": due.at, "job": one.became.get(planned), "origin": str(due.origin)}
            yield f"{word(one.row.name)}.{outcome}", {**_known(one.row), **told, "missed": due.missed, "note": note}


def _known(row: Schedule) -> dict[str, Any]:
    return {"schedule": row.pk, "name": row.name, "kind": row.kind}
