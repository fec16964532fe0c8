"""The cases of the queue table run and write what they promise; how fast it is depends on the machine: not tested."""

import json
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.timeout(300)
def test_cases_are_measured(tmp_path: Path) -> None:
    """Two of the four, at a thousandth of the size; and nothing is left running."""
    out = tmp_path / "out.json"
    options = ["--scale", "0.001", "--folder", str(tmp_path / "cases"), "--out", str(out)]
    command = [sys.executable, "-m", "benchmarks.cases", "pending", "open_transaction", *options]
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]

    told = json.loads(out.read_text())
    assert set(told["cases"]) == {"pending", "open_transaction"}
    assert told["versions"].keys() >= {"PostgreSQL", "RabbitMQ", "Redis"}
    for case in told["cases"].values():
        assert any(figure["at_least"] or figure["at_most"] for figure in case), "a goal"
        assert all(isinstance(figure["value"], float | int) for figure in case)
    left = [" ".join(process.info["cmdline"] or []) for process in psutil.process_iter(["cmdline"])]
    assert not [command for command in left if str(tmp_path) in command]


def test_an_unknown_case_is_refused() -> None:
    done = subprocess.run([sys.executable, "-m", "benchmarks.cases", "nothing"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert "there are pending, scheduled, open_transaction, finished, limits" in done.stderr
