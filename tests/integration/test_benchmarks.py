"""The benchmarks run and write what they promise; how fast anything is depends on the machine and is not tested."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

ROOT = Path(__file__).resolve().parents[2]
EVERYONE = {"submit_one", "submit_bulk", "drain", "memory_pss", "latency_p50", "latency_p99", "end_to_end"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the servers live: made by the first benchmark, found again by the second."""
    return tmp_path_factory.mktemp("benchmarks")


def measured(folder: Path, *command: str) -> tuple[Any, str]:
    """What a benchmark wrote and what it said; nothing is left running."""
    out = folder / "out.json"
    done = subprocess.run(
        [sys.executable, "-m", *command, "--folder", str(folder), "--out", str(out)],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "HOME": str(folder)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    left = [" ".join(process.info["cmdline"] or []) for process in psutil.process_iter(["cmdline"])]
    assert not [command for command in left if str(folder) in command]
    return json.loads(out.read_text()), done.stdout


@pytest.mark.thorough
@pytest.mark.timeout(240)
def test_ours_and_celery_are_measured_alike(folder: Path) -> None:
    """All metrics of both, in one file."""
    rows, said = measured(folder, "benchmarks", "smoke")
    assert all(set(row) == {"peer", "metric", "unit", "median", "min", "max", "runs"} for row in rows)
    assert all(0 <= row["min"] <= row["median"] <= row["max"] and row["runs"] == 1 for row in rows)
    assert {row["metric"] for row in rows if row["peer"] == "celery-early"} >= EVERYONE
    assert {row["metric"] for row in rows if row["peer"] == "furrow"} >= EVERYONE
    assert {row["unit"] for row in rows} == {"jobs/s", "ms", "MiB", "µs/job", "% of a core", "1/s"}
    assert "celery-early" in said, "the table"


@pytest.mark.thorough
@pytest.mark.timeout(300)
def test_cases_are_measured(folder: Path) -> None:
    """Two of the cases of the queue table, at a thousandth of the size."""
    told, _ = measured(folder, "benchmarks.cases", "pending", "open_transaction", "--scale", "0.001")
    assert set(told["cases"]) == {"pending", "open_transaction"}
    assert told["versions"].keys() >= {"PostgreSQL", "RabbitMQ", "Redis"}
    for case in told["cases"].values():
        assert any(figure["at_least"] or figure["at_most"] for figure in case), "a goal"
        assert all(isinstance(figure["value"], float | int) for figure in case)


def test_an_unknown_case_is_refused() -> None:
    done = subprocess.run([sys.executable, "-m", "benchmarks.cases", "nothing"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert "there are pending, scheduled, open_transaction, finished, limits" in done.stderr
