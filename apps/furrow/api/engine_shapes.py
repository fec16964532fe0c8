"""The bodies of answers about the engine: kinds, queues, workers, errors, health."""

import uuid
from typing import Any

from pydantic import BaseModel

from furrow.api.shapes import Time


class KindShape(BaseModel):
    """A kind of job; ``arguments`` is a JSON schema, and ``result`` where the kind declares one. ``external``: its handler is a
    program in another language."""

    name: str
    queue: str
    priority: int
    permission: str | None
    doc: str
    external: bool
    arguments: dict[str, Any]
    result: dict[str, Any] | None


class InputShape(BaseModel):
    """How the form asks for an argument."""

    name: str
    needed: bool
    input: str
    help: str


class WholeKind(KindShape):
    """A kind of job, with its arguments as the form asks for them."""

    inputs: list[InputShape]


class QueueShape(BaseModel):
    """A queue. Counts end at 10,001."""

    name: str
    condition: str
    due: int
    scheduled: int
    queued: int
    running: int
    oldest_due: Time | None
    workers: list[str]


class Changed(BaseModel):
    """What became of a pause."""

    queue: str
    condition: str
    changed: bool


class WorkerShape(BaseModel):
    """A living worker."""

    id: uuid.UUID
    node: str
    pid: int
    processes: int
    queues: list[Any]
    started_at: Time | None
    heartbeat_at: Time | None


class Paused(BaseModel):
    """By whom a queue is paused, since when and why."""

    by: str
    at: Time | None
    reason: str


class StatsOfQueue(BaseModel):
    """A queue, and whether it is paused. Counts end at 10,001."""

    name: str
    condition: str
    paused: Paused | None
    due: int
    scheduled: int
    queued: int
    running: int
    oldest_due: Time | None
    workers: list[str]


class StatsOfKind(BaseModel):
    """How a kind fared in the last hour; times in seconds."""

    kind: str
    ended: int
    failed: int
    retried: int
    wait_p50: float | None
    wait_p95: float | None
    run_p50: float | None
    run_p95: float | None


class Stats(BaseModel):
    """What stands, what went, and who works."""

    queues: list[StatsOfQueue]
    kinds: list[StatsOfKind]
    workers: list[WorkerShape]


class ErrorGroupShape(BaseModel):
    """Failures that are alike, within the period."""

    kind: str
    fingerprint: str
    error_type: str
    message: str
    place: str
    runs: int
    jobs: int
    first_seen: Time | None
    last_seen: Time | None
    newest_job: uuid.UUID | None


class ErrorGroups(BaseModel):
    """The newest groups, and how many there are beyond these."""

    groups: list[ErrorGroupShape]
    more: int


class Trouble(BaseModel):
    """Something that is not as it should be."""

    text: str
    remedy: str


class Health(BaseModel):
    """``ok``: a dispatcher leads, a worker runs, and no trouble is known."""

    ok: bool
    dispatcher: str | None
    workers: int
    processes: int
    troubles: list[Trouble]
