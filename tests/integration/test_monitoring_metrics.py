"""The metrics: what they tell, and whom."""

import re
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone
from furrow.diagnosis import troubles
from furrow.diagnosis.drift import note
from furrow.states import State

from tests.people import login
from tests.rows import HOUR, everything_runs, fail, make

pytestmark = [pytest.mark.usefixtures("nobody_runs"), pytest.mark.filterwarnings("ignore:No directory at")]

ROOT = Path(__file__).resolve().parents[2]


def test_metrics_need_the_token_or_a_login_that_may_see_jobs(client: Client, settings: Any) -> None:
    assert client.get("/metrics").status_code == 401
    for wrong in ("", "Bearer", "Bearer ", "Bearer x", "Bearer \u00e9"):
        assert client.get("/metrics", headers={"Authorization": wrong}).status_code == 401
    settings.FURROW = {**settings.FURROW, "METRICS_TOKEN": "a secret"}
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
    troubles.note("thing", "It fails")
    troubles.flush(connection)
    told = set(re.findall(r"^(furrow_\w+)", admin_client.get("/metrics").content.decode(), re.MULTILINE))
    alerts = (ROOT / "platform/deploy/dashboards/alerts.yml").read_text()
    used = set(re.findall(r"furrow_\w+", alerts))
    assert len(used) >= 8
    assert used <= told
