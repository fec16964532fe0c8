"""Celery clients elsewhere: their tasks become jobs, and they are told how those end, by the result backend that they use."""

import datetime as dt
import json
import re
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery, group
from celery.backends.redis import RedisBackend
from celery.exceptions import TaskRevokedError
from config.celery import app
from django.db import connection
from django.utils import timezone
from django_celery_results.models import TaskResult
from furrow import FINAL, Job, State, cancel, submit
from furrow.dispatcher import callers
from furrow.dispatcher.callers import Callers
from furrow.dispatcher.leader import Leadership
from furrow.errors import BrokerError
from furrow.kinds.results import job_id
from furrow.models import DeadMessage, Reply, Workflow
from furrow.rabbitmq.answers import Post, answer_queue
from furrow.worker.celery import sent_tasks
from kombu import Connection

from tests import kinds, node, services
from tests.kinds import flows
from tests.services import ROOT
from tests.stack import Stack, wait_until

pytestmark = pytest.mark.engine
PATIENCE = 60


@pytest.fixture
def client() -> Iterator[Celery]:
    """With ``rpc://``."""
    with Celery("elsewhere", broker=services.broker.url, backend="rpc://", set_as_current=False) as found:
        yield found


@pytest.fixture(autouse=True)
def _forget(live_db: None) -> Iterator[None]:
    yield
    Reply.objects.all().delete()
    TaskResult.objects.all().delete()
    DeadMessage.objects.all().delete()


def test_a_celery_client_with_rpc_gets_what_became_of_its_tasks(stack: Stack, client: Celery) -> None:
    good = client.send_task("kinds.add", kwargs={"a": 30}, priority=9, headers={"tenant": "acme"})
    unseen = client.send_task("kinds.add", [1], ignore_result=True)
    named = client.send_task("kinds.add", [6], task_id="invoice 7/2026")
    bad = client.send_task("kinds.add", kwargs={"a": "many"})
    failing = client.send_task("kinds.fails_with", kwargs={"error": "KeyError"}, retries=100)
    of_group = str(uuid.uuid4())
    several = [client.send_task("kinds.add", [n], group_id=of_group, group_index=n) for n in range(3)]
    soon = client.send_task("kinds.add", [5], countdown=1, expires=600)
    hour = dt.timedelta(hours=1)
    late = client.send_task("kinds.add", [5], headers={"eta": (timezone.now() + hour).isoformat()})
    assert good.get(timeout=PATIENCE) == 31
    assert named.get(timeout=PATIENCE) == 7
    assert Job.objects.get(pk=job_id(named.id)).meta["celery"]["id"] == app.AsyncResult(named.id).id == named.id
    assert app.AsyncResult(named.id).result == 7
    job = Job.objects.get(pk=good.id)
    assert (job.priority, job.meta["celery"]["headers"]) == (0, {"tenant": "acme"})
    with pytest.raises(Exception, match="a: input should be a valid integer"):
        bad.get(timeout=PATIENCE)
    with pytest.raises(Exception, match="KeyError"):
        failing.get(timeout=PATIENCE)
    assert Job.objects.get(pk=failing.id).counted_attempts == 1
    # One by one: a group that is asked when all of its results are there already waits for another one, in Celery 5.7.
    assert [one.get(timeout=PATIENCE) for one in several] == [1, 2, 3]
    assert set(Job.objects.filter(batch=of_group).values_list("pk", flat=True)) == {uuid.UUID(one.id) for one in several}
    assert soon.get(timeout=PATIENCE) == 6
    assert Job.objects.get(pk=soon.id).expires_at is not None
    wait_until(lambda: Job.objects.filter(pk=unseen.id, state=State.SUCCEEDED).exists())
    wait_until(Job.objects.filter(pk=late.id).exists)
    assert Job.objects.get(pk=late.id).run_at > timezone.now() + hour / 2
    cancel(uuid.UUID(late.id))
    with pytest.raises(TaskRevokedError, match="cancelled"):
        late.get(timeout=PATIENCE)
    made = [good.id, unseen.id, bad.id, failing.id, soon.id, late.id, *(one.id for one in several)]
    wait_until(lambda: not Reply.objects.filter(correlation_id__in=[*made, named.id]).exists(), what="all were told")
    # And in the project's result backend, for clients that have the same.
    assert TaskResult.objects.get(task_id=good.id).status == "SUCCESS"
    assert not TaskResult.objects.filter(task_id=unseen.id).exists()
    assert Job.objects.filter(pk__in=made, state__in=FINAL).count() == len(made)


def test_what_a_job_cannot_do_is_kept_and_its_sender_told(stack: Stack, client: Celery) -> None:
    add = client.signature("kinds.add", [1])
    asked = {
        client.send_task(
            "kinds.add", [1], link=client.signature("elsewhere.other")
        ): "kinds.add links to elsewhere.other, which is",
        client.send_task("kinds.add", [1], time_limit=9): "its time_limit is 9 s",
        client.send_task("kinds.add", ["x"], link=add): "kinds.add was not submitted: a: input should be",
        client.send_task("kinds.add", [1], serializer="pickle"): "ContentDisallowed",
        client.send_task("kinds.add", [1], chord=add, group_id=str(uuid.uuid4())): "it carries a chord, whose parts",
    }
    for result, reason in asked.items():
        with pytest.raises(Exception, match=re.escape(f"It is no job of kinds.add: {reason}")):
            result.get(timeout=PATIENCE)
        assert DeadMessage.objects.filter(reason__contains=reason).exists()
    expired = client.send_task("kinds.add", [1], headers={"expires": timezone.now().isoformat()})
    with pytest.raises(TaskRevokedError, match="expired"):
        expired.get(timeout=PATIENCE)
    assert Job.objects.get(pk=expired.id).state == State.CANCELLED


def test_a_chain_that_a_client_sends_is_a_workflow_and_each_end_is_told(stack: Stack, client: Celery) -> None:
    def sent(kind: str, *args: Any, **options: Any) -> dict[str, Any]:
        return dict(client.signature(kind, args, task_id=str(uuid.uuid4()), **options))

    chained = [sent("kinds.add", 4), sent("kinds.add", 3, link=sent("kinds.any_total", 40))]
    first = client.send_task("kinds.add", [1, 2], chain=chained)
    last, second = (client.AsyncResult(one["options"]["task_id"]) for one in chained)
    assert [one.get(timeout=PATIENCE) for one in (first, second, last)] == [3, 6, 10]
    rest = sent("kinds.add", 3, immutable=True)
    failing = client.send_task("kinds.fails", chain=[rest])
    for result in (failing, client.AsyncResult(rest["options"]["task_id"])):
        with pytest.raises(Exception, match="as asked"):
            result.get(timeout=PATIENCE)
    wait_until(lambda: Job.objects.filter(kind="kinds.any_total", state=State.SUCCEEDED, result=46).exists())


def test_kinds_follow_ordinary_tasks_and_are_their_callbacks(stack: Stack) -> None:
    canvas = kinds.ordinary.s(2) | kinds.add.s(1) | group(kinds.add.s(1), kinds.add.s(2)) | flows.total.s()
    result = canvas.apply_async()
    linked = kinds.ordinary.apply_async((3,), link=kinds.add.s(100))
    failing = kinds.ordinary.apply_async((None,), link_error=flows.tells_failure.s())
    assert result.get(timeout=PATIENCE) == 13
    assert result.parent.get(timeout=PATIENCE) == [6, 7]
    told = Job.objects.filter(state=State.SUCCEEDED)
    wait_until(lambda: told.filter(kind="kinds.add", result=106).exists())
    assert linked.get(timeout=PATIENCE) == 6
    wait_until(lambda: told.filter(kind="kinds.tells_failure", result=failing.id).exists())


def test_a_message_that_comes_again_makes_no_second_job() -> None:
    rest: dict[str, Any] = {"task": "kinds.add", "args": [1], "kwargs": {}, "subtask_type": None, "immutable": False}
    chained = message()
    chained.payload[2]["chain"] = [{**rest, "options": {"task_id": str(uuid.uuid4())}}]
    for _ in range(2):
        assert sent_tasks.take(kinds.add, app, chained, "w@here")
    assert (Job.objects.count(), Reply.objects.count(), DeadMessage.objects.count()) == (2, 2, 0)
    Workflow.objects.all().delete()
    Reply.objects.all().delete()
    Job.objects.all().delete()
    sent = message()
    for _ in range(2):
        assert sent_tasks.take(kinds.add, app, sent, "w@here")
    assert (Job.objects.count(), Reply.objects.count(), DeadMessage.objects.count()) == (1, 1, 0)
    other = submit(kinds.typed, {"text": "x"}, countdown=600)
    assert sent_tasks.take(kinds.add, app, message(id=str(other.pk)), "w@here")
    assert "is the id of another job" in DeadMessage.objects.get().reason
    assert Reply.objects.get(refused__contains="of another job").correlation_id == str(other.pk)


@pytest.mark.parametrize(
    ("args", "kwargs", "arguments", "reason"),
    [
        ([], {"a": "many"}, {"a": "many"}, "a: input should be a valid integer"),
        ([1, 2, 3, 4], {}, {"args": [1, 2, 3, 4]}, "4 given by position"),
        ([1], {"a": 2, "c": 3}, {"args": [1], "a": 2, "c": 3}, "a: is given twice"),
        ([], {}, {}, "a: is missing"),
    ],
)
def test_arguments_that_do_not_fit_are_a_failed_job(args: Any, kwargs: Any, arguments: Any, reason: str) -> None:
    sent = message(id="of my own", group="mine")
    sent.payload[:2] = args, kwargs
    for _ in range(2):
        assert sent_tasks.take(kinds.add, app, sent, "w@here")
    job = Job.objects.get()
    assert (job.state, job.attempt, job.arguments) == (State.FAILED, 0, arguments)
    assert reason in job.error
    assert (job.pk, job.batch) == (job_id("of my own"), job_id("mine"))
    assert job.meta == {"celery": {"id": "of my own", "group": "mine"}}
    assert Reply.objects.get(job=job.pk).correlation_id == "of my own"
    assert not DeadMessage.objects.exists()


def message(**headers: Any) -> Any:
    """As kombu's, of Celery's protocol 2."""
    id = headers.pop("id", str(uuid.uuid4()))
    return SimpleNamespace(
        payload=[[1], {}, {}],
        body=b"[[1], {}, {}]",
        headers={"task": "kinds.add", "id": id, **headers},
        properties={"correlation_id": id, "reply_to": "nobody"},
        content_type="application/json",
        content_encoding="utf-8",
        delivery_info={"exchange": "", "routing_key": "celery"},
    )


def test_while_the_database_is_away_a_message_is_held(bare: Stack, client: Celery) -> None:
    if services.ON_SQLITE:
        pytest.skip("a database server is stopped")
    worker = bare.worker()
    connection.close()
    services.postgres.kill()
    try:
        sent = client.send_task("kinds.add", [1])
        wait_until(lambda: f"Task {sent.id} of kind kinds.add waits" in worker.text)
        with Connection(services.broker.url) as link:  # it is in the worker's hands, and stays there
            assert link.channel().queue_declare("celery", passive=True).message_count == 0
    finally:
        services.postgres.start()
    wait_until(Job.objects.filter(pk=sent.id).exists)


# --- Result backends ----------------------------------------------------------------------------------------------------------


def ended(**columns: Any) -> Job:
    """A job that somebody with a result backend waits for."""
    job = submit(kinds.add, {"a": 1})
    Job.objects.filter(pk=job.pk).update(state=State.SUCCEEDED, result=2, finished_at=timezone.now())
    Reply.objects.create(form="celery", job=job.pk, correlation_id=str(job.pk), reply_to="", **columns)
    return job


@pytest.mark.filterwarnings("ignore:Call to deprecated")  # of Celery's backend
def test_a_client_with_redis_reads_how_a_job_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(app), "backend", property(lambda self: RedisBackend(app=app, url=services.redis.url)))
    job = ended()
    Reply.objects.create(form="celery", refused="It is no job: so", correlation_id="seven", reply_to="")
    Callers(Leadership()).run_once()
    assert not Reply.objects.exists()
    with Celery("elsewhere", backend=services.redis.url, set_as_current=False) as client:
        assert client.AsyncResult(str(job.pk)).get(timeout=PATIENCE) == 2
        with pytest.raises(Exception, match="It is no job: so"):
            client.AsyncResult("seven").get(timeout=PATIENCE)
        client.backend.client.close()


def test_a_result_backend_that_is_away_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    job, running = ended(), submit(kinds.add, {"a": 1}, countdown=600)
    Reply.objects.create(form="celery", job=running.pk, correlation_id=str(running.pk), reply_to="")
    with monkeypatch.context() as away:
        away.setattr(callers, "store", refuses)
        assert Callers(Leadership()).run_once() == callers.IDLE
    assert Reply.objects.count() == 2
    assert Callers(Leadership()).run_once() == callers.SOON
    assert Reply.objects.get().job == running.pk
    assert json.loads(TaskResult.objects.get(task_id=str(job.pk)).result) == 2
    # What it has refused for an hour it will not take any more.
    ended()
    monkeypatch.setattr(callers, "store", refuses)
    monkeypatch.setattr(callers, "TRIED", dt.timedelta())
    Callers(Leadership()).run_once()
    assert Reply.objects.get().job == running.pk


def refuses(found: Any) -> None:
    """As a backend that is away."""
    raise ConnectionError("refused")


def test_while_rabbitmq_is_away_an_answer_waits() -> None:
    job = ended()
    with Connection(services.broker.url) as link:
        queue = link.channel().queue_declare("", exclusive=True).queue
        Reply.objects.update(reply_to=queue)
        teller = Callers(Leadership())
        teller._post = Post(f"amqp://{services.NOWHERE}//")
        with pytest.raises(BrokerError):
            teller.run_once()
        assert Reply.objects.exists()
        Callers(Leadership()).run_once()
        answer = link.channel().basic_get(queue)
    told = json.loads(answer.body)
    assert (told["task_id"], told["status"], told["result"], told["children"]) == (str(job.pk), "SUCCESS", 2, [])
    assert answer.properties["correlation_id"] == str(job.pk)
    assert not Reply.objects.exists()


def test_an_answer_waits_for_the_queue_that_celery_node_makes_when_it_looks() -> None:
    job = ended()
    queue = answer_queue(str(job.pk))
    Reply.objects.update(reply_to=queue)
    teller = Callers(Leadership())
    assert teller.run_once() == callers.SOON
    assert not Reply.objects.exists()
    with Connection(services.broker.url) as link:
        link.channel().queue_declare(queue, durable=False, auto_delete=True)
        assert teller.run_once() == callers.IDLE, "it was taken"
        assert json.loads(link.channel().basic_get(queue).body)["result"] == 2
        link.channel().queue_delete(queue)


@pytest.mark.thorough
def test_celery_node_without_settings_submits_and_gets_what_became_of_it(stack: Stack) -> None:
    """But for where the broker is."""
    program = """
        import celery from "celery-node";
        const client = celery.createClient(process.argv[2], process.argv[2]);
        const good = await client.createTask("kinds.add").delay(3, 4).get(60000);
        const bad = await client.createTask("kinds.add").delay("many").get(60000).catch(error => error.message);
        console.log(JSON.stringify([good, bad]));
        process.exit(0);
    """
    assert json.loads(node.run(program, services.broker.url)) == [7, "FAILURE"]


def test_an_old_answer_queue_that_is_gone_holds_nobody_up() -> None:
    ended()
    Reply.objects.update(reply_to="gone-for-long")
    Callers(Leadership()).run_once()
    assert not Reply.objects.exists()


def test_the_program_of_the_docs_runs_as_it_stands(stack: Stack, tmp_path: Path) -> None:
    page = (ROOT / "docs" / "clients.md").read_text()
    [(name, text)] = re.findall(r"```python\n# (ask\.py):[^\n]*\n(.*?)```", page, re.DOTALL)
    (tmp_path / name).write_text(text)
    command = [sys.executable, "-I", str(tmp_path / name), "kinds.add", '{"a": 1, "b": 2}']
    done = subprocess.run(command, env={"BROKER_URL": services.broker.url}, capture_output=True, text=True, timeout=PATIENCE)
    assert done.stdout.strip() == "3", done.stderr


def test_a_worker_that_runs_no_jobs_takes_them_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    acknowledged: list[Any] = []
    again: list[tuple[Any, ...]] = []
    timer = SimpleNamespace(call_after=lambda *what: again.append(what))
    consumer = SimpleNamespace(controller=SimpleNamespace(), hostname="w@here", timer=timer)
    submit_task = sent_tasks.strategy(kinds.add.task, app, consumer)
    sent = message()
    sent.ack_log_error = lambda *what: acknowledged.append(what)
    with monkeypatch.context() as away:
        away.setattr(sent_tasks, "take", lambda *what: False)
        submit_task(sent, None)
    assert (len(again), acknowledged, Job.objects.count()) == (1, [], 0)
    _seconds, function, arguments = again[0]
    function(*arguments)
    assert (len(acknowledged), Job.objects.count()) == (1, 1)
