"""What stands in a worker's row may be anything: the pages, the metrics, the dispatcher and the commands go on."""

import json
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.utils import timezone
from furrow.command.jobs import Command
from furrow.diagnosis.explain import living_workers, situation, why
from furrow.models import Worker
from furrow.states import State

from tests.rows import everything_runs, make, unguarded

pytestmark = [pytest.mark.usefixtures("nobody_runs"), pytest.mark.filterwarnings("ignore:No directory at")]

ODD: list[Any] = [
    None,
    [],
    {},
    "text",
    7,
    True,
    [None],
    [[["default"]]],
    {"default": {}},
    {"processes": {}, "waiting": [], "locked": {}, "lines": [], "at": "now"},
    {"processes": [None, 1, "x", {}, {"pid": None}], "waiting": -1, "locked": "3", "lines": {"a": "b"}, "at": 1e300},
    {"processes": [{"pid": 1, "since": 1e18, "rss": 1}, {"pid": True, "since": 1, "rss": {}}], "waiting": None, "at": -5},
    {"processes": [{"pid": 1, "since": 1, "rss": 1, "pss": "x", "job": "no id", "kind": 7, "seconds": []}], "locked": 10**400},
    {"processes": [{"pid": 10**60, "since": 10**60, "rss": 10**60, "job": None}], "waiting": 10**60, "lines": {"x": 10**60}},
]
#: JSON that Python does not read: numbers of too many digits.
UNREADABLE = "[" + "9" * 5_000 + "]"


@pytest.mark.parametrize("value", [*map(json.dumps, ODD), UNREADABLE], ids=lambda text: text[:40])
def test_whatever_a_worker_tells(value: str, admin_client: Client, capsys: Any) -> None:
    everything_runs()
    worker = Worker.objects.get().pk
    with unguarded(), connection.cursor() as cursor:
        cursor.execute("UPDATE furrow_worker SET stats = %s, paused = %s, queues = %s, kinds = %s", [value] * 4)
    job = make(State.PENDING)
    for path in (
        "",
        "furrow/worker/",
        f"furrow/worker/{worker}/change/",
        "furrow/queue/",
        "furrow/queue/default/change/",
        f"furrow/job/{job.pk}/change/",
    ):
        assert admin_client.get(f"/admin/{path}").status_code == 200, path
    assert admin_client.get("/metrics").status_code == 200
    for options in ((), ("--json",)):
        call_command(Command(), "stats", *options)
    now = timezone.now()
    told = living_workers(now).get()
    assert isinstance(told.stats, dict)
    assert all(isinstance(names, list) for names in (told.queues, told.kinds, told.paused))
    why(job, situation(job, now), now)


def test_what_is_right_stays_as_it_is() -> None:
    everything_runs()
    stats = {
        "at": 1.5e9,
        "processes": [
            {"pid": 1, "since": 1.5e9, "rss": 5, "pss": None},
            {
                "pid": 2,
                "since": 1.5e9,
                "rss": 5,
                "pss": 3,
                "job": str(Worker.objects.get().pk),
                "kind": "kinds.add",
                "seconds": 1.5,
            },
        ],
        "waiting": 3,
        "locked": 1,
        "lines": {"orders.01": 4},
    }
    Worker.objects.update(stats=stats, queues=["default", "mail"], paused=["mail"])
    worker = Worker.objects.get()
    assert (worker.stats, worker.queues, worker.paused) == (stats, ["default", "mail"], ["mail"])
    assert Worker.objects.values_list("queues", flat=True).get() == ["default", "mail"]
