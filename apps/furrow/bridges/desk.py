"""Desk: workers in other languages ask over AMQP, and are answered (docs/other_languages.md).

A request is acknowledged once its answer is sent. Who dies in between leaves it to another process, which does it again: an end
is settled once, and jobs that were claimed for an answer that never came are handed back, as over HTTP.
"""

import json
import logging
import math
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Any

from django.db import DataError, Error, IntegrityError
from pydantic import BaseModel, ValidationError

from furrow.bridges.mapping import CannotMap, Wanted, wanted
from furrow.errors import did_you_mean
from furrow.external import operations, shapes
from furrow.external.claims import Assignment, external_kinds
from furrow.external.ends import RowsLocked
from furrow.external.operations import Claiming, RunsOver
from furrow.kinds.arguments import explain
from furrow.models import DeadMessage
from furrow.rabbitmq.answers import Answer, Post
from furrow.rabbitmq.inbox import Arrived
from furrow.worker.ledger.dead import describe

logger = logging.getLogger(__name__)

#: Seconds between two looks for jobs while somebody waits; how many times longer than a look its pause is.
SOON, RARELY = 0.1, 20
#: Requests that wait for jobs at once: half of those that RabbitMQ hands out before some are answered.
MOST_WAITING = 500

#: By AMQP's ``type``: what the body must be, and what is done. A claim may have to wait first.
SHAPES: dict[str, type[BaseModel]] = {
    "claim": shapes.Claim,
    "heartbeat": shapes.Heartbeat,
    "log": shapes.Lines,
    "progress": shapes.Steps,
    "finish": shapes.Finishes,
    "leave": shapes.Worker,
}
OPERATIONS: dict[str, Callable[[Any, Collection[str]], dict[str, Any]]] = {
    "heartbeat": operations.keep_alive,
    "log": operations.append_lines,
    "progress": operations.note_progress,
    "finish": operations.end_runs,
    "leave": operations.give_back,
}


class Refused(Exception):
    """A request that can be read, and cannot be done. Says why."""


@dataclass
class _Request:
    arrived: Arrived
    wanted: Wanted | None = None
    #: Of a claim; and until when (monotonic seconds) it waits.
    claiming: Claiming | None = None
    until: float = 0.0
    #: The answer: AMQP's ``type``, and the body.
    type: str = ""
    body: Any = None
    jobs: tuple[Assignment, ...] = ()

    def answered(self, type: str, body: Any) -> None:
        self.type, self.body = type, body


class Desk:
    """One for a process of bridges; several share the work."""

    def __init__(self, node: str) -> None:
        self._node = node
        self._post = Post()
        self._waiting: list[_Request] = []
        self._look_at = math.inf

    def pause(self) -> float:
        """Seconds until :meth:`serve` has something to do, whatever comes."""
        return max(0.0, self._look_at - time.monotonic())

    def serve(self, arrived: Iterable[Arrived]) -> list[Arrived]:
        """Do what these requests ask, give jobs to those that wait, and send the answers.

        Returns:
            The requests to acknowledge.

        Raises:
            Error: the database is away. Nothing was answered, and all requests come again.
            BrokerError: RabbitMQ is away; so do they.
        """
        answered = []
        for one in arrived:
            request = _Request(one)
            self._guarded(request, self._do)
            if request.type:
                answered.append(request)
            else:
                self._waiting.append(request)
                self._look_at = 0.0
        if not self.pause():
            answered += self._give()
        self._send([request for request in answered if request.wanted])
        return [request.arrived for request in answered]

    def close(self) -> None:
        """Forget who waits: the requests come again."""
        self._post.close()
        self._waiting.clear()
        self._look_at = math.inf

    def _do(self, request: _Request) -> None:
        """All but a claim, which is to wait."""
        request.wanted = wanted(request.arrived)
        asked, given = _understood(request.arrived)
        if not isinstance(given, shapes.Claim):
            request.answered("done", OPERATIONS[asked](given, external_kinds()))
            return
        if request.wanted is None:
            raise CannotMap("a claim needs reply_to: the queue that its jobs are sent to")
        request.claiming, request.until = Claiming(given, _kinds(given)), time.monotonic() + given.wait

    def _guarded(self, request: _Request, step: Callable[[_Request], None]) -> None:
        """What goes wrong with one request is its answer, and stops no other.

        Raises:
            Error: the database is away; no request is to blame.
        """
        try:
            step(request)
        except RunsOver as over:
            request.answered("over", {"error": str(over), "errors": over.entries})
        except RowsLocked:
            request.answered("again", {"error": operations.LOCKED})
        except Refused as error:
            request.answered("refused", {"error": str(error)})
        except CannotMap as error:
            self._keep(request, str(error))
        except Exception as error:
            if isinstance(error, Error) and not isinstance(error, DataError | IntegrityError):
                raise
            self._keep(request, f"{type(error).__name__}: {error}")
        if request.type not in ("", "done") and request.wanted is None:
            logger.warning("A worker's request that nobody awaits an answer to is %s: %s", request.type, request.body["error"])

    def _keep(self, request: _Request, reason: str) -> None:
        queue = request.arrived.bridge.queue
        logger.error("A request of a worker, on %s, cannot be done and is kept: %s", queue, reason)
        dead = describe(request.arrived.message, f"A worker asked what cannot be done: {reason}", self._node)
        DeadMessage.objects.create(bridge=queue, **dead._asdict())
        request.answered("refused", {"error": reason})

    def _give(self) -> list[_Request]:
        """Those that wait no longer: there are jobs, or their time is over."""
        began, idle = time.monotonic(), set[frozenset[str]]()
        # Of a channel that is closed the requests come again.
        self._waiting = [request for request in self._waiting if request.arrived.message.channel.is_open]
        too_many = len(self._waiting) - MOST_WAITING
        for place, request in enumerate(self._waiting):
            self._guarded(request, lambda request: _look(request, idle))
            if not request.type and (place < too_many or began >= request.until):
                _end_wait(request)
        answered = [request for request in self._waiting if request.type]
        self._waiting = [request for request in self._waiting if not request.type]
        now = time.monotonic()
        self._look_at = now + max(SOON, RARELY * (now - began)) if self._waiting else math.inf
        return answered

    def _send(self, requests: list[_Request]) -> None:
        if not requests:
            return
        gone = self._post.send([_answer(str(number), request) for number, request in enumerate(requests)])
        for number in map(int, gone):
            if claiming := requests[number].claiming:
                claiming.unheard(requests[number].jobs)


def _understood(one: Arrived) -> tuple[str, BaseModel]:
    """The type and the body. Raises CannotMap: it is no request."""
    asked = str(one.message.properties.get("type") or "")
    if asked not in SHAPES:
        raise CannotMap(f"its type is {asked!r:.80}, which is no operation; {did_you_mean(asked, SHAPES)}")
    try:
        return asked, SHAPES[asked].model_validate(json.loads(one.body))
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise CannotMap(f"body: it is no JSON: {error}"[:300]) from None
    except ValidationError as error:
        wrong = {"body" if name == "arguments" else name: text for name, text in explain(error).items()}
        raise CannotMap("; ".join(f"{name}: {text}" for name, text in wrong.items())) from None


def _look(request: _Request, idle: set[frozenset[str]]) -> None:
    """Answer a claim if there are jobs; ``idle``: kinds of which others found none just now."""
    assert request.claiming
    kinds = frozenset(request.claiming.kinds)
    if kinds in idle:
        request.claiming.renew()
    elif jobs := tuple(request.claiming.look()):
        request.jobs = jobs
        request.answered("done", request.claiming.answer(jobs))
    else:
        idle.add(kinds)


def _end_wait(request: _Request) -> None:
    assert request.claiming
    request.answered("done", request.claiming.answer(()))


def _kinds(given: shapes.Claim) -> list[str]:
    """Raises Refused: one of the kinds that it asks for is not external, or none is."""
    known = external_kinds()
    for kind in given.kinds or ():
        if kind not in known:
            raise Refused(operations.not_external(kind, known))
    if not known:
        raise Refused("there is no external kind here; declare one with external_kind(…)")
    return given.kinds or known


def _answer(id: str, request: _Request) -> Answer:
    assert request.wanted
    properties = {"content_type": "application/json", "content_encoding": "utf-8", "type": request.type}
    if request.wanted.correlation_id:
        properties["correlation_id"] = request.wanted.correlation_id
    return Answer(id, request.wanted.reply_to, json.dumps(request.body, default=str).encode(), properties)
