"""The benchmarks run and write what they promise; how fast anything is depends on the machine and is not tested."""

import json
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).resolve().parents[2]
EVERYONE = {"submit_one", "submit_bulk", "drain", "memory_pss", "latency_p50", "latency_p99", "end_to_end"}


@pytest.mark.timeout(240)
def test_ours_and_celery_are_measured_alike(tmp_path: Path) -> None:
    """All metrics of both, in one file, and nothing left running."""
    out = tmp_path / "out.json"
    command = [sys.executable, "-m", "benchmarks", "smoke", "--folder", str(tmp_path / "bench"), "--out", str(out)]
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]

    rows = json.loads(out.read_text())
    assert all(set(row) == {"peer", "metric", "unit", "median", "min", "max", "runs"} for row in rows)
    assert all(0 <= row["min"] <= row["median"] <= row["max"] and row["runs"] == 1 for row in rows)
    assert {row["metric"] for row in rows if row["peer"] == "celery-early"} >= EVERYONE
    assert {row["metric"] for row in rows if row["peer"] == "furrow"} >= EVERYONE
    assert {row["unit"] for row in rows} == {"jobs/s", "ms", "MiB", "µs/job", "% of a core", "1/s"}
    assert "celery-early" in done.stdout, "the table"
    left = [" ".join(process.info["cmdline"] or []) for process in psutil.process_iter(["cmdline"])]
    assert not [command for command in left if str(tmp_path) in command]
