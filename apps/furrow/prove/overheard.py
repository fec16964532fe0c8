"""What came of events, as the database has it and as who heard of them wrote down: outside, as jobs, at the webhook."""

import json
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from furrow.prove import records
from furrow.prove.database import Database
from furrow.prove.spec import EITHER, TOLD
from furrow.tables import BRIDGED_MESSAGE, EVENT, JOB

#: The kind of the engine's own that sends an event to a webhook.
DELIVERY = "furrow.webhook"


class EventRow(NamedTuple):
    """An event as the database has it; ``job`` is empty for one of the submitters' own."""

    name: str
    job: str
    number: int | None
    published: float | None


class Heard(NamedTuple):
    """An event as it arrived outside; ``readable``: what it tells could be read then, ``None`` if nobody knows."""

    id: int
    name: str
    job: str
    number: int | None
    token: str
    readable: bool | None
    at: float


class Posted(NamedTuple):
    """A request to the webhook: its ``webhook-id``, whether its signature was good, how it was answered."""

    id: str
    good: bool
    answer: str


@dataclass
class Overheard:
    """See the module. Events are known by their ids."""

    told: frozenset[str] = frozenset()  #: kinds whose moves somebody hears of
    events: dict[int, EventRow] = field(default_factory=dict)
    tokens: dict[str, int] = field(default_factory=dict)  #: of the submitters' own events
    heard: list[Heard] = field(default_factory=list)  #: in the order in which they arrived
    hearers: dict[int, list[str]] = field(default_factory=lambda: defaultdict(list))  #: the subscriber's jobs
    deliveries: dict[int, list[str]] = field(default_factory=lambda: defaultdict(list))  #: jobs, too
    posted: dict[int, list[Posted]] = field(default_factory=lambda: defaultdict(list))
    followed: set[str] = field(default_factory=set)  #: all jobs that were made of events


def read(database: Database, folder: Path) -> Overheard:
    """Read everything; ``folder`` has the records."""
    found = Overheard(frozenset(TOLD))
    for id, *row in database.rows(f"SELECT id, name, job, number, {database.epoch('published_at')} FROM {EVENT}"):
        name, job, number, published = row
        found.events[id] = EventRow(name, job or "", number, published)
    own = EITHER.replace("*", "%")
    for id, text in database.rows(f"SELECT id, CAST(data AS text) FROM {EVENT} WHERE name LIKE ?", [own]):
        found.tokens[json.loads(text)["token"]] = id
    for line in sorted(records.read(folder, "heard"), key=lambda line: line["at"]):
        for id, name, job, number, token, readable in line["events"]:
            found.heard.append(Heard(id, name, job, number, token, readable, line["at"]))
    for line in records.read(folder, "posted"):
        found.posted[line["event"]].append(Posted(line["id"], line["good"], line["answer"]))
    columns = f"SELECT id, CAST(arguments AS text) FROM {JOB} WHERE kind = ?"
    for job, text in database.rows(columns, ["prove.hears"]):
        found.hearers[int(json.loads(text)["event"]["id"])].append(job)
    for job, text in database.rows(columns, [DELIVERY]):
        found.deliveries[json.loads(text)["event"]].append(job)
        found.followed.add(job)
    followed = database.rows(f"SELECT job FROM {BRIDGED_MESSAGE} WHERE queue LIKE ?", ["furrow.events.%"])
    found.followed.update(job for (job,) in followed)
    return found
