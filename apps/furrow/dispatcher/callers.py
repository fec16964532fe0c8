"""Callers: Celery clients elsewhere that wait for the end of a task, which became a job, are told it.

A row waits for each (:class:`furrow.models.Reply`), written with the job and deleted once it was told: by a message to the
queue of the client's ``rpc://``, and in the project's result backend. So whoever dies, it is told late, or twice. This is a
thread of its own: a result backend that is away may hang for long.
"""

import datetime as dt
import logging
import threading
import time
from typing import Any

from django.db import Error
from django.db.models import Exists, OuterRef

from furrow.diagnosis import troubles
from furrow.dispatcher.leader import Leadership
from furrow.errors import BrokerError
from furrow.kinds.results import as_reply, keeps_results, store, told
from furrow.models import Job, Reply
from furrow.models.database import connection
from furrow.rabbitmq.answers import Answer, Post, answer_queue
from furrow.statements import clock, sessions
from furrow.states import FINAL

logger = logging.getLogger(__name__)

#: Told at once; seconds between two looks while somebody waits, and while nobody does; how many times longer than a look its
#: pause is at least.
BATCH, SOON, IDLE, RARELY = 200, 0.1, 1.0, 20
#: Seconds for which an answer waits for its queue, and how many do: celery-node makes the queue when it looks for a result.
UNREAD, MOST_UNREAD = 10.0, 500
#: For how long it is tried to write the end of a job into a result backend that refuses it.
TRIED = dt.timedelta(hours=1)
_PROPERTIES = {"content_type": "application/json", "content_encoding": "utf-8", "delivery_mode": 2}


class Callers(threading.Thread):
    """Tells while this process leads, until it is stopped."""

    def __init__(self, leadership: Leadership) -> None:
        super().__init__(name="furrow-callers", daemon=True)
        self._leadership = leadership
        self._post = Post()
        self._stopping = threading.Event()
        self._unread: list[tuple[float, Answer]] = []
        self._pause = IDLE

    def run(self) -> None:
        """What is away is tried again."""
        while not self._stopping.wait(self._pause):
            if self._leadership.term is not None:
                self._look()
        self._post.close()
        connection.close()

    def stop(self) -> None:
        """End after the current look, for which this waits a little."""
        self._stopping.set()
        self.join(IDLE)

    def _look(self) -> None:
        self._pause = IDLE
        try:
            self._pause = self.run_once()
        except BrokerError as error:
            logger.debug("Celery clients are told later: %s", error)
        except Error as error:
            logger.warning("Celery clients are told later: the database %s.", sessions.what_is_wrong(error))
            connection.close()
        except Exception as error:
            troubles.failed("telling of Celery clients", error)
            connection.close()

    def run_once(self) -> float:
        """Tell those whose jobs have ended; returns the seconds until the next look.

        Raises:
            BrokerError, Error: RabbitMQ or the database is away.
        """
        waiting = Reply.objects.filter(form=Reply.Form.CELERY)
        unfinished = Job.objects.filter(pk=OuterRef("job")).exclude(state__in=FINAL)
        self._answer_again()
        began = time.monotonic()
        due = list(waiting.filter(~Exists(unfinished)).order_by("pk")[:BATCH])
        looked = time.monotonic() - began
        if not due:
            return max(SOON, RARELY * looked) if self._unread or waiting.exists() else IDLE
        return self._tell(due)

    def _tell(self, due: list[Reply]) -> float:
        more = len(due) == BATCH
        jobs = Job.objects.in_bulk([row.job for row in due if row.job])
        due = [row for row in due if row.job not in jobs or jobs[row.job].state in FINAL]  # nobody runs it again meanwhile
        ends = {row.pk: told(row.correlation_id, jobs.get(row.job), row.refused) for row in due}
        self._answer(due, ends)
        refused = _stored(due, ends) if keeps_results() else []
        over = clock.now() - TRIED
        kept = [row.pk for row in refused if ((row.job in jobs and jobs[row.job].finished_at) or row.at) > over]
        Reply.objects.filter(pk__in=kept).exclude(reply_to="").update(reply_to="")  # that part is done
        Reply.objects.filter(pk__in=[row.pk for row in due if row.pk not in kept]).delete()
        return IDLE if kept else 0.0 if more else SOON

    def _answer(self, due: list[Reply], ends: dict[int, dict[str, Any]]) -> None:
        """Who has no queue (any more) gets none: Celery's clients name one whatever their result backend. One that is made only
        when its client looks is waited for, a little."""
        answers = [
            Answer(str(row.pk), row.reply_to, as_reply(ends[row.pk]), {**_PROPERTIES, "correlation_id": row.correlation_id})
            for row in due
            if row.reply_to
        ]
        if answers:
            returned, until = self._post.send(answers), time.monotonic() + UNREAD
            made_later = (one for one in answers if one.queue == answer_queue(one.properties["correlation_id"]))
            self._unread += [(until, one) for one in made_later if one.id in returned]

    def _answer_again(self) -> None:
        now = time.monotonic()
        self._unread = [(until, one) for until, one in self._unread if until > now][-MOST_UNREAD:]
        if self._unread:
            returned = self._post.send([one for _until, one in self._unread])
            self._unread = [(until, one) for until, one in self._unread if one.id in returned]


def _stored(due: list[Reply], ends: dict[int, dict[str, Any]]) -> list[Reply]:
    """Write the ends into the project's result backend; returns the rows of those that it did not take. After the first failure
    no other is tried: each may take long."""
    for position, row in enumerate(due):
        try:
            store(ends[row.pk])
        except Exception as error:  # of whatever backend the project has
            troubles.failed("record of a job in Celery's result backend", error)
            return due[position:]
    return []
