"""Jobs as table cells for people, from their JSON (:mod:`furrow.diagnosis.as_json`)."""

import datetime as dt
from typing import Any

from furrow.diagnosis import wording
from furrow.states import State

#: Columns of the table of jobs.
COLUMNS = ("id", "kind", "state", "queue", "created", ">run time", ">attempts", "about", "error")


def cells(job: dict[str, Any], now: dt.datetime) -> tuple[Any, ...]:
    """A job in the table (see ``COLUMNS``)."""
    began, ended, due = (moment(job[name]) for name in ("started_at", "finished_at", "run_at"))
    runs = began is not None and (ended is not None or job["state"] == State.RUNNING)
    seconds = ((ended or now) - began).total_seconds() if began and runs else None
    created = ago(job["created_at"], now)
    if due and due > now and ended is None:
        created += f", due {wording.relative(due, now)}"
    error = wording.shorten(job["error"], 60)
    about = wording.shorten(job.get("title", ""), 40)  # an older server has none
    return (job["id"], job["kind"], job["state"], job["queue"], created, wording.span(seconds), attempts(job), about, error)


def attempts(job: dict[str, Any]) -> str:
    """``1 of 5``."""
    return f"{job['attempts_counted']:,} of {job['max_attempts']:,}"


def moment(text: str | None) -> dt.datetime | None:
    """A time of the JSON."""
    return dt.datetime.fromisoformat(text) if text else None


def ago(text: str | None, now: dt.datetime) -> str:
    """How far away a time is."""
    when = moment(text)
    return wording.relative(when, now) if when else wording.NOTHING


def local(text: str | None, now: dt.datetime) -> str:
    """A time for people: exact in this machine's zone (which Django sets to the site's), and how far away."""
    when = moment(text)
    return f"{wording.in_its_zone(when.astimezone())} ({wording.relative(when, now)})" if when else wording.NOTHING


def took(job: dict[str, Any]) -> float | None:
    """Seconds that its last run took."""
    began, ended = moment(job["started_at"]), moment(job["finished_at"])
    return (ended - began).total_seconds() if began and ended else None


def reason(why: dict[str, Any], now: dt.datetime) -> str:
    """Why a job waits, when that ends, and the remedy."""
    when = f" {ago(why['when'], now)}" if why["when"] else ""
    return f"{why['text']}{when}. {why['remedy']}".strip()
