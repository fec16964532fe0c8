"""Answers: what became of a job goes to where its message wanted it (AMQP's reply-to), from the record.

A row waits for each answer, written with the job. So whoever dies, the answer is late and not lost; who dies between sending it
and deleting the row makes another process send it again.
"""

import json
import logging
import time
from typing import Any

from furrow.models import Job, Reply
from furrow.models.database import atomic
from furrow.models.json_field import Unreadable
from furrow.rabbitmq.answers import Answer, Post
from furrow.states import FINAL, State

logger = logging.getLogger(__name__)

#: Rows in one look, and answers in one transaction.
LOOKED_AT, SENT = 500, 50
#: Seconds between two looks while somebody waits, and while nobody does; how many times longer than a look its pause is.
SOON, IDLE, RARELY = 0.05, 1.0, 20


class Answers:
    """One for a process of bridges; several share the work."""

    def __init__(self) -> None:
        self._post = Post()
        self._look_at = 0.0
        self._after = 0

    def expect(self) -> None:
        """Somebody waits now."""
        self._look_at = min(self._look_at, time.monotonic() + SOON)

    def pause(self) -> float:
        """Seconds until the next look."""
        return max(0.0, self._look_at - time.monotonic())

    def send_due(self) -> None:
        """Answer those whose jobs have ended, if it is time to look.

        Raises:
            BrokerError: RabbitMQ is away; they are answered another time.
        """
        if self.pause():
            return
        began = time.monotonic()
        page = list(
            Reply.objects.filter(form=Reply.Form.BRIDGE, pk__gt=self._after).order_by("pk").values_list("pk", "job")[:LOOKED_AT]
        )
        states = dict(Job.objects.filter(pk__in={job for _, job in page if job}).values_list("pk", "state"))
        ended: frozenset[str] = FINAL
        # Of a job that was deleted, too, somebody waits for an answer.
        due = [pk for pk, job in page if job is None or job not in states or states[job] in ended]
        for first in range(0, len(due), SENT):
            self._send(due[first : first + SENT])
        more = len(page) == LOOKED_AT
        self._after = page[-1][0] if more else 0
        took = time.monotonic() - began
        self._look_at = time.monotonic() + (max(SOON, RARELY * took) if page else IDLE)

    def close(self) -> None:
        """Drop the connection."""
        self._post.close()

    def _send(self, due: list[int]) -> None:
        with atomic():
            replies = list(Reply.objects.filter(pk__in=due).order_by("pk").select_for_update(skip_locked=True))
            jobs = Job.objects.only("kind", "state", "result", "error").in_bulk([reply.job for reply in replies if reply.job])
            gone = self._post.send([_answer(reply, jobs.get(reply.job)) for reply in replies]) if replies else set()
            Reply.objects.filter(pk__in=[reply.pk for reply in replies]).delete()
        for reply in replies:
            if str(reply.pk) in gone:
                logger.warning("Nobody gets the answer of job %s: there is no queue %r any more.", reply.job, reply.reply_to)


def _answer(reply: Reply, job: Job | None) -> Answer:
    """The result as JSON, or an object with the error; the type says which."""
    state, body = _said(reply, job)
    properties: dict[str, Any] = {"content_type": "application/json", "content_encoding": "utf-8", "delivery_mode": 2}
    properties |= {"type": state, "correlation_id": reply.correlation_id} if reply.correlation_id else {"type": state}
    headers = {"furrow-job": str(reply.job)} | ({"furrow-kind": job.kind} if job else {}) if reply.job else {}
    return Answer(str(reply.pk), reply.reply_to, json.dumps(body).encode(), properties | {"application_headers": headers})


def _said(reply: Reply, job: Job | None) -> tuple[str, Any]:
    if reply.refused:
        return "refused", {"error": reply.refused}
    if job is None:
        return "gone", {"error": "the job was deleted"}
    if isinstance(job.result, Unreadable):
        return State.FAILED, {"error": f"the result cannot be read: {job.result.reason}"}
    if job.state == State.SUCCEEDED:
        return State.SUCCEEDED, job.result
    return job.state, {"error": job.error or job.state}
