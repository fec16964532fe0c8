"""``manage.py furrow prove``, shortened: on PostgreSQL or SQLite, whichever the tests run on; and that it can fail."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from deploy import ROOT

from tests.services import ON_SQLITE, RUN

pytestmark = pytest.mark.timeout(420)

#: One of each sort: a death, a zombie, a deploy, a crash, a store that dies, connections that are cut, messages that get lost.
FAULTS = [
    *(
        "kill_worker",
        "freeze_worker_parent",
        "restart_worker",
        "kill_pool_process",
        "kill_dispatcher",
        "kill_client",
        "kill_web",
    ),
    *("reset_rabbitmq", "purge_queue", "poison_queue", "second_messages", "flush_redis", "kill_bridge", "kill_external_worker"),
    *(() if ON_SQLITE else ("kill_postgres", "terminate_connections", "read_only_postgres", "isolate_worker_from_postgres")),
]


def prove(*options: str) -> tuple[int, dict[str, Any], str]:
    """Run it; its exit code, what it wrote down, and what it said."""
    folder = RUN / "proof"
    command = [
        sys.executable,
        "manage.py",
        "furrow",
        "prove",
        "--rate",
        "50",
        "--database",
        "sqlite" if ON_SQLITE else "postgresql",
        *options,
    ]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "FURROW_RUN": str(folder)}, capture_output=True, text=True, timeout=400
    )
    said = done.stdout + done.stderr
    written = folder / "prove.json"
    assert written.exists(), said
    verdict = json.loads(written.read_text())
    written.unlink()
    assert "</html>" in (folder / "prove.html").read_text()
    return done.returncode, verdict, said


@pytest.mark.engine
def test_a_short_campaign_finds_every_promise_kept() -> None:
    code, verdict, said = prove("--minutes", "0.4", "--faults", ",".join(FAULTS), "--seed", "1234")
    assert verdict["violations"] == [], said
    assert code == 0, said
    assert verdict["jobs"] > 200
    assert sum(row["count"] for row in verdict["faults"]) > 0
    assert verdict["submits"]["committed"] > 0
    assert verdict["submits"]["rolled back"] > 0
    assert verdict["events"] > 0
    assert verdict["ticks"] > 10
    assert not Path(RUN / "proof" / "prove" / "1234" / "records").exists()
    assert "Traceback" not in said


@pytest.mark.thorough
@pytest.mark.skipif(ON_SQLITE, reason="the sabotage is of PostgreSQL's statements")
def test_a_broken_engine_is_found_out() -> None:
    code, verdict, said = prove(
        "--minutes", "0.2", "--faults", "freeze_worker_parent", "--sabotage", "tests.sabotage", "--seed", "3"
    )
    assert code == 1, said
    found = {violation["check"] for violation in verdict["violations"]}
    assert {"settled_twice", "rolled_back", "events_after_commit"} <= found, said
    violation = next(violation for violation in verdict["violations"] if violation["check"] == "settled_twice")
    story = "\n".join(violation["story"])
    assert violation["seed"] == 3
    assert "freeze_worker_parent" in story
    assert "settled_twice" in said
    assert violation["job"] in said
