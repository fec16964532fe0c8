"""A reader of one job's output: what is new, as server-sent events.

The form: https://html.spec.whatwg.org/multipage/server-sent-events.html. The event's id is ``attempt.number`` of its chunk;
a browser that lost the connection sends the last one (``Last-Event-ID``) and goes on after it.
"""

import json
import re
import uuid
from typing import Any

from furrow.models import Job, OutputChunk
from furrow.states import FINAL
from furrow.web import event_stream

#: Chunks that are read at once.
AT_ONCE = 500
_ID = re.compile(r"(\d{1,9})\.(\d{1,9})", re.ASCII)
_SEEN = ("state", "attempt", "progress", "progress_note")


def position(id: str) -> tuple[int, int]:
    """The attempt and the number that an event's id says; the beginning for ``""``.

    Raises:
        ValueError: it is none.
    """
    if not id:
        return 0, 0
    if not (found := _ID.fullmatch(id)):
        raise ValueError(f"{id[:40]!r} is no event's id: it is attempt.number, as in 1.17")
    return int(found[1]), int(found[2])


class Reader:
    """Reads on from an event."""

    def __init__(self, job: uuid.UUID, after: str = "") -> None:
        """Raises:
        ValueError: ``after`` is no event's id.
        """
        self._job = job
        self._attempt, self._number = position(after)
        self._told: tuple[Any, ...] = ()  # the progress that was told last
        self.ended = False  #: the job has ended, and all was read

    def read(self) -> str:
        """The events since the last call; empty when there are none.

        Raises:
            Job.DoesNotExist: the job is not there, perhaps no more.
            Error: of the database.
        """
        # The job first: when it has ended, all its chunks are there.
        job = Job.objects.values(*_SEEN).get(pk=self._job)
        events = [self._chunk(chunk) for chunk in self._chunks()]
        whole = len(events) < AT_ONCE
        if whole and job["attempt"] > self._attempt:
            events.append(self._begin(job["attempt"]))
        told = (job["attempt"], job["progress"], job["progress_note"])
        if whole and told != self._told and job["progress"] is not None:
            self._told = told
            events.append(_event("progress", {"fraction": job["progress"], "note": job["progress_note"]}))
        if whole and job["state"] in FINAL:
            self.ended = True
            events.append(_event("end", {"state": job["state"]}))
        return "".join(events)

    def _chunks(self) -> Any:
        later = OutputChunk.objects.filter(job=self._job, pk__gt=(self._job, self._attempt, self._number))
        return later.order_by("attempt", "number").values_list("attempt", "number", "value", "cut")[:AT_ONCE]

    def _chunk(self, chunk: tuple[int, int, str, bool]) -> str:
        attempt, number, value, cut = chunk
        begins = self._begin(attempt) if attempt > self._attempt else ""
        self._attempt, self._number = attempt, number
        name, data = "cut" if cut else "chunk", value.translate(event_stream.NO_BREAKS)
        return f"{begins}event: {name}\nid: {attempt}.{number}\ndata: {data}\n\n"

    def _begin(self, attempt: int) -> str:
        self._attempt, self._number = attempt, 0
        return _event("attempt", {"attempt": attempt})


def _event(name: str, data: dict[str, Any]) -> str:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n"
