"""The processes of ``furrow dev``, with small programs in their place."""

import errno
import io
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from furrow.bridge import Bridge
from furrow.bridges import command as bridges_command
from furrow.dev.child import Child
from furrow.dev.command import Command
from furrow.dev.group import Group
from furrow.dev.watch import Watch
from pytest_django import Settings

from tests.stack import wait_until

#: Two processes that do not end when they are asked to.
STUBBORN = """
import os, sys, threading
from furrow.dev.child import Child
from furrow.dev.group import Group
say = lambda name, line: print(name, line, flush=True)
stubborn = ["sh", "-c", "trap '' TERM; echo up; while :; do sleep 0.1; done"]
children = [Child(name, stubborn, os.environ, say) for name in "ab"]
Group([[child] for child in children], say, threading.Event(), None).run()
print("over", flush=True)
"""


def test_a_second_ctrl_c_ends_at_once_what_does_not_end() -> None:
    group = subprocess.Popen([sys.executable, "-c", STUBBORN], stdout=subprocess.PIPE, text=True)
    assert group.stdout is not None
    assert {group.stdout.readline(), group.stdout.readline()} == {"a up\n", "b up\n"}
    group.send_signal(signal.SIGINT)
    group.send_signal(signal.SIGTERM)
    try:
        rest, _ = group.communicate(timeout=60)
    finally:
        group.kill()
    assert rest == "over\n", "nobody's patience ended"
    assert group.returncode == 0


def test_a_process_that_ends_by_itself_is_named_and_waits_longer_each_time() -> None:
    lines: list[str] = []
    child = Child("web", [sys.executable, "-c", "print('no'); raise SystemExit(3)"], {}, lambda name, line: lines.append(line))
    for pause in ("1", "2", "4"):
        child.start()
        wait_until(lambda: not child.alive)
        child.look()
        assert f"web ended with exit code 3; it is started again in {pause} s, or when code changes." in lines
    child.look()
    assert not child.alive, "before its time"
    wait_until(lambda: lines.count("no") == 3)


def test_sources_count_and_what_is_installed_or_hidden_does_not(tmp_path: Path) -> None:
    wake = threading.Event()
    watch = Watch(tmp_path, wake)
    sources, others = ["a.py", "shop/page.html"], ["a.pyc", "db.sqlite3", ".venv/a.py", "venv/site-packages/a.py"]
    assert [name for name in (*sources, *others) if watch._counts(None, str(tmp_path / name))] == sources
    assert not wake.is_set()
    assert watch.take() == []


def test_a_terminal_that_was_closed_ends_in_no_error() -> None:
    """What is said then is lost; the processes must be ended all the same."""

    class Closed(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(errno.EIO, "Input/output error")

    command = Command(stdout=Closed())
    command.begin_lines(colour=True)
    command.say("web", "a line")


@pytest.mark.parametrize(("colour", "marked"), [(True, True), (False, False)])
def test_each_process_has_its_prefix_and_its_colour(colour: bool, marked: bool) -> None:
    out = io.StringIO()
    command = Command(stdout=out, no_color=True)
    command.begin_lines(colour=colour)
    for name in ("web", "worker-1", "web"):
        command.say(name, "a line")
    first, second, third = out.getvalue().splitlines()
    assert first == third
    assert ("\x1b[" in first) == marked
    assert first.endswith(" a line")
    assert first.partition("web")[0] != second.partition("worker-1")[0] or not marked


def test_a_signal_in_the_middle_of_anything_stops_nothing_for_ever() -> None:
    """The handler runs in the main thread, which may hold the event's lock at that moment."""
    wake = threading.Event()
    group = Group([], lambda name, line: None, wake, None)
    with wake._cond:  # type: ignore[attr-defined]
        done = threading.Thread(target=group._on_signal, args=(signal.SIGINT, None), daemon=True)
        done.start()
        done.join(10)
        assert not done.is_alive()


def test_a_process_without_anything_to_do_ends_until_code_changes() -> None:
    lines: list[str] = []
    program = ["sh", "-c", "echo nothing to do"]
    child = Child("bridges", program, os.environ, lambda name, line: lines.append(line), may_end=True)
    for times in (1, 2):
        child.start()
        wait_until(lambda: not child.alive)
        child.look()
        child.look()
        assert not child.alive
        wait_until(lambda: lines.count("nothing to do") == times)  # noqa: B023 - waited for at once
    assert lines.count("bridges has ended; it is started again when code changes.") == 2


def test_the_bridges_begin_where_there_are_any(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command decides it, each time it is started: code that changed may be the first that has a subscriber."""
    stages = Command()._stages(1, 1, {"app": "config", "no_web": True, "no_flower": True})
    assert [[child.name for child in stage] for stage in stages] == [["worker-1", "bridges"], ["dispatcher"]]
    began: list[Sequence[Bridge]] = []
    monkeypatch.setattr(bridges_command, "run", began.append)
    call_command(bridges_command.Command(), "--if-any")
    settings.FURROW = {**settings.FURROW, "BRIDGES": []}
    call_command(bridges_command.Command(), "--if-any", stdout=(out := io.StringIO()))
    assert "nothing to do" in out.getvalue()
    with pytest.raises(CommandError, match="names no bridge"):
        call_command(bridges_command.Command())
    assert [bridge.queue for bridges in began for bridge in bridges] == ["hello"]
