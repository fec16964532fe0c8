"""Daemons are found again and ended; strangers are not."""

import os
import secrets
import signal
from pathlib import Path

from deploy.processes import Daemon, sweep


def test_a_stranger_with_our_process_number_is_left_alone(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path / "pid.json")
    daemon.pidfile.write_text(f'{{"pid": {os.getpid()}, "born": "another boot:1"}}')
    assert not daemon.alive
    daemon.stop()  # would have ended this very process


def test_strays_are_found_by_their_exact_mark(tmp_path: Path) -> None:
    ours, theirs = secrets.token_hex(8), secrets.token_hex(8)
    daemons = {mark: Daemon(tmp_path / mark) for mark in (ours, theirs, ours + "0")}
    for mark, daemon in daemons.items():
        daemon.start(["sleep", "60"], env={"PATH": os.environ["PATH"], "FURROW_STACK": mark}, log=tmp_path / "log")
    try:
        assert sweep(ours) == 1
        assert {mark: daemon.alive for mark, daemon in daemons.items()} == {ours: False, theirs: True, ours + "0": True}
    finally:
        for daemon in daemons.values():
            daemon.kill()


def test_what_does_not_end_in_time_is_killed(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path / "pid.json")
    stubborn = "trap '' TERM; while :; do sleep 0.1; done"
    daemon.start(["sh", "-c", stubborn], env={"PATH": os.environ["PATH"]}, log=tmp_path / "log")
    daemon.stop(signal.SIGTERM, timeout=0.3)
    assert not daemon.alive
