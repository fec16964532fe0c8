"""The bridges' process: read, make jobs of what came in one transaction, and acknowledge once that is committed.

Who dies in between has acknowledged nothing: the messages come again, and those that are jobs by then are known by their keys.
Several of these processes share the work.
"""

import datetime as dt
import logging
import socket
import threading
import time
from collections import defaultdict
from collections.abc import Sequence

from django.db import Error, IntegrityError, InterfaceError, OperationalError

from furrow import statements
from furrow.bridge import Bridge
from furrow.bridges.mapping import CannotMap, Mapped, mapped
from furrow.diagnosis import troubles
from furrow.errors import BrokerError, FurrowError
from furrow.kinds.kind import Kind, get_kind
from furrow.models import BridgedMessage, DeadMessage, Job
from furrow.models.database import atomic, connection
from furrow.rabbitmq.inbox import Arrived, Inbox
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


class Bridges:
    """See the module. ``run`` returns when ``stop`` was called."""

    def __init__(self, bridges: Sequence[Bridge]) -> None:
        self._kinds: dict[Bridge, Kind] = {bridge: get_kind(bridge.kind) for bridge in bridges}
        self._inbox = Inbox(bridges)
        self._node = f"bridge@{socket.gethostname()}"
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
            self._inbox.close()
            if trouble != said:
                logger.warning("%s; trying again.", trouble)
            said = trouble
            self._stopping.wait(RETRY)
        self._inbox.close()

    def _step(self) -> None:
        if time.monotonic() >= self._look_at:
            self._look()
        if arrived := self._inbox.poll(LOOK, BATCH):
            self.take(arrived)
            self._inbox.acknowledge(arrived)

    def take(self, arrived: Sequence[Arrived]) -> None:
        """Make a job of each, or keep it with the reason, all in one transaction; one by one where that fails.

        Raises:
            OperationalError, InterfaceError: the database is away.
        """
        try:
            self._take_in_one(arrived)
        except (OperationalError, InterfaceError):
            raise
        except Exception as error:  # of one message, which must not stop the others
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
        groups: defaultdict[tuple[Bridge, tuple[tuple[str, object], ...]], list[tuple[Arrived, Mapped]]] = defaultdict(list)
        seen: set[tuple[str, str]] = set()
        for one in arrived:
            try:
                found = mapped(self._kinds[one.bridge], one)
            except CannotMap as error:
                self._keep(one, str(error))
                continue
            if found.key and (one.bridge.queue, found.key) in seen:
                continue
            seen.add((one.bridge.queue, found.key))
            groups[one.bridge, found.options].append((one, found))
        for (bridge, options), messages in groups.items():
            keys = [found.key for _, found in messages if found.key]
            known = set(BridgedMessage.objects.filter(queue=bridge.queue, key__in=keys).values_list("key", flat=True))
            self._submit(bridge, dict(options), [(one, found) for one, found in messages if found.key not in known])

    def _submit(self, bridge: Bridge, options: dict[str, object], messages: list[tuple[Arrived, Mapped]]) -> None:
        if not messages:
            return
        kind = self._kinds[bridge]
        try:
            ids = submit_many(kind, [found.arguments for _, found in messages], **options)  # type: ignore[arg-type]
        except FurrowError as error:
            if len(messages) == 1:
                self._keep(messages[0][0], str(error))
            else:
                for one in messages:
                    self._submit(bridge, options, [one])
            return
        BridgedMessage.objects.bulk_create(
            BridgedMessage(queue=bridge.queue, key=found.key, job=id)
            for (_, found), id in zip(messages, ids, strict=True)
            if found.key
        )

    def _keep(self, one: Arrived, reason: str) -> None:
        dead = describe(one.message, f"A bridge made no job of it: {reason}", self._node)
        logger.error("A message of %s is no job of %s and is kept: %s", one.bridge.queue, one.bridge.kind, reason)
        DeadMessage.objects.create(**dead._asdict())

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
            troubles.note(
                "bridge of a queue",
                f"Queue {bridge.queue}, whose messages become jobs of {bridge.kind}, cannot be consumed: {reason}",
                "declare it in FURROW['BRIDGES'] as the program does that owns it, or with declare=False",
            )
        troubles.flush(connection)
        old = BridgedMessage.objects.filter(at__lt=statements.on(connection).clock(connection) - KNOWN_FOR)
        BridgedMessage.objects.filter(pk__in=list(old.order_by("at").values_list("pk", flat=True)[:BATCH])).delete()
