"""Follow a job's log until it ends, or a batch until all of its jobs have."""

import logging
import time
import uuid
from collections import Counter

from django.core.management.base import CommandError
from rich.progress import BarColumn, Progress, TextColumn

from furrow.command import rows
from furrow.command.output import Output, write
from furrow.command.source import Away, Facts, Source
from furrow.states import FINAL, State

#: Seconds between two looks at the database, which has the last word and is all that the command needs; until it is said why a
#: job does not begin; and for which a server is asked to wait for the next line.
INTERVAL, PATIENCE, LONG = 0.4, 3.0, 20.0
#: Log lines in one look.
LINES = 1_000
#: How the command ends: the job did not succeed; it had not ended in time.
NOT_SUCCEEDED, NOT_ENDED = 3, 4
NOT_BEGUN = (State.WAITING, State.PENDING, State.QUEUED)


class Tail:
    """One job: its log lines as they come, why it waits, how it ends."""

    def __init__(self, output: Output, source: Source, job_id: uuid.UUID, *, level: int = 0) -> None:
        self._output, self._source, self._id, self._level = output, source, job_id, level
        self._seen = 0
        self._said: str | None = None

    def run(self, *, follow: bool = True, timeout: float | None = None) -> Facts:
        """Until it has ended, or ``timeout`` seconds have passed; without ``follow`` one look. Returns the job as it is then.

        Raises:
            CommandError: the job is not there (any more).
        """
        began = time.monotonic()
        while True:
            try:
                job = self._source.brief(self._id)
                late = timeout is not None and time.monotonic() - began >= timeout
                if job["state"] in FINAL or not follow or late:
                    while self._print_lines():
                        pass
                    return job
                if not self._print_lines(self._patience(job, time.monotonic() - began, timeout)):
                    self._say_why(job, time.monotonic() - began)
            except Away as error:
                self._say(str(error), what="away")
                if timeout is not None and time.monotonic() - began >= timeout:
                    raise CommandError(f"{self._source.name} did not answer in time.", returncode=NOT_ENDED) from None
                time.sleep(INTERVAL)

    def _patience(self, job: Facts, waited: float, timeout: float | None) -> float:
        """Seconds for which the next line may be waited for."""
        soon = PATIENCE if job["state"] in NOT_BEGUN else LONG
        return soon if timeout is None else max(0.0, min(soon, timeout - waited))

    def _print_lines(self, wait: float = 0.0) -> int:
        """New lines, oldest first; returns how many there were."""
        lines, self._seen = self._source.lines(self._id, self._seen, self._level, wait)
        for line in lines:
            if self._output.as_json:
                self._output.json_line(line)
            elif at := rows.moment(line["at"]):
                local, name = at.astimezone(), logging.getLevelName(line["level"])
                write(self._output.console, f"{local:%H:%M:%S}.{local.microsecond // 1000:03d} {name:<8} {line['message']}")
        return len(lines)

    def _say_why(self, job: Facts, waited: float) -> None:
        if waited < PATIENCE or job["state"] not in NOT_BEGUN:
            return
        if why := self._source.job(self._id)["why"]:
            self._say(rows.reason(why, self._source.now()), what=why["text"])

    def _say(self, text: str, *, what: str) -> None:
        """Once, until there is something else to say."""
        if what != self._said:
            self._said = what
            self._output.say(text)


def follow_batch(output: Output, source: Source, batch: uuid.UUID, *, timeout: float | None = None) -> Counter[str]:
    """A bar until all jobs of the batch have ended, or ``timeout`` seconds have passed; returns how many are in each state."""
    began = time.monotonic()
    bar = Progress(BarColumn(bar_width=24), TextColumn("{task.description}"), console=output.remarks, transient=False)
    with bar:
        task = bar.add_task("", total=None)
        while True:
            late = timeout is not None and time.monotonic() - began >= timeout
            try:
                counts = source.counts(batch)
            except Away as error:
                if late:
                    raise CommandError(f"{source.name} did not answer in time.", returncode=NOT_ENDED) from None
                bar.update(task, description=str(error))
            else:
                total, ended = sum(counts.values()), sum(counts[state] for state in FINAL)
                bar.update(task, total=total, completed=ended, description=describe(counts))
                if ended == total or late:
                    return counts
            time.sleep(INTERVAL)


def describe(counts: Counter[str]) -> str:
    """``120 of 500 ended: 118 succeeded, 2 failed``."""
    ended = sum(counts[state] for state in FINAL)
    parts = ", ".join(f"{counts[state]:,} {state.value}" for state in State if state in FINAL and counts[state])
    return f"{ended:,} of {sum(counts.values()):,} ended{': ' if parts else ''}{parts}"


def exit_code(counts: Counter[str]) -> int:
    """0 when all succeeded."""
    if any(counts[state] for state in State if state not in FINAL):
        return NOT_ENDED
    return NOT_SUCCEEDED if counts[State.FAILED] + counts[State.CANCELLED] else 0
