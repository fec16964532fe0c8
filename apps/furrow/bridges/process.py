"""The bridges' process: read, make jobs of what came in one transaction, and acknowledge once that is committed. Answer whoever
waits for a job's end, and workers in other languages that ask over AMQP.

Who dies in between has acknowledged nothing: the messages come again, and those that are jobs by then are known by their keys.
Several of these processes share the work.
"""

import datetime as dt
import logging
import socket
import threading
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from itertools import groupby
from typing import Any, NamedTuple

from django.db import DataError, Error, IntegrityError

from furrow import statements
from furrow.bridge import Bridge
from furrow.bridges.answers import Answers
from furrow.bridges.desk import Desk
from furrow.bridges.mapping import CannotMap, Mapped, Wanted, mapped, wanted
from furrow.bridges.places import pass_by, place
from furrow.bridges.readers import Readers
from furrow.bridges.subscribed import DEPTH, admitted
from furrow.diagnosis import troubles
from furrow.errors import BrokerError, FurrowError
from furrow.external.requests import REQUESTS, requests
from furrow.kinds.kind import Kind, get_kind
from furrow.models import BridgedMessage, DeadMessage, Job, Reply
from furrow.models.database import atomic, connection
from furrow.rabbitmq.inbox import Arrived, Inbox
from furrow.sanitize import clean
from furrow.statements.moves import DEPTH_KEY
from furrow.states import UNSTARTED
from furrow.submission.submit import submit_many
from furrow.worker.ledger.dead import describe

logger = logging.getLogger(__name__)

#: Messages in one transaction; seconds between two looks at backlogs and at what is old; seconds after a failure.
BATCH, LOOK, RETRY = 500, 1.0, 1.0
#: How long a message is known that became a job.
KNOWN_FOR = dt.timedelta(days=7)
#: The same batch is tried so often when another process makes jobs of the same messages.
TRIES = 5


class _Read(NamedTuple):
    """A message that can be a job."""

    one: Arrived
    found: Mapped
    wanted: Wanted | None


class Bridges:
    """See the module. ``run`` returns when ``stop`` was called."""

    def __init__(self, bridges: Sequence[Bridge]) -> None:
        self._kinds: dict[Bridge, Kind] = {bridge: get_kind(bridge.kind) for bridge in bridges}
        self._inbox = Inbox([*bridges, *requests()], place)
        self._answers = Answers()
        self._node = f"bridge@{socket.gethostname()}"
        self._desk = Desk(self._node)
        self._readers = Readers(self._node, bridges)
        self._stopping = threading.Event()
        self._look_at = 0.0

    def stop(self) -> None:
        """End after the current batch; called by another thread."""
        self._stopping.set()

    def run(self) -> None:
        """Until stopped. A store that is away is named in the log and waited for."""
        said = ""
        while not self._stopping.is_set():
            try:
                self._step()
                if said:
                    logger.info("The bridges work again.")
                said = ""
                continue
            except BrokerError as error:
                trouble = str(error)
            except Error as error:
                trouble = f"The database is away: {str(error).strip()}"
                connection.close()
            except Exception as error:  # nobody thought of
                troubles.failed("round of the bridges", error)
                trouble = f"{type(error).__name__}: {error}"
            self._close()
            if trouble != said:
                logger.warning("%s; trying again.", trouble)
            said = trouble
            self._stopping.wait(RETRY)
        self._close()
        with suppress(Error):
            self._readers.tell(self._inbox, end=True)

    def _close(self) -> None:
        self._inbox.close()
        self._answers.close()
        self._desk.close()

    def _step(self) -> None:
        if time.monotonic() >= self._look_at:
            self._look()
        self._answers.send_due()
        arrived = self._inbox.poll(min(LOOK, self._answers.pause(), self._desk.pause()), BATCH)
        self._inbox.acknowledge(self._desk.serve(one for one in arrived if one.bridge == REQUESTS))
        if arrived := [one for one in arrived if one.bridge != REQUESTS]:
            self.take(arrived)
            self._inbox.acknowledge(arrived)
            self._readers.came(arrived)

    def take(self, arrived: Sequence[Arrived]) -> None:
        """Make a job of each, or keep it with the reason, all in one transaction; one by one where that fails.

        Raises:
            Error: the database is away, is read-only, or lacks a table; no message is to blame.
        """
        try:
            self._take_in_one(arrived)
        except Exception as error:  # of one message, which must not stop the others
            if isinstance(error, Error) and not isinstance(error, DataError | IntegrityError):
                raise
            if len(arrived) == 1:
                self._keep(arrived[0], f"{type(error).__name__}: {error}")
                return
            for one in arrived:
                self.take([one])

    def _take_in_one(self, arrived: Sequence[Arrived]) -> None:
        for again in range(TRIES):
            try:
                with atomic():
                    self._take(arrived)
                return
            except IntegrityError:  # another bridge was as fast with the same message: the next try sees its row
                if again == TRIES - 1:
                    raise

    def _take(self, arrived: Sequence[Arrived]) -> None:
        for bridge in dict.fromkeys(one.bridge for one in arrived):
            self._take_of(bridge, [one for one in arrived if one.bridge == bridge])

    def _take_of(self, bridge: Bridge, arrived: Sequence[Arrived]) -> None:
        """In the order of the messages: their jobs' ids ascend."""
        if bridge.type == "stream":
            arrived = pass_by(bridge, arrived)
        messages = [read for one in arrived if (read := self._read(one))]
        keys = {read.found.key for read in messages if read.found.key}
        jobs: dict[str, Any] = dict(BridgedMessage.objects.filter(queue=bridge.queue, key__in=keys).values_list("key", "job"))
        new: dict[object, _Read] = {}
        for number, read in enumerate(messages):
            if read.found.key not in jobs:
                new.setdefault(read.found.key or number, read)
        for options, group in groupby(new.values(), key=lambda read: read.found.options):
            jobs |= self._submit(bridge, dict(options), list(group))
        waiting = [(read.wanted, jobs.get(read.found.key)) for read in messages if read.wanted and read.found.key]
        self._await((wanted, job) for wanted, job in waiting if job)

    def _read(self, one: Arrived) -> _Read | None:
        try:
            found = admitted(one, mapped(self._kinds[one.bridge], one))
            return found and _Read(one, found, wanted(one))
        except CannotMap as error:
            self._keep(one, str(error))
            return None

    def _submit(self, bridge: Bridge, options: dict[str, object], messages: list[_Read]) -> dict[str, Any]:
        """Returns the jobs of those that have a key, by it."""
        if depth := options.pop(DEPTH, None):
            options["meta"] = {DEPTH_KEY: depth}
        try:
            ids = submit_many(self._kinds[bridge], [read.found.arguments for read in messages], **options)  # type: ignore[arg-type]
        except FurrowError as error:
            if len(messages) == 1:
                self._keep(messages[0].one, str(error))
                return {}
            return {key: job for read in messages for key, job in self._submit(bridge, dict(options), [read]).items()}
        made = list(zip(messages, ids, strict=True))
        jobs = {read.found.key: id for read, id in made if read.found.key}
        # In one order everywhere: two processes with the same messages do not wait for one another.
        BridgedMessage.objects.bulk_create(BridgedMessage(queue=bridge.queue, key=key, job=jobs[key]) for key in sorted(jobs))
        self._await((read.wanted, id) for read, id in made if read.wanted and not read.found.key)
        return jobs

    def _await(self, waiting: Iterable[tuple[Wanted, Any]]) -> None:
        """Have these answered when their jobs end. Who asks for a known message again is answered again."""
        rows = [Reply(job=job, **wanted._asdict()) for wanted, job in waiting]
        if rows:
            Reply.objects.bulk_create(rows, ignore_conflicts=True)
            self._answers.expect()

    def _keep(self, one: Arrived, reason: str) -> None:
        dead = describe(one.message, f"A bridge made no job of it: {reason}", self._node)
        logger.error("A message of %s is no job of %s and is kept: %s", one.bridge.queue, one.bridge.kind, reason)
        DeadMessage.objects.create(bridge=one.bridge.queue, **dead._asdict())
        with suppress(CannotMap):
            if asks := wanted(one):
                Reply.objects.create(refused=clean(reason), **asks._asdict())
                self._answers.expect()

    def _look(self) -> None:
        """Once a second: whose jobs pile up, what cannot be consumed, what is old."""
        self._look_at = time.monotonic() + LOOK
        for bridge, kind in self._kinds.items():
            waiting = Job.objects.filter(queue=kind.queue, kind=kind.name, state__in=UNSTARTED)
            backlog = waiting.order_by()[: bridge.backlog + 1].count()
            if backlog > bridge.backlog:
                if bridge not in self._inbox.paused:
                    logger.warning(
                        "The backlog of %s is above %d: its queue %s is not read.", kind.name, bridge.backlog, bridge.queue
                    )
                self._inbox.paused.add(bridge)
            elif backlog <= bridge.backlog * 3 // 4:
                self._inbox.paused.discard(bridge)
        for bridge, reason in self._inbox.refused.items():
            whose = (
                "where workers in other languages ask" if bridge == REQUESTS else f"whose messages become jobs of {bridge.kind}"
            )
            troubles.note(
                "bridge of a queue",
                f"Queue {bridge.queue}, {whose}, cannot be consumed: {reason}",
                "declare it in FURROW['BRIDGES'] as the program does that owns it, or with declare=False",
            )
        self._readers.tell(self._inbox)
        troubles.flush(connection)
        old = BridgedMessage.objects.filter(at__lt=statements.on(connection).clock(connection) - KNOWN_FOR)
        BridgedMessage.objects.filter(pk__in=list(old.order_by("at").values_list("pk", flat=True)[:BATCH])).delete()
