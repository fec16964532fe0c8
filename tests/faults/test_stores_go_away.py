"""RabbitMQ, Redis and PostgreSQL are stopped, killed and frozen while jobs are submitted and run."""

import datetime as dt
import re
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import OperationalError, connection, transaction
from django.db.models import F
from django.utils import timezone
from furrow import Attempt, Job, State, submit, submit_many
from furrow.actions.workers import Action, ask
from furrow.models import Drift, Leader, Worker
from furrow.rabbitmq.broker import Publisher

from tests import kinds, services
from tests.stack import Stack, all_ended, wait_until
from tests.thorough import first_of


@pytest.fixture(autouse=True)
def _services_come_back() -> Iterator[None]:
    yield
    for service in services.services:
        if service.alive:
            service.thaw()
        service.start()


def trouble() -> str:
    """What the leader says holds it up."""
    return Leader.objects.get(role="dispatcher").trouble


@pytest.mark.engine
def test_a_commit_with_the_broker_stopped_leaves_a_pending_job_that_runs_when_it_is_back(bare: Stack) -> None:
    bare.dispatcher()
    bare.worker()
    services.broker.stop()
    job = submit(kinds.add, {"a": 1})
    wait_until(lambda: "RabbitMQ is away" in trouble(), what="the dispatcher says so")
    assert services.broker.password not in trouble()
    since = Leader.objects.get(role="dispatcher").troubled_since
    assert since is not None
    assert job.created_at - dt.timedelta(seconds=60) < since <= timezone.now()
    assert Job.objects.get(pk=job.pk).state == State.PENDING
    services.broker.start()
    all_ended()
    assert Job.objects.get(pk=job.pk).result == 2
    wait_until(lambda: trouble() == "")
    assert Leader.objects.get(role="dispatcher").troubled_since is None


@pytest.mark.thorough
def test_the_broker_is_killed_under_load(bare: Stack, tmp_path: Path) -> None:
    bare.dispatcher()
    bare.worker()
    ids = submit_many(kinds.sleeps, [{"seconds": 0.01} for _ in range(1500)])
    wait_until(lambda: Job.objects.filter(state=State.SUCCEEDED).count() > 200)
    services.broker.kill()
    more = submit_many(kinds.add, [{"a": n} for n in range(100)])
    services.broker.start()
    all_ended()
    assert Job.objects.filter(pk__in=[*ids, *more], state=State.SUCCEEDED, attempt=F("excused") + 1).count() == 1600
    assert Attempt.objects.filter(outcome="succeeded").count() == 1600


@pytest.mark.thorough
def test_a_job_that_runs_while_the_broker_goes_away_is_recorded_at_once(bare: Stack, tmp_path: Path) -> None:
    bare.dispatcher()
    bare.worker()
    mark = tmp_path / "mark"
    job = submit(kinds.sleeps, {"seconds": 2, "mark": str(mark)})
    wait_until(mark.exists)
    services.broker.stop()
    wait_until(lambda: Job.objects.get(pk=job.pk).state == State.SUCCEEDED)


@pytest.mark.engine
def test_a_worker_leaves_in_order_while_the_broker_hangs(bare: Stack, tmp_path: Path) -> None:
    """It waits for no answer of RabbitMQ: its running job gets its grace, and is handed back."""
    bare.dispatcher()
    worker = bare.worker(FURROW_SHUTDOWN_GRACE="1")
    mark = tmp_path / "mark"
    job = submit(kinds.sleeps, {"seconds": 60, "mark": str(mark)})
    wait_until(mark.exists)
    services.broker.freeze()
    assert worker.stop() == 0
    job.refresh_from_db()
    assert (job.state, job.excused, job.attempts.get().outcome) == (State.PENDING, 1, "interrupted")


@pytest.mark.thorough
def test_a_worker_leaves_when_its_last_job_has_ended_while_the_broker_is_away(bare: Stack, tmp_path: Path) -> None:
    """It hears of that end, and of its idle processes: it does not sit out its grace."""
    bare.dispatcher()
    worker = bare.worker(FURROW_SHUTDOWN_GRACE="600")
    mark, goes_on = tmp_path / "mark", tmp_path / "goes on"
    job = submit(kinds.sleeps, {"seconds": 0, "mark": str(mark), "until": str(goes_on)})
    wait_until(mark.exists)
    services.broker.stop()
    wait_until(lambda: "Connection to broker lost" in worker.text)
    worker.send(signal.SIGTERM)
    wait_until(lambda: "Warm shutdown" in worker.text)
    goes_on.touch()
    assert worker.stop() == 0
    assert job.attempts.get().outcome == "succeeded"


@pytest.mark.thorough
@pytest.mark.engine
def test_a_job_that_ends_while_the_broker_hangs_is_recorded(bare: Stack, tmp_path: Path) -> None:
    """Also when the worker is in the middle of asking RabbitMQ for something: to send no more of a queue."""
    bare.dispatcher()
    bare.worker()
    mark = tmp_path / "mark"
    job = submit(kinds.sleeps, {"seconds": 3, "mark": str(mark)})
    wait_until(mark.exists)
    services.broker.freeze()
    assert ask(Worker.objects.get(stopped_at=None).pk, Action.PAUSE, subject="default")
    wait_until(lambda: Job.objects.get(pk=job.pk).state == State.SUCCEEDED)
    assert job.attempts.get().outcome == "succeeded"


def test_the_dispatcher_rescues_leads_and_leaves_while_the_broker_hangs(bare: Stack, tmp_path: Path) -> None:
    """With a lease that is shorter than the dispatcher's patience with RabbitMQ."""
    dispatcher = bare.dispatcher(FURROW_WORKER_LEASE="4")
    worker = bare.worker(processes=1, FURROW_WORKER_LEASE="4")
    mark = tmp_path / "mark"
    job = submit(kinds.sleeps, {"seconds": 60, "mark": str(mark)})
    wait_until(mark.exists)
    services.broker.freeze()
    worker.kill()
    submit(kinds.add, {"a": 1})
    wait_until(lambda: Job.objects.get(pk=job.pk).state == State.PENDING, what="the killed worker's job is taken back")
    assert job.attempts.get().outcome == "lost"
    said = r"RabbitMQ is away: amqp://furrow:\*\*@[\d.:]+//: it does not answer in time"
    wait_until(lambda: re.fullmatch(said, Leader.objects.get(role="dispatcher").trouble), what="it says what is away")
    assert Leader.objects.get(role="dispatcher").lease_until > timezone.now()
    assert dispatcher.text.count("This dispatcher leads") == 1
    assert dispatcher.stop() == 0


@pytest.mark.thorough
def test_connections_are_cut_while_a_job_runs(bare: Stack, tmp_path: Path) -> None:
    bare.dispatcher()
    worker = bare.worker()
    mark = tmp_path / "mark"
    job = submit(kinds.sleeps, {"seconds": 8, "mark": str(mark)})
    wait_until(mark.exists)
    services.broker.ctl("close_all_connections", "as asked")
    wait_until(lambda: worker.text.count("Connected to amqp") == 2)
    more = submit(kinds.add, {"a": 1})
    wait_until(lambda: Job.objects.get(pk=more.pk).state == State.SUCCEEDED)
    all_ended()
    assert Job.objects.get(pk=job.pk).attempt == 1
    assert worker.popen.poll() is None


def test_lost_messages_are_found_and_sent_again(bare: Stack) -> None:
    from kombu import Connection

    with Connection(services.broker.url) as link:
        channel = link.channel()
        channel.queue_purge("default")  # of what other tests left
        bare.dispatcher()
        ids = submit_many(kinds.add, [{"a": n} for n in range(30)])
        wait_until(lambda: Job.objects.filter(state=State.QUEUED).count() == 30)
        assert channel.queue_purge("default") == 30
        channel.queue_delete("other")
    bare.worker()
    all_ended()
    assert Job.objects.filter(pk__in=ids, state=State.SUCCEEDED, attempt=F("excused") + 1).count() == 30
    assert Drift.objects.get(name="queued_without_message").repaired >= 30


@pytest.mark.thorough
def test_a_job_with_three_messages_runs_once(bare: Stack, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    ids = submit_many(kinds.sleeps, [{"seconds": 0, "mark": str(mark)} for _ in range(40)])
    publisher = Publisher(services.broker.url)
    publisher.publish("default", [(id, "kinds.sleeps") for id in ids for _ in range(3)])
    publisher.close()
    bare.worker()
    all_ended()
    runs = Counter(line.split()[0] for line in mark.read_text().splitlines() if line.endswith("began"))
    assert runs == {str(id): 1 for id in ids}


@pytest.mark.thorough
def test_a_deleted_queue_is_declared_again(bare: Stack) -> None:
    from kombu import Connection

    dispatcher = bare.dispatcher()
    first = submit(kinds.add, {"a": 1})
    wait_until(lambda: Job.objects.get(pk=first.pk).state == State.QUEUED)
    with Connection(services.broker.url) as link:
        link.channel().queue_delete("default")
    second = submit(kinds.add, {"a": 2})
    wait_until(lambda: "declared again" in dispatcher.text)
    bare.worker()
    all_ended()
    assert Job.objects.filter(pk__in=[first.pk, second.pk], state=State.SUCCEEDED).count() == 2


def test_without_redis_jobs_go_on(bare: Stack) -> None:
    bare.dispatcher()
    bare.worker()
    services.redis.stop()
    ids = [submit(kinds.add, {"a": n}).pk for n in range(30)]
    all_ended()
    assert Job.objects.filter(pk__in=ids, state=State.SUCCEEDED).count() == 30
    services.redis.start()
    job = submit(kinds.add, {"a": 1})
    all_ended()
    assert Job.objects.get(pk=job.pk).result == 2


@pytest.mark.thorough
def test_a_frozen_redis_does_not_hold_up_submits(bare: Stack) -> None:
    bare.dispatcher()
    bare.worker()
    services.redis.freeze()
    ids = [submit(kinds.add, {"a": n}).pk for n in range(30)]
    all_ended()
    assert Job.objects.filter(pk__in=ids, state=State.SUCCEEDED).count() == 30


@pytest.mark.parametrize("way", first_of(["kill", "restart"]))
def test_the_database_goes_away_and_comes_back(bare: Stack, way: str) -> None:
    dispatcher = bare.dispatcher()
    worker = bare.worker()
    ids = submit_many(kinds.sleeps, [{"seconds": 0.02} for _ in range(600)])
    wait_until(lambda: Job.objects.filter(state=State.SUCCEEDED).count() > 100)
    connection.close()
    if way == "kill":
        services.postgres.kill()
        wait_until(lambda: "database is away" in worker.text and "database is away" in dispatcher.text)
        services.postgres.start()
    else:
        services.postgres.restart()
    all_ended()
    assert Job.objects.filter(pk__in=ids, state=State.SUCCEEDED).count() == 600
    counts = Counter(Attempt.objects.values_list("outcome", flat=True))
    assert counts["succeeded"] == 600
    # fsync is off in tests, but no page of the machine was lost: what ran ended once.
    assert set(counts) <= {"succeeded", "lost", "interrupted"}


@pytest.mark.thorough
def test_a_database_that_takes_no_writes_is_waited_for(bare: Stack) -> None:
    bare.dispatcher()
    worker = bare.worker()
    ids = submit_many(kinds.sleeps, [{"seconds": 0.02} for _ in range(300)])
    wait_until(lambda: Job.objects.filter(state=State.SUCCEEDED).count() > 20)
    with connection.cursor() as cursor:
        cursor.execute("ALTER SYSTEM SET default_transaction_read_only = on")
        cursor.execute("SELECT pg_reload_conf()")
        wait_until(lambda: "read-only" in worker.text)
        cursor.execute("ALTER SYSTEM RESET default_transaction_read_only")
        cursor.execute("SELECT pg_reload_conf()")
    all_ended()
    assert Job.objects.filter(pk__in=ids, state=State.SUCCEEDED).count() == 300
    assert "ledger failed" not in worker.text


def test_a_database_whose_disk_is_full_is_waited_for(bare: Stack) -> None:
    """PostgreSQL says so with SQLSTATE 53100, in the middle of a transaction: here a trigger does."""
    bare.dispatcher()
    worker = bare.worker()
    ids = submit_many(kinds.sleeps, [{"seconds": 0.02} for _ in range(300)])
    wait_until(lambda: Job.objects.filter(state=State.SUCCEEDED).count() > 20)
    with connection.cursor() as cursor:
        cursor.execute(
            """CREATE FUNCTION no_space() RETURNS trigger LANGUAGE plpgsql AS
               $$ BEGIN RAISE 'could not extend file: No space left on device' USING ERRCODE = '53100'; END $$"""
        )
        for table in ("furrow_attempt", "furrow_job"):
            cursor.execute(f"CREATE TRIGGER full_disk BEFORE INSERT OR UPDATE ON {table} EXECUTE FUNCTION no_space()")
        try:
            wait_until(lambda: "No space left" in worker.text)
            with pytest.raises(OperationalError, match="No space left"), transaction.atomic():
                submit(kinds.add, {"a": 1})
            wait_until(lambda: worker.text.count("is away") >= 1)
        finally:
            cursor.execute("DROP FUNCTION no_space CASCADE")
    all_ended()
    assert Job.objects.filter(pk__in=ids, state=State.SUCCEEDED).count() == 300
    assert set(Attempt.objects.values_list("outcome", flat=True)) <= {"succeeded", "lost", "interrupted"}
    assert "ledger failed" not in worker.text


def test_a_frozen_database_stops_the_worker_before_its_lease_ends(bare: Stack) -> None:
    bare.dispatcher()
    worker = bare.worker(processes=1)
    job = submit(kinds.sleeps, {"seconds": 60})
    wait_until(lambda: Job.objects.get(pk=job.pk).state == State.RUNNING)
    pool = worker.children()[0]
    connection.close()
    services.postgres.freeze()
    wait_until(lambda: not pool.is_running() or pool.status() == "zombie", what="the job's process was stopped")
    assert "lease is lost" in worker.text
    services.postgres.thaw()
    wait_until(lambda: job.attempts.count() >= 1)
    Job.objects.filter(pk=job.pk).update(state=State.CANCELLED, finished_at=job.created_at)
