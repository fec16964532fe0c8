"""Keeps sightings until a thread of its own writes them. Whoever calls a task or runs one only appends to a list; what finds no
room, or cannot be written, is dropped and counted."""

import logging
import os
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from django.db import Error, connections

from furrow.diagnosis import troubles
from furrow.plural import counted
from furrow.watch.sightings import Sighting
from furrow.watch.writing import write

logger = logging.getLogger(__name__)

#: Sightings that are kept at most, and written at once; seconds between two writes.
MOST, BATCH, PAUSE = 10_000, 1_000, 1.0


class Recorder:
    """One of a process; a fork has one of its own."""

    def __init__(self, write: Callable[[list[Sighting]], None] = write) -> None:
        self.write = write
        self.dropped = 0
        self._kept: deque[Sighting] = deque()
        self._pid = 0
        self._wake = threading.Event()
        self._writing = threading.Lock()

    def see(self, sighting: Sighting) -> None:
        """Remember it. Never waits, never raises."""
        try:
            if self._pid != os.getpid():
                self.start()
            if len(self._kept) < MOST:
                self._kept.append(sighting)
            else:
                self.dropped += 1
        except Exception:
            self.dropped += 1

    def start(self) -> None:
        """Start this process's thread. In a pool process before its first job, which would else seem to leave it behind."""
        self._pid = os.getpid()
        self._kept, self._wake, self._writing = deque(), threading.Event(), threading.Lock()
        threading.Thread(target=self._loop, name="furrow-watch", daemon=True).start()

    def flush(self) -> None:
        """Write what is kept. What the database does not take is dropped."""
        with self._writing:
            while self._kept:
                batch = [self._kept.popleft() for _ in range(min(BATCH, len(self._kept)))]
                try:
                    self.write(batch)
                except Exception as error:
                    self.dropped += len(batch)
                    level = logging.DEBUG if isinstance(error, Error) else logging.WARNING
                    logger.log(level, "Sightings of Celery tasks could not be written: %s", error)
            if self.dropped:
                text = f"Of the Celery tasks that are watched, {counted(self.dropped, 'sighting')} were dropped"
                self.dropped = 0
                troubles.note("watching of Celery tasks", text, "The figures of the page Celery tasks are too low.")

    def _loop(self) -> None:
        while True:
            self._wake.wait(PAUSE)
            with suppress(Exception):
                if self._kept or self.dropped:
                    self.flush()
                    connections.close_all()


recorder = Recorder()
