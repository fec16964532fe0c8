"""Each way in, started as people start it: a subprocess at the root, with the environment of the tests' servers."""

import base64
import json
import os
import secrets
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from furrow import FINAL, Job, State, cancel, submit

from tests import forks, kinds, services
from tests.stack import CELERY, PYTHON, Process, Stack, wait_until

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent


@pytest.fixture(autouse=True)
def _services_come_back() -> Iterator[None]:
    yield
    for service in services.services:
        service.start()


def run(*command: str, code: int | None = 0, **extra: str) -> str:
    """Run a command to its end; everything it said."""
    env = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = forks.run(command, cwd=ROOT, env={**env, **extra})
    said = done.stdout + done.stderr
    assert code is None or done.returncode == code, f"exit code {done.returncode}:\n{said}"
    return said


def get(url: str, credentials: tuple[str, str] | None = None) -> tuple[int, str]:
    """Status and text of a GET; status 0 when nobody answers."""
    request = urllib.request.Request(url)
    if credentials:
        request.add_header("Authorization", "Basic " + base64.b64encode(":".join(credentials).encode()).decode())
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()
    except OSError:
        return 0, ""


# --- manage.py --------------------------------------------------------------------------------------------------------------


def test_check() -> None:
    assert "System check identified no issues (0 silenced)." in run(PYTHON, "-W", "error", "manage.py", "check")


def test_check_deploy_is_clean_with_the_environment_of_production() -> None:
    said = run(
        *(PYTHON, "-W", "error", "manage.py", "check", "--deploy", "--fail-level", "INFO"),
        DEBUG="false",
        HTTPS="true",
        SECRET_KEY=secrets.token_urlsafe(60),
        ALLOWED_HOSTS="jobs.example.com",
        CSRF_TRUSTED_ORIGINS="https://jobs.example.com",
    )
    assert "System check identified no issues (0 silenced)." in said


def test_the_admin_is_loaded_for_its_pages_and_checks_alone() -> None:
    code = """
import sys, django
django.setup()
from config.celery import app
app.loader.import_default_modules()
print("furrow.admin" in sys.modules)
from django.core.checks import run_checks
print(run_checks(tags=["admin"]), "furrow.admin" in sys.modules)
"""
    said = run(
        PYTHON, "-c", code, PYTHONPATH=f"{ROOT}:{ROOT / 'apps'}:{ROOT / 'platform'}", DJANGO_SETTINGS_MODULE="config.settings"
    )
    assert said.splitlines() == ["False", "[] True"]


def test_no_migration_is_missing() -> None:
    assert "No changes detected" in run(PYTHON, "manage.py", "makemigrations", "--check", "--dry-run")


@pytest.mark.parametrize(
    ("variable", "value", "text"),
    [
        ("BROKER_URL", "redis://localhost", "BROKER_URL starts with redis://; Furrow needs RabbitMQ"),
        ("BROKER_URL", "amqp://host:notaport", "BROKER_URL cannot be read"),
        ("BROKER_URL", "amqp://u:pass/word@host//", "BROKER_URL cannot be read"),
        ("DATABASE_URL", "postgresql://u:pass#word@host/db", "DATABASE_URL cannot be read"),
        ("REDIS_URL", "redis://:1?pass@host/0", "REDIS_URL cannot be read"),
        ("BROKER_URL", "", "BROKER_URL starts with nothing://"),
        ("DATABASE_URL", "mysql://u:p@h/db", "DATABASE_URL names mysql, and Furrow runs on PostgreSQL and SQLite"),
        ("DATABASE_URL", "", "DATABASE_URL names no database"),
        ("FURROW_QUEUES", "a b", "FURROW['QUEUES'] names 'a b'"),
        ("FURROW_QUEUES", ",", "FURROW['QUEUES']"),
        ("FURROW_MODULES", "no_such_package", "FURROW['MODULES'] names 'no_such_package'"),
        ("FURROW_WORKER_LEASE", "soon", "FURROW_WORKER_LEASE is 'soon': it must be a number"),
        ("FURROW_WORKER_LEASE", "-1", "FURROW['WORKER_LEASE'] is -1.0: it must be a number greater than 0"),
        ("FURROW_MAX_ARGUMENT_BYTES", "1 MiB", "FURROW_MAX_ARGUMENT_BYTES is '1 MiB'"),
        ("FURROW_LOCK_LEASE", "99", "FURROW['LOCK_LEASE'] is 99.0: it must be a number of seconds from 2 to 30"),
        ("FURROW_QUEUE_LIMITS", "default", "FURROW_QUEUE_LIMITS is 'default': write names and numbers as reports=4,mail=20"),
        ("REDIS_URL", "localhost:6379", "REDIS_URL must begin with redis:// or rediss:// or unix://"),
        ("HTTPS", "perhaps", "HTTPS is 'perhaps': it must be true or false"),
        ("TIME_ZONE", "Mars", "TIME_ZONE is 'Mars': it must be a name such as Europe/Berlin"),
        ("LOG_LEVEL", "loud", "LOG_LEVEL is 'LOUD': it must be DEBUG, INFO"),
    ],
)
def test_a_wrong_setting_stops_every_command_and_is_named(variable: str, value: str, text: str) -> None:
    said = run(PYTHON, "manage.py", "check", code=1, **{variable: value})
    assert text in said
    assert "Traceback" not in said
    assert "pass" not in said.replace("password", "")


def test_a_secret_may_begin_with_a_dollar_sign() -> None:
    assert "no issues" in run(PYTHON, "manage.py", "check", SECRET_KEY="$ecret" * 9, FLOWER_BASIC_AUTH="$f:$p")


def test_the_dispatcher_refuses_a_broker_that_is_not_rabbitmq() -> None:
    assert "Furrow needs RabbitMQ" in run(PYTHON, "manage.py", "furrow", "dispatcher", code=1, BROKER_URL="redis://localhost")


# --- celery -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("celery", [[str(BIN / "celery")], [PYTHON, "-m", "celery"]])
def test_celery_finds_the_project_from_the_root(celery: list[str]) -> None:
    said = run(*celery, "-A", "config", "report")
    assert "furrow" in said
    assert "JobResultBackend" in said
    assert services.broker.password not in said


def test_celery_worker_help() -> None:
    assert "--concurrency" in run(*CELERY, "worker", "--help")


@pytest.mark.parametrize("pool", ["solo", "threads"])
def test_a_worker_with_another_pool_refuses_with_the_reason_and_the_remedy(pool: str) -> None:
    said = run(*CELERY, "worker", "--pool", pool, "-Q", "default", code=None)
    assert "Jobs need Celery's prefork pool" in said
    assert "start the worker without --pool, or with --pool prefork" in " ".join(said.split())
    assert "ready." not in said


def test_what_celery_shows_of_a_running_job(stack: Stack) -> None:
    job = submit(kinds.sleeps, {"seconds": 60})
    wait_until(lambda: Job.objects.get(pk=job.pk).state == State.RUNNING)
    environ: dict[str, Any] = {**stack.environ()}
    active = json.loads(run(*CELERY, "inspect", "active", "--json", **environ))
    (shown,) = active["worker@test"]
    assert (shown["name"], shown["id"], shown["acknowledged"]) == ("kinds.sleeps", str(job.pk), True)
    assert "pong" in run(*CELERY, "inspect", "ping", **environ)
    assert "worker@test: OK" in run(*CELERY, "status", **environ)
    assert services.broker.password not in run(*CELERY, "inspect", "conf", **environ)

    def consumed() -> set[str]:
        answers = json.loads(run(*CELERY, "inspect", "active_queues", "--json", **environ))
        return {queue["name"] for queue in answers["worker@test"]}

    # A queue that RabbitMQ did not answer for is left out for seconds.
    wait_until(lambda: consumed() == {"default", "other", "celery"}, what=f"all are consumed; log: {stack.worker_process.log}")
    cancel(job.pk)
    wait_until(lambda: Job.objects.filter(pk=job.pk, state__in=FINAL).exists(), what="the job was cancelled")


# --- flower -----------------------------------------------------------------------------------------------------------------


def test_flower_wants_credentials_and_lists_the_job_under_its_kind_and_id(stack: Stack) -> None:
    url = f"{stack.flower_url}/api/tasks"
    wait_until(lambda: get(url)[0] == 401, what="Flower asks who is there")
    assert get(url, ("flower", "wrong"))[0] == 401
    assert get(f"{stack.flower_url}/")[0] == 401
    assert get(f"{stack.flower_url}/metrics")[0] == 401
    assert get(f"{stack.flower_url}/metrics", stack.flower_auth)[0] == 200
    # Flower knows what was told since it has been listening.
    job = submit(kinds.add, {"a": 1})
    wait_until(lambda: Job.objects.filter(pk=job.pk, state=State.SUCCEEDED).exists())
    wait_until(lambda: str(job.pk) in get(url, stack.flower_auth)[1], what="Flower lists the job")
    wait_until(lambda: json.loads(get(url, stack.flower_auth)[1])[str(job.pk)]["state"] == "SUCCESS")
    assert json.loads(get(url, stack.flower_auth)[1])[str(job.pk)]["name"] == "kinds.add"
    workers = f"{stack.flower_url}/api/workers?refresh=1"
    wait_until(lambda: "worker@test" in get(workers, stack.flower_auth)[1], what="Flower knows the worker")
    assert services.broker.password not in get(workers, stack.flower_auth)[1]


# --- web --------------------------------------------------------------------------------------------------------------------


def test_gunicorn_serves_the_admin_and_health(stack: Stack) -> None:
    wait_until(lambda: get(f"{stack.web_url}/health/live")[0] == 200)
    status, page = get(f"{stack.web_url}/admin/login/")
    assert status == 200
    assert "Furrow" in page
    assert get(f"{stack.web_url}/health/ready") == (200, '{"status": "ok"}')
    assert get(f"{stack.web_url}/")[0] == 200
    assert get(f"{stack.web_url}/no/such/page")[0] == 404


@pytest.mark.parametrize("module", ["config.wsgi", "config.asgi"])
def test_the_applications_can_be_imported(module: str) -> None:
    script = f"import {module}; print(type({module}.application).__name__)"
    assert "Handler" in run(PYTHON, "-c", script)


def test_pytest_as_a_module_and_as_a_script() -> None:
    for command in ([PYTHON, "-m", "pytest"], [str(BIN / "pytest")]):
        assert "pytest" in run(*command, "--version")


# --- stores that are away when a process starts -------------------------------------------------------------------------------


def said(process: Process, *texts: str) -> None:
    """Wait until the process has said all of this."""
    for text in texts:
        wait_until(lambda text=text: text in process.text, what=f"{text!r} in {process.log}")  # type: ignore[misc]
    assert process.popen.poll() is None, process.text[-2000:]


def ended(job: Job) -> None:
    """Wait until the job has succeeded."""
    wait_until(lambda: Job.objects.get(pk=job.pk).state == State.SUCCEEDED, what="the job succeeded")


@pytest.mark.thorough
def test_started_without_rabbitmq_they_say_so_and_come_up_when_it_does(bare: Stack) -> None:
    services.broker.stop()
    dispatcher, worker = bare.dispatcher(), bare.worker(ready=False)
    job = submit(kinds.add, {"a": 1})
    said(dispatcher, "RabbitMQ is away")
    said(worker, "Cannot connect to amqp://")
    assert services.broker.password not in dispatcher.text + worker.text
    services.broker.start()
    said(dispatcher, "RabbitMQ is back")
    said(worker, "worker@test ready")
    ended(job)


@pytest.mark.thorough
@pytest.mark.skipif(services.ON_SQLITE, reason="SQLite is a file and never away")
def test_started_without_the_database_they_say_so_and_come_up_when_it_does(bare: Stack) -> None:
    from django.db import connection

    environ = bare.environ()
    connection.close()
    services.postgres.stop()
    dispatcher = bare.start("dispatcher", [PYTHON, "manage.py", "furrow", "dispatcher"], **environ)
    worker = bare.worker(ready=False)
    web = bare.web()
    said(dispatcher, "The database is away")
    said(worker, "The database is away")
    wait_until(lambda: get(f"{bare.web_url}/health/live")[0] == 200)
    assert get(f"{bare.web_url}/health/ready") == (503, '{"status": "the database does not answer"}')
    services.postgres.start()
    said(dispatcher, "This dispatcher leads")
    ended(submit(kinds.add, {"a": 1}))
    wait_until(lambda: get(f"{bare.web_url}/health/ready")[0] == 200)
    said(web)


def test_started_without_redis_they_work_and_say_what_is_missing(bare: Stack) -> None:
    services.redis.stop()
    dispatcher = bare.dispatcher()
    bare.worker()
    said(dispatcher, "Redis is unreachable")
    ended(submit(kinds.add, {"a": 1}))
    services.redis.start()
    ended(submit(kinds.add, {"a": 2}))
