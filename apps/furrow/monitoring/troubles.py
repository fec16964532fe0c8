"""Problems in words, with the remedy. Pure, but for :func:`of_errors`: each function judges what its caller has read."""

import datetime as dt
from dataclasses import dataclass

from furrow.conf import conf
from furrow.diagnosis.commands import worker_command
from furrow.diagnosis.drift import CLOCK_SET_BACK, CLOCK_SET_FORWARD, MEANINGS
from furrow.diagnosis.figures import QueueFigures
from furrow.diagnosis.lockers import describe
from furrow.diagnosis.unserved import unserved_remedy, unserved_text
from furrow.diagnosis.wording import span
from furrow.models import Drift, Leader, Worker
from furrow.models import Trouble as Noted
from furrow.monitoring.rates import Point
from furrow.monitoring.stores import Health
from furrow.plural import counted
from furrow.statements import Locker

#: A due job that waits for longer than this (seconds), with nothing else wrong, means that the workers do not keep up.
BEHIND = 60
#: Failures rise when so many runs failed within ten minutes, which are so much of all, and so many times what was usual.
FEWEST, SHARE, TIMES = 10, 0.05, 2.0


@dataclass(frozen=True)
class Trouble:
    """One thing. ``when`` belongs to the end of ``text``."""

    text: str
    when: dt.datetime | None = None
    remedy: str = ""
    #: What to type, if that is the remedy.
    command: str = ""
    #: Where more is to be seen: the name of a page, and its arguments or query.
    link: tuple[str, str] | None = None
    #: Work stands still; otherwise it is only not as it should be.
    grave: bool = True


def of_leader(leader: Leader | None, now: dt.datetime) -> list[Trouble]:
    """No dispatcher, or one in trouble."""
    if leader is None or leader.lease_until <= now:
        since = leader.lease_until if leader else None
        text = "No dispatcher is running: due jobs wait in the database" + (", since" if since else "")
        return [Trouble(text, since, "Start one:", "manage.py furrow dispatcher")]
    found = []
    if stands_still(leader, now):
        text = "The dispatcher leads, but its rounds do not complete: due jobs wait in the database"
        text += "; it last completed a round" if leader.progressed_at else "."
        found.append(Trouble(text, leader.progressed_at, remedy="Its log has the reason. Restart it."))
    if leader.trouble:
        text = f"The dispatcher has trouble. {leader.trouble}, since"
        found.append(Trouble(text, leader.troubled_since, remedy="It recovers by itself once the cause is gone."))
    return found


def stands_still(leader: Leader, now: dt.datetime) -> bool:
    """It leads, and has completed no round of its work for the length of two leases."""
    return leader.progressed_at is None or (now - leader.progressed_at).total_seconds() > 2 * conf().leader_lease


def of_noted(rows: list[Noted]) -> list[Trouble]:
    """What goes wrong in a process and nobody thought of."""
    return [
        Trouble(
            f"{row.text}; {f'{row.count:,} times, the last' if row.count > 1 else 'once,'}",
            row.last_at,
            remedy=row.remedy,
            grave=False,
        )
        for row in rows
    ]


def of_stores(healths: list[Health]) -> list[Trouble]:
    """What does not answer this process."""
    remedies = {
        "RabbitMQ": "No job starts until it is back; running jobs continue.",
        "Redis": "Nothing is lost. Check that it runs and that REDIS_URL points to it.",
        "Flower": "Only Flower's pages are unavailable.",
    }
    return [
        Trouble(
            f"{health.trouble.rstrip('.')}, since", health.since, remedies.get(health.name, ""), grave=health.name == "RabbitMQ"
        )
        for health in healths
        if health.trouble
    ]


def of_workers(workers: list[Worker]) -> list[Trouble]:
    """Nobody works."""
    if workers:
        return []
    return [Trouble("No worker is running, so no job runs.", remedy="Start one:", command=worker_command())]


def of_queues(queues: list[QueueFigures], now: dt.datetime, *, any_worker: bool) -> list[Trouble]:
    """Queues that are paused, that nobody works for, or that are behind."""
    found = []
    for queue in queues:
        waits, link = queue.due or queue.queued, ("admin:furrow_queue_change", queue.name)
        due = f"{min(queue.due + queue.queued, 10_000):,}{'+' if queue.due + queue.queued > 10_000 else ''} due"
        if queue.paused is not None:
            who = f" by {queue.paused.paused_by}" if queue.paused.paused_by else ""
            why = f" ({queue.paused.reason})" if queue.paused.reason else ""
            held = f", {due}," if waits else ""
            text = f"Queue {queue.name}{held} is {'drained' if queue.paused.draining else 'paused'}{who}{why}, since"
            found.append(Trouble(text, queue.paused.paused_at, "Resume it on its page.", link=link, grave=False))
        elif waits and not queue.consumers and any_worker:
            command = worker_command(queue.name)
            text = f"No running worker consumes queue {queue.name}, and it has {due}, the first since"
            found.append(
                Trouble(
                    text if queue.oldest else text.removesuffix(", the first since") + ".",
                    queue.oldest,
                    "Start one:",
                    command,
                    link,
                )
            )
        elif queue.oldest and queue.consumers and (now - queue.oldest).total_seconds() > BEHIND:
            text = f"Queue {queue.name} is behind: {due}, the first since"
            found.append(
                Trouble(
                    text,
                    queue.oldest,
                    "Its workers do not keep up: add workers or processes.",
                    link=link,
                    grave=False,
                )
            )
    return found


def of_unserved(queues: list[str]) -> list[Trouble]:
    """Jobs wait in queues that are not configured."""
    return [Trouble(f"{unserved_text(name)}, and jobs wait in it.", remedy=unserved_remedy(name)) for name in queues]


def of_rates(day: list[Point]) -> list[Trouble]:
    """More failures than usual: the last ten minutes and more (the last two steps of ten minutes) against the day before."""
    new, old = day[-2:], day[:-2]
    failed, ran = (sum(p.failures for p in new), sum(p.ended + p.retried for p in new))
    failed_before, ran_before = (sum(p.failures for p in old), sum(p.ended + p.retried for p in old))
    share, usual = failed / max(1, ran), failed_before / max(1, ran_before)
    if failed < FEWEST or share < max(SHARE, TIMES * usual):
        return []
    text = f"More runs fail than usual: {failed:,} of the last {ran:,} ({share:.0%}; the day before {usual:.1%})."
    return [Trouble(text, remedy="See the errors.", link=("furrow:errors", ""), grave=False)]


def of_drift(rows: list[Drift]) -> list[Trouble]:
    """What disagrees right now."""
    return [
        Trouble(
            f"Drift: {MEANINGS.get(row.name, row.name)}. {row.found:,} now, seen",
            row.found_at,
            link=("admin:furrow_drift_changelist", ""),
            grave=False,
        )
        for row in rows
        if row.found and row.name not in ("rows_locked", *_CLOCK)  # see of_locks, of_clock
    ]


_CLOCK = {CLOCK_SET_BACK: "back", CLOCK_SET_FORWARD: "forward"}


def of_clock(rows: list[Drift]) -> list[Trouble]:
    """The database's clock was set lately."""
    return [
        Trouble(
            f"The database's clock was set {_CLOCK[row.name]} by {span(row.found)},",
            row.found_at,
            "Configure the time service (NTP) to slew the clock, not step it.",
            link=("admin:furrow_drift_changelist", ""),
            grave=False,
        )
        for row in rows
        if row.found and row.name in _CLOCK
    ]


def of_locks(drift: list[Drift], workers: list[Worker], lockers: list[Locker]) -> list[Trouble]:
    """Rows that somebody has locked: jobs that the dispatcher cannot mark, runs that the workers cannot settle."""
    due = sum(row.found for row in drift if row.name == "rows_locked")
    here = sum(worker.stats.get("locked", 0) for worker in workers)
    if not due + here:
        return []
    several = due + here > 1
    text = (
        f"{due + here:,} {'jobs wait: their rows are' if several else 'job waits: its row is'} locked by another transaction."
    )
    if not lockers:
        return [Trouble(text, remedy="Other jobs continue.", grave=False)]
    first = lockers[0]
    text = f"{text} The oldest is {describe(first)}, which began"
    command = f"SELECT pg_terminate_backend({first.pid})"
    return [Trouble(text, first.since, "Other jobs continue. End the transaction, or run:", command, grave=False)]


def of_dead_messages(count: int) -> list[Trouble]:
    """Messages that nobody could use."""
    if not count:
        return []
    text = f"{counted(count, 'message')} could not be processed by any worker."
    return [Trouble(text, remedy="Replay or delete them.", link=("admin:furrow_deadmessage_changelist", ""), grave=False)]
