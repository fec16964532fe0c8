"""Sync: write what the code declares into the table. What it declares no more is orphaned, and never deleted."""

import datetime as dt
from dataclasses import dataclass, field
from typing import Any

from django.db.models import Q

from furrow import statements
from furrow.errors import FurrowError
from furrow.kinds.kind import find_kind
from furrow.models import Schedule
from furrow.models.database import atomic, connection
from furrow.recurrence import RecurrenceError
from furrow.schedule import Schedule as Declared
from furrow.schedules.declared import declared
from furrow.schedules.rows import next_time, place, problem_of, stored, usual_timezone
from furrow.schedules.telling import tell_held, tell_of

#: Columns that say when it is due: where one of them changes, the next time is looked for anew.
WHEN = ("timing", "timezone", "starts_at", "ends_at")
#: Columns that the dispatcher and people write, whatever is declared.
LIVE = ("next_at", "last_at", "last_job", "orphaned_at", "paused_at", "paused_by", "reason")
#: What a sync writes beside what is declared.
_OURS = ("orphaned_at", "held", "next_at", "fire_at", "changed_at", "declared_at")


@dataclass
class Synced:
    """What a sync did: names of schedules."""

    added: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    orphaned: list[str] = field(default_factory=list)
    #: As a process has written them down that began later: its code is newer.
    left: list[str] = field(default_factory=list)
    #: Left out, and why.
    refused: dict[str, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.added or self.changed or self.orphaned or self.left or self.refused)

    def __str__(self) -> str:
        told = [f"{word}: {', '.join(names)}" for word, names in vars(self).items() if names and word != "refused"]
        return "; ".join([*told, *(f"refused: {name} ({why})" for name, why in self.refused.items())]) or "nothing changed"


def sync(*, dry: bool = False, age: float = 0.0) -> Synced:
    """Bring the table in line with the code; in one transaction. What a process declared that began later stays as it is: an
    old one that takes over the lead while a release is rolled out has older code.

    Args:
        dry: only say what that would do.
        age: seconds since this process began.
    """
    wanted, refused = declared()
    done = Synced(refused=refused)
    with atomic():
        now = statements.on(connection).clock(connection)
        began = now - dt.timedelta(seconds=age)
        # Nothing is locked but what is written: a row that somebody else has locked holds up no other.
        rows = {row.name: row for row in Schedule.objects.all()}
        for name, one in wanted.items():
            row = rows.get(name)
            if row is None:
                done.added.append(name)
                _write(_fresh(one), one, now, began, dry)
            elif row.source != Schedule.Source.CODE:
                done.refused[name] = "a schedule that people made has this name: rename one, or delete that"
            elif _differs(row, one) or row.orphaned_at is not None:
                if _is_newer(row, began, now):
                    done.left.append(name)
                else:
                    done.changed.append(name)
                    _write(row, one, now, began, dry)
        for name, row in rows.items():
            if row.source != Schedule.Source.CODE or name in wanted or row.orphaned_at is not None:
                continue
            if _is_newer(row, began, now):
                done.left.append(name)
                continue
            done.orphaned.append(name)
            row.orphaned_at, row.fire_at, row.declared_at = now, None, began
            if not dry:
                row.save(update_fields=["orphaned_at", "fire_at", "declared_at"])
        if not dry:
            older = Q(declared_at=None) | Q(declared_at__lt=began) | Q(declared_at__gt=now)
            mine = Schedule.objects.filter(older, source=Schedule.Source.CODE, name__in=wanted)
            free = list(mine.select_for_update(skip_locked=True).values_list("pk", flat=True))
            Schedule.objects.filter(pk__in=free).update(declared_at=began)
        if not dry and done:
            written = Schedule.objects.in_bulk([*done.added, *done.changed, *done.orphaned], field_name="name")
            for event in ("added", "changed", "orphaned"):
                tell_of([written[name] for name in getattr(done, event)], event)
    return done


def realign() -> int:
    """Look again at the next times of all schedules, and at what holds them; returns how many changed. For a new leader,
    which may know other kinds, and after the database's clock was set back, when the next time comes earlier. What has a tick
    gets no second job."""
    changed = []
    with atomic():
        now = statements.on(connection).clock(connection)
        for row in Schedule.objects.filter(orphaned_at=None).select_for_update(skip_locked=True):
            before = (row.next_at, row.fire_at, row.held)
            row.held = problem_of(row)[:500]
            if row.held and not before[2]:
                tell_held(row, row.held)
            next_at = row.next_at
            if not row.held and next_at is not None and next_at > now:
                next_at = next_time(row, now) or next_at
            place(row, next_at)
            if before != (row.next_at, row.fire_at, row.held):
                changed.append(row)
        Schedule.objects.bulk_update(changed, ["next_at", "fire_at", "held"], batch_size=200)
    return len(changed)


def look_at_held() -> int:
    """Let go those that can submit again; returns how many."""
    freed = 0
    for row in Schedule.objects.filter(fire_at=None, orphaned_at=None, paused_at=None).exclude(held=""):
        if not problem_of(row):
            row.held = ""
            place(row, row.next_at)
            freed += Schedule.objects.filter(pk=row.pk).exclude(held="").update(held="", fire_at=row.fire_at)
    return freed


def _fresh(one: Declared) -> Schedule:
    return Schedule(name=one.name, source=Schedule.Source.CODE)


def columns_of(one: Declared) -> dict[str, Any]:
    """The columns that a declaration comes to."""
    kind, arguments = find_kind(one.kind), dict(one.arguments)
    try:
        arguments = stored(kind, arguments) if kind else arguments
    except FurrowError:  # the row says why it is held
        pass
    return {
        "kind": one.kind,
        "arguments": arguments,
        "timing": one.text,
        "timezone": one.timezone or usual_timezone(),
        "options": one.options,
        "catch_up": str(one.catch_up),
        "catch_up_window": one.window.total_seconds(),
        "overlap": str(one.overlap),
        "jitter": one.jitter.total_seconds(),
        "starts_at": one.starts_at,
        "ends_at": one.ends_at,
    }


def _differs(row: Schedule, one: Declared) -> bool:
    return any(getattr(row, name) != value for name, value in columns_of(one).items())


def _is_newer(row: Schedule, began: dt.datetime, now: dt.datetime) -> bool:
    """A process declared it that began after this one. A time that lies ahead is of a clock that was set back since."""
    return row.declared_at is not None and began < row.declared_at <= now


def _write(row: Schedule, one: Declared, now: dt.datetime, began: dt.datetime, dry: bool) -> None:
    """One that comes back goes on where it ended; what it missed meanwhile is caught up as it says."""
    columns = columns_of(one)
    anew = row.pk is None or any(getattr(row, name) != columns[name] for name in WHEN)
    for name, value in columns.items():
        setattr(row, name, value)
    row.orphaned_at, row.changed_at, row.declared_at = None, now, began
    row.held = problem_of(row)[:500]
    plan_anew(row, now) if anew else place(row, row.next_at)
    if not dry:
        row.save(update_fields=[*columns, *_OURS] if row.pk else None)


def plan_anew(row: Schedule, now: dt.datetime) -> None:
    """Its next time is the first one from now on."""
    try:
        place(row, next_time(row, now))
    except RecurrenceError:
        place(row, None)
