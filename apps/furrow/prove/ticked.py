"""The schedules of a campaign, and their ticks, as rows."""

from dataclasses import dataclass, field
from typing import NamedTuple

from furrow.prove.database import Database
from furrow.tables import SCHEDULE, TICK

#: The kind whose jobs schedules submit, and by whom nobody else does; the names of its schedules with their seconds.
KIND = "prove.ticks"
SPANS = {"prove every second": 1, "prove every 3 seconds": 3, "prove every 10 seconds": 10}
#: Ends them: what has come has its job, and nothing comes any more.
END = f"UPDATE {SCHEDULE} SET paused_at = CURRENT_TIMESTAMP, fire_at = NULL WHERE paused_at IS NULL"


class TickRow(NamedTuple):
    """A row of ``furrow_tick``; when it was due in seconds since the epoch."""

    due: float
    job: str | None
    outcome: str


@dataclass
class Ticked:
    """All schedules of a campaign."""

    ticks: dict[str, list[TickRow]] = field(default_factory=dict)  #: by the schedule's name, in the order of their times
    held: dict[str, str] = field(default_factory=dict)  #: schedules that cannot submit, and why

    @property
    def jobs(self) -> list[str]:
        """The jobs of all ticks."""
        return [tick.job for ticks in self.ticks.values() for tick in ticks if tick.job]


def read(database: Database) -> Ticked:
    """From the private database."""
    found = Ticked()
    names = {}
    for id, name, held in database.rows(f"SELECT id, name, held FROM {SCHEDULE}"):
        names[id], found.ticks[name] = name, []
        if held:
            found.held[name] = held
    columns = f"schedule_id, {database.epoch('due_at')}, job, outcome"
    for schedule, *tick in database.rows(f"SELECT {columns} FROM {TICK} ORDER BY due_at"):
        if schedule in names:
            found.ticks[names[schedule]].append(TickRow(*tick))
    return found
