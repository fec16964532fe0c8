"""The first page: what it says, to whom, and that it does not read the jobs for it; the stores that it asks."""

import re
from typing import Any

import pytest
from celery import current_app
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from furrow import statements
from furrow.actions.queues import pause
from furrow.diagnosis.drift import note
from furrow.models import DeadMessage, Worker
from furrow.monitoring import stores, troubles
from furrow.monitoring.rates import Point
from furrow.monitoring.stores import Health, Watch
from furrow.statements import Settlement
from furrow.states import Outcome, State

from tests.pages import page
from tests.people import login
from tests.rows import HOUR, everything_runs, fail, make

pytestmark = [pytest.mark.usefixtures("nobody_runs"), pytest.mark.filterwarnings("ignore:No directory at")]

# --- The first page -----------------------------------------------------------------------------------------------------------


def test_a_fresh_installation_says_what_to_start(admin_client: Client) -> None:
    text = page(admin_client)
    assert "No dispatcher is running: due jobs wait in the database Start one: <code>manage.py furrow dispatcher" in re.sub(
        r"</span> <span[^>]*>", " ", text
    )
    assert "<code>celery -A config worker</code>" in text
    assert "No job has ended within the last hour" in text
    assert "No job has failed." in text


def test_when_all_is_well_it_says_so_and_shows_what_happened(admin_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("furrow.monitoring.home.healths", lambda: [Health("RabbitMQ", ""), Health("Redis", "")])
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
    assert re.search(r'kind=kinds.noop"[^>]*>kinds.<wbr>noop</a></th> <td[^>]*>3</td>', text)
    assert "1 running · 2 processes" in text
    assert ">kinds.sleeps</a>" in text


def test_what_is_wrong_is_said_in_words_with_the_remedy(admin_client: Client) -> None:
    everything_runs(trouble="RabbitMQ is away: connection refused", troubled_since=timezone.now() - HOUR)
    Worker.objects.update(queues=["mail"])
    note("queued_without_message", 3)
    DeadMessage.objects.create(reason="no job")
    make(State.PENDING)
    text = page(admin_client)
    for part in (
        "RabbitMQ is away: connection refused, since 1 h ago.",
        "No running worker consumes queue default, and it has 1 due",
        "celery -A config worker -Q default",
        "Drift: Queued jobs without a message",
        "1 message could not be processed by any worker",
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
    from furrow.diagnosis.figures import queue_figures

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
    for path in ("", "home/", "home/live/"):
        body = page(client, path)
        body = body if "live" in path else body[body.index('id="content-main"') :]
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
    counted = [query["sql"] for query in queries if "COUNT(" in query["sql"] and '"furrow_job"' in query["sql"]]
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


def test_a_broker_that_is_away_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(current_app.conf, "broker_url", "amqp://user:secret@127.0.0.1:1//")
    told = stores.rabbitmq()
    assert told.startswith("RabbitMQ does not answer:")
    assert "secret" not in told
    (trouble,) = troubles.of_stores([Health("RabbitMQ", told, timezone.now()), Health("Redis", "")])
    assert trouble.grave
    assert trouble.when is not None


def test_flower_is_asked_at_its_address(settings: Any) -> None:
    settings.FURROW = {**settings.FURROW, "FLOWER_URL": "http://127.0.0.1:1/"}
    assert stores.flower().startswith("Flower does not answer:")
    settings.FURROW = {**settings.FURROW, "FLOWER_URL": "nonsense"}
    assert stores.flower().startswith("Flower does not answer:")
