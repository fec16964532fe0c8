"""What a project meets that takes Furrow on: its Celery application, its queues, its settings, its admin sites."""

import time
import uuid
from types import SimpleNamespace
from typing import Any

import celery
import celery.signals
import pytest
from celery.utils.quorum_queues import detect_quorum_queues
from celery.worker.autoscale import Autoscaler
from celery.worker.consumer import Consumer
from django.apps import apps
from django.contrib import admin
from django.core.exceptions import ImproperlyConfigured
from django.db import OperationalError, ProgrammingError
from django.urls import NoReverseMatch
from furrow import LockUnavailable, checks, lock, output_url, rate_limit
from furrow.actions import locks
from furrow.admin import register
from furrow.celery import Celery
from furrow.diagnosis.commands import flower_command, worker_command
from furrow.locks import wakeup
from furrow.models import Job
from furrow.rabbitmq import queues
from furrow.rabbitmq.queues import job_queue, shared_queues
from furrow.statements import sessions
from furrow.worker.celery.autoscaler import JobAutoscaler
from furrow.worker.celery.consumer import JobConsumer
from furrow.worker.celery.worker import Worker, with_jobs
from kombu import Queue
from pytest_django import Settings


def test_a_stock_application_is_an_error_that_names_the_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queues, "project_app", lambda: celery.Celery("shop", set_as_current=False))
    (error,) = checks.check_celery_application()
    assert error.id == "furrow.E004"
    assert "from furrow.celery import Celery" in (error.hint or "")


def test_what_is_not_among_the_projects_urls_is_named_with_the_line(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("furrow.kinds.kind.all_kinds", lambda: [SimpleNamespace(name="words.count", external=True)])
    assert checks.check_external_kinds() == []
    settings.ROOT_URLCONF = "furrow.monitoring.urls"
    (warning,) = checks.check_external_kinds()
    assert (warning.id, warning.obj) == ("furrow.W004", "words.count")
    assert 'include("furrow.api.urls")' in (warning.hint or "")
    with pytest.raises(NoReverseMatch, match=r'include\("furrow.streaming.urls"\)'):
        output_url(uuid.uuid4())
    monkeypatch.setattr("furrow.kinds.kind.all_kinds", lambda: [SimpleNamespace(name="add", external=False)])
    assert checks.check_external_kinds() == []


def test_what_people_are_told_to_type_names_their_project(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "shop.settings.local")
    settings.FURROW = {"FLOWER_URL": "http://10.0.0.7:5556/flower/", "FLOWER_BASIC_AUTH": "web:secret"}
    assert worker_command("mail") == "celery -A shop worker -Q mail"
    flower = "celery -A shop flower --address=10.0.0.7 --port=5556 --url_prefix=flower --basic_auth=USER:PASSWORD"
    assert flower_command() == flower
    settings.FURROW = {}
    assert flower_command() == "celery -A shop flower --address=127.0.0.1 --port=5555 --url_prefix=flower"


def test_a_worker_of_a_stock_application_says_loudly_that_it_runs_no_job(caplog: pytest.LogCaptureFixture) -> None:
    for app in (celery.Celery("shop", set_as_current=False), Celery("ours", set_as_current=False)):
        celery.signals.celeryd_after_setup.send(sender="worker@here", instance=SimpleNamespace(app=app), conf=app.conf)
    (record,) = caplog.records
    assert record.levelname == "ERROR"
    assert "runs no jobs" in caplog.text
    assert "shop" in caplog.text
    assert "from furrow.celery import Celery" in caplog.text


@pytest.mark.parametrize(
    ("namespace", "given", "variable", "name"),
    [
        ("CELERY", ["CELERY_BROKER_URL"], "", "CELERY_BROKER_URL"),
        ("QUEUES", ["QUEUES_BROKER_WRITE_URL", "QUEUES_BROKER_URL"], "", "QUEUES_BROKER_WRITE_URL"),
        ("CELERY", ["CELERY_BROKER_URL"], "CELERY_BROKER_WRITE_URL", "CELERY_BROKER_WRITE_URL"),
        ("CELERY", [], "", "CELERY_BROKER_URL"),
        ("", [], "", "broker_url of the Celery application 'shop'"),
    ],
)
def test_a_wrong_broker_is_named_as_the_project_names_it(
    monkeypatch: pytest.MonkeyPatch, namespace: str, given: list[str], variable: str, name: str
) -> None:
    app = celery.Celery("shop", set_as_current=False, namespace=namespace)
    monkeypatch.setattr(queues, "project_app", lambda: app)
    monkeypatch.setattr(queues, "settings", SimpleNamespace(**dict.fromkeys(given)))
    monkeypatch.delenv("CELERY_BROKER_URL", raising=False)
    if variable:
        monkeypatch.setenv(variable, "redis://host")
    assert queues.explain_url("redis://host") == f"{name} starts with redis://; Furrow needs RabbitMQ, amqp:// or amqps://."


@pytest.mark.parametrize(
    ("order", "errors"),
    [(["unfold", "django.contrib.admin"], []), (["django.contrib.admin", "unfold"], ["furrow.E006"]), (["furrow"], [])],
)
def test_a_theme_that_comes_too_late_is_an_error(monkeypatch: pytest.MonkeyPatch, order: list[str], errors: list[str]) -> None:
    monkeypatch.setattr(apps, "get_app_configs", lambda: [SimpleNamespace(name=name, default=True) for name in order])
    assert [error.id for error in checks.check_theme()] == errors


def test_without_redis_nothing_is_said_of_dead_workers_locks(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    settings.FURROW = {}
    locks.free([(uuid.uuid4(), 1)])
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OperationalError("no such table: furrow_job"), "lacks tables or columns: type python manage.py migrate"),
        (OperationalError("no such column: furrow_job.node"), "lacks tables or columns: type python manage.py migrate"),
        (ProgrammingError('relation "furrow_job" does not exist'), "lacks tables or columns: type python manage.py migrate"),
        (OperationalError("database is locked"), "is held up by others' locks"),
        (OperationalError("connection refused"), "is away"),
    ],
)
def test_a_database_without_tables_is_told_from_one_that_is_away(error: Exception, said: str) -> None:
    assert sessions.what_is_wrong(error) == said


def test_a_job_queue_with_the_name_of_a_queue_of_tasks_is_refused() -> None:
    app = Celery("shop", set_as_current=False)
    app.conf.task_queues = [Queue("default")]
    assert "choose another name" in shared_queues(app)
    app = Celery("shop", set_as_current=False)
    app.conf.task_queues = [Queue("mail")]
    assert shared_queues(app) == ""


def test_job_queues_leave_the_way_of_the_projects_tasks_alone() -> None:
    """One quorum queue would make Celery send every task with a countdown through its delayed delivery."""
    app = Celery("shop", set_as_current=False)
    app.conf.task_queue_max_priority = 5
    app.amqp.queues.add(job_queue("default"))
    assert detect_quorum_queues(app, "amqp") == (False, "")
    declared: dict[str, Any] = {}

    class Channel:
        def queue_declare(self, **options: Any) -> None:
            declared.update(options)

    job_queue("default").queue_declare(channel=Channel())
    assert declared["arguments"] == {"x-queue-type": "quorum"}, "whatever the project's settings add to queues of tasks"


class OwnConsumer(Consumer):  # type: ignore[misc]
    """Of a project."""


class OwnJobConsumer(JobConsumer):
    """Of a project that knows what it does."""


def test_a_projects_own_consumer_wins_if_it_can_run_jobs_and_is_refused_by_name_if_not() -> None:
    stock = "celery.worker.consumer:Consumer"
    assert with_jobs("worker_consumer", stock, stock, JobConsumer) is JobConsumer
    assert with_jobs("worker_consumer", OwnJobConsumer, stock, JobConsumer) is OwnJobConsumer
    with pytest.raises(ImproperlyConfigured, match=r"worker_consumer is .*OwnConsumer.* needs .*JobConsumer"):
        with_jobs("worker_consumer", OwnConsumer, stock, JobConsumer)
    assert with_jobs("worker_autoscaler", Autoscaler, "celery.worker.autoscale:Autoscaler", JobAutoscaler) is JobAutoscaler


@pytest.mark.parametrize(
    ("pool", "chosen", "consumed"),
    [
        ("prefork", None, {"celery", "mail", "default", "other"}),
        ("threads", None, {"celery", "mail"}),
        ("solo", "mail", {"mail"}),
        ("prefork", "other,mail", {"other", "mail"}),
    ],
)
def test_a_worker_consumes_job_queues_if_it_can_run_jobs(pool: str, chosen: str | None, consumed: set[str]) -> None:
    app = Celery("shop", set_as_current=False)
    app.conf.task_queues = [Queue("celery"), Queue("mail")]
    worker = Worker.__new__(Worker)
    worker.app, worker.pool_cls = app, pool
    worker.setup_queues(chosen)
    assert {*app.amqp.queues.consume_from} == consumed
    assert {*app.amqp.queues} == {"celery", "mail"}, "what the project's tasks are sent to"
    assert app.amqp.queues["mail"].queue_arguments is None


def test_without_redis_locks_and_rates_are_refused_by_name_and_jobs_are_polled(settings: Settings) -> None:
    settings.FURROW = {**settings.FURROW, "REDIS_URL": ""}
    with pytest.raises(LockUnavailable, match=r"FURROW\['REDIS_URL'\]"), lock("nothing", timeout=0):
        pass
    with pytest.raises(LockUnavailable, match=r"FURROW\['REDIS_URL'\]"):
        rate_limit("nothing", "1/s", timeout=0).take()
    began = time.monotonic()
    with pytest.raises(LockUnavailable, match=r"FURROW\['REDIS_URL'\]"), lock("nothing"):
        pass
    assert time.monotonic() - began < 5, "there is nothing to wait for"
    assert not wakeup.wake()
    assert not wakeup.Waiter().wait(0.0)


def test_any_site_can_show_jobs() -> None:
    site = admin.AdminSite(name="back_office")
    register(site)
    register(site)  # and nothing happens
    assert site.is_registered(Job)
