"""The first page, the errors page, the metrics: what they say, to whom, and that they do not read the jobs for it."""

import datetime as dt
import re
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.jobs import statements
from apps.jobs.drift import note
from apps.jobs.models import DeadMessage, ErrorGroup, Job, Leader, Worker
from apps.jobs.queues import pause
from apps.jobs.signature import sign
from apps.jobs.statements import Settlement
from apps.jobs.states import Outcome, State
from apps.monitoring import stores, troubles
from apps.monitoring.rates import Point
from apps.monitoring.stores import Health, Watch
from tests.integration.test_statements import make

pytestmark = [pytest.mark.django_db, pytest.mark.filterwarnings("ignore:No directory at")]

ROOT = Path(__file__).resolve().parents[2]
HOUR = dt.timedelta(hours=1)


@pytest.fixture
def admin_user() -> User:
    """Instead of pytest-django's, whose password takes long to hash."""
    return User.objects.create(username="admin", is_staff=True, is_superuser=True)


@pytest.fixture(autouse=True)
def _nobody_left() -> None:
    """Dispatchers and workers of other tests leave their rows."""
    Leader.objects.all().delete()
    Worker.objects.all().delete()


def page(client: Client, path: str = "") -> str:
    answer = client.get(f"/admin/{path}")
    assert answer.status_code == 200
    return re.sub(r"\s+", " ", re.sub(r"<time[^>]*>|</time>", "", answer.content.decode()))


def login(client: Client, *names: str) -> Client:
    user = User.objects.create_user("somebody", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=names, content_type__app_label="jobs"))
    assert user.user_permissions.count() == len(names)
    client.force_login(user)
    return client


def everything_runs(**leader: Any) -> None:
    until = timezone.now() + HOUR
    Leader.objects.create(role="dispatcher", holder="here:1", term=4, lease_until=until, **leader)
    Worker.objects.create(node="w1@here", pid=1, processes=2, queues=["default"], lease_until=until)


def fail(message: str, kind: str = "kinds.add", state: State = State.FAILED) -> Job:
    """A job whose run ended so."""
    job = make(State.RUNNING, kind=kind)
    story = (
        f'Traceback (most recent call last):\n  File "/srv/tasks/pay.py", line 3, in charge\n    pay()\nValueError: {message}'
    )
    text = f"ValueError: {message}"
    end = Settlement(str(job.pk), 1, state, Outcome.FAILED, 7, delay=9.0 if state == State.PENDING else None, error=text)
    end = end._replace(error_type="ValueError", traceback=story, signature=sign("ValueError", text, story))
    with transaction.atomic():
        assert statements.on(connection).settle(connection, [end])
    return Job.objects.get(pk=job.pk)


# --- The first page -----------------------------------------------------------------------------------------------------------


def test_a_fresh_installation_says_what_to_start(admin_client: Client) -> None:
    text = page(admin_client)
    assert "No dispatcher is running: due jobs wait in the database Start one: <code>manage.py dispatcher" in re.sub(
        r"</span> <span[^>]*>", " ", text
    )
    assert "<code>celery -A config worker</code>" in text
    assert "No job has ended within the last hour" in text
    assert "No job has failed." in text


def test_when_all_is_well_it_says_so_and_shows_what_happened(admin_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("apps.monitoring.home.healths", lambda: [Health("RabbitMQ", ""), Health("Redis", "")])
    everything_runs()
    for _ in range(3):
        job = make(State.RUNNING, kind="kinds.noop")
        statements.on(connection).settle(connection, [Settlement(str(job.pk), 1, State.SUCCEEDED, Outcome.SUCCEEDED, 7)])
    make(State.RUNNING, worker=Worker.objects.get().pk, kind="kinds.sleeps")
    text = page(admin_client)
    assert "All is well." in text
    assert "; no due job waits" in text
    assert "<b>3</b> <span>succeeded</span>" in text
    assert "3 succeeded</title>" in text
    assert re.search(r'kind=kinds.noop"[^>]*>kinds.noop</a></th> <td[^>]*>3</td>', text)
    assert "1 running · 2 processes" in text
    assert ">kinds.sleeps</a>" in text


def test_what_is_wrong_is_said_in_words_with_the_remedy(admin_client: Client) -> None:
    everything_runs(trouble="RabbitMQ is away: connection refused")
    Worker.objects.update(queues=["mail"])
    note("queued_without_message", 3)
    DeadMessage.objects.create(reason="no job")
    make(State.PENDING)
    text = page(admin_client)
    for part in (
        "RabbitMQ is away: connection refused",
        "No living worker consumes queue default, and it has 1 due",
        "celery -A config worker -Q default",
        "Drift: Jobs that are queued",
        "A message could not be used by any worker",
        "; the oldest due job has waited since ",
    ):
        assert part in text
    assert text.index("RabbitMQ is away") < text.index("Drift:"), "what is grave comes first"
    pause("default", by="ann", reason="a <b>move</b>")
    assert "Queue default, 1 due, is paused by ann (a &lt;b&gt;move&lt;/b&gt;)" in page(admin_client)


def test_rising_failures_are_noticed() -> None:
    now = timezone.now()
    quiet = [Point(now, succeeded=100, failed=1) for _ in range(142)]
    assert not troubles.of_rates([*quiet, Point(now, succeeded=100, failed=3), Point(now, succeeded=100, failed=3)])
    assert not troubles.of_rates([*quiet, Point(now), Point(now, failed=9)])
    (trouble,) = troubles.of_rates([*quiet, Point(now, succeeded=80, failed=20), Point(now, succeeded=10, retried=10)])
    assert trouble.text == "More runs fail than usual: 30 of the last 120 (25%; the day before 1.0%)."


def test_a_queue_that_is_behind() -> None:
    everything_runs()
    make(State.PENDING, run_at=timezone.now() - HOUR)
    from apps.jobs.figures import queue_figures

    (trouble,) = troubles.of_queues(queue_figures(timezone.now()), timezone.now(), any_worker=True)
    assert trouble.text == "Queue default is behind: 1 due, the first since"
    assert not trouble.grave


def test_the_live_part_is_sent_when_it_changed(admin_client: Client) -> None:
    everything_runs()
    answer = admin_client.get("/admin/home/live/")
    mark = answer["X-Mark"]
    for _ in range(50):  # stores are asked in the background
        again = admin_client.get(f"/admin/home/live/?mark={mark}")
        if again.status_code == 204:
            break
        mark = again["X-Mark"]
    assert again.status_code == 204
    fail("no")
    assert "ValueError: no" in admin_client.get(f"/admin/home/live/?mark={mark}").content.decode()


@pytest.mark.parametrize(
    ("names", "there", "missing"),
    [
        ([], ["may not see jobs"], ["Last hour", "System", "Workers</h2>", "Queues</h2>", "No dispatcher", "No worker"]),
        (["view_job"], ["Last hour", "Kinds", "Newest failures"], ["System", "Workers</h2>", "Queues</h2>", "No dispatcher"]),
        (["view_queue"], ["Queues</h2>"], ["Last hour", "System", "Workers</h2>", "Newest failures"]),
        (["view_worker"], ["Workers</h2>", "w1@here", "1 running"], ["Last hour", "System", "kinds.add"]),
        (["view_leader"], ["System", "here:1"], ["Last hour", "Workers</h2>", "w1@here"]),
    ],
)
def test_each_part_is_for_who_may_see_it(client: Client, names: list[str], there: list[str], missing: list[str]) -> None:
    everything_runs()
    make(State.RUNNING, worker=Worker.objects.get().pk)
    fail("no")
    login(client, *names)
    for path in ("", "home/live/"):
        body = page(client, path)
        body = body[body.index('id="content-main"') :] if not path else body
        for part in there:
            assert part in body
        for part in missing:
            assert part not in body


def test_the_first_page_reads_no_table_of_jobs_as_a_whole(admin_client: Client) -> None:
    with CaptureQueriesContext(
        connection,
    ) as queries:
        page(admin_client)
    assert len(queries) < 30
    counted = [query["sql"] for query in queries if "COUNT(" in query["sql"] and '"jobs_job"' in query["sql"]]
    assert all("LIMIT" in sql or "running" in sql for sql in counted), "to a limit, or of what runs"


# --- Stores -------------------------------------------------------------------------------------------------------------------


def test_stores_are_asked_in_the_background_and_remembered() -> None:
    asked: list[str] = []

    def away() -> str:
        asked.append("away")
        return "Away does not answer."

    watch = Watch({"Away": away, "Odd": lambda: 1 / 0})  # type: ignore[dict-item, return-value]
    found = {health.name: health for health in watch.look()}
    assert found["Away"].trouble == "Away does not answer."
    assert found["Away"].since is not None
    assert found["Odd"].trouble == "Odd could not be asked: ZeroDivisionError: division by zero"
    watch.look()
    assert asked == ["away"], "what is fresh is not asked again"


def test_a_broker_that_is_away_is_named(settings: Any) -> None:
    settings.BROKER_URL = "amqp://user:secret@127.0.0.1:1//"
    told = stores.rabbitmq()
    assert told.startswith("RabbitMQ does not answer:")
    assert "secret" not in told
    (trouble,) = troubles.of_stores([Health("RabbitMQ", told, timezone.now()), Health("Redis", "")])
    assert trouble.grave
    assert trouble.when is not None


def test_flower_is_asked_at_its_address(settings: Any) -> None:
    settings.FLOWER_URL = "http://127.0.0.1:1/"
    assert stores.flower().startswith("Flower does not answer:")
    settings.FLOWER_URL = "nonsense"
    assert stores.flower().startswith("Flower does not answer:")


# --- Errors -------------------------------------------------------------------------------------------------------------------


def test_failures_of_one_sort_stand_together(admin_client: Client) -> None:
    for number in range(3):
        fail(f"card {number} was refused")
    fail("card 9 was refused", state=State.PENDING)
    other = fail("<script>odd</script>\u202e", kind="kinds.noop")
    text = page(admin_client, "errors/")
    assert text.count("fw-error-group") == 2
    assert "ValueError: card 0 was refused" in text
    assert "<b>4</b> runs, <b>3</b> jobs failed" in text
    assert "tasks/pay.py in charge" in text
    assert "<script>odd" not in text
    assert f"/admin/jobs/job/{other.pk}/change/" in text
    signature = ErrorGroup.objects.get(kind="kinds.add").signature
    assert f"bulk/?action=retry&amp;state=failed&amp;kind=kinds.add&amp;signature={signature}" in text
    assert page(admin_client, f"jobs/job/?state=failed&kind=kinds.add&signature={signature}").count("card ") >= 3
    narrowed = page(admin_client, "errors/?kind=kinds.noop&period=7d")
    assert narrowed.count("fw-error-group") == 1
    assert page(admin_client, "errors/?kind=nothing&period=odd").count("fw-error-group") == 0


def test_the_errors_page_is_for_who_may_see_jobs(client: Client) -> None:
    assert client.get("/admin/errors/").status_code == 302
    login(client, "view_worker")
    assert client.get("/admin/errors/").status_code == 403
    assert client.get("/admin/errors/live/").status_code == 403


def test_viewers_are_not_offered_to_retry(client: Client) -> None:
    fail("no")
    assert "Retry all" not in page(login(client, "view_job"), "errors/")


def test_an_empty_errors_page_says_what_it_is_for(admin_client: Client) -> None:
    assert "Nothing has failed within the last 24h. Errors of one sort will stand here together" in page(
        admin_client, "errors/"
    )


# --- Metrics ------------------------------------------------------------------------------------------------------------------


def test_metrics_need_the_token_or_a_login_that_may_see_jobs(client: Client, settings: Any) -> None:
    assert client.get("/metrics").status_code == 401
    for wrong in ("", "Bearer", "Bearer ", "Bearer x", "Bearer \u00e9"):
        assert client.get("/metrics", headers={"Authorization": wrong}).status_code == 401
    settings.METRICS_TOKEN = "a secret"
    assert client.get("/metrics", headers={"Authorization": "Bearer b"}).status_code == 401
    assert client.get("/metrics", headers={"Authorization": "Bearer a secret"}).status_code == 200
    assert client.post("/metrics", headers={"Authorization": "Bearer a secret"}).status_code == 405
    assert login(client, "view_job").get("/metrics").status_code == 200


def test_metrics_tell_what_happened_and_what_stands_where(admin_client: Client) -> None:
    everything_runs()
    fail("no")
    fail("no", state=State.PENDING)
    make(State.PENDING, run_at=timezone.now() - HOUR)
    note("queued_without_message", 3)
    told = admin_client.get("/metrics").content.decode()
    for line in (
        'furrow_jobs_ended_total{kind="kinds.add",queue="default",state="failed"} 1.0',
        'furrow_runs_again_total{kind="kinds.add",queue="default",why="retried"} 1.0',
        'furrow_run_seconds_count{kind="kinds.add"} 2.0',
        'furrow_run_seconds_bucket{kind="kinds.add",le="+Inf"} 2.0',
        'furrow_wait_seconds_bucket{kind="kinds.add",le="86400.0"} 1.0',
        'furrow_queue_jobs{queue="default",state="due"} 1.0',
        'furrow_queue_workers{queue="default"} 1.0',
        "furrow_dispatcher_leads 1.0",
        "furrow_workers 1.0",
        'furrow_drift{what="queued_without_message"} 3.0',
    ):
        assert line in told.splitlines()
    lag = re.search(r"^furrow_dispatcher_lag_seconds (\S+)$", told, re.MULTILINE)
    assert lag
    assert float(lag[1]) >= 3600


def test_the_alerts_use_metrics_that_there_are(admin_client: Client) -> None:
    fail("no")
    note("queued_without_message", 3)
    told = set(re.findall(r"^(furrow_\w+)", admin_client.get("/metrics").content.decode(), re.MULTILINE))
    alerts = (ROOT / "platform/deploy/dashboards/alerts.yml").read_text()
    used = set(re.findall(r"furrow_\w+", alerts))
    assert len(used) >= 8
    assert used <= told
