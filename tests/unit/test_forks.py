"""A forked process is to itself and to others what a started one is."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.forks import Fork, fork, run
from tests.forks.client import ROOT
from tests.stack import wait_until

TELLS = """
import atexit, json, os, signal, sys
print(json.dumps({"argv": sys.argv, "path": sys.path, "env": dict(os.environ), "cwd": os.getcwd(), "name": __name__,
    "session": os.getsid(0) == os.getpid(), "stdin": sys.stdin.read(), "child": signal.getsignal(signal.SIGCHLD) == 0,
    "loaded": [name for name in sys.modules if name.split(".")[0] in ("furrow", "config", "tasks", "tests")]}))
atexit.register(print, "the end")
if sys.argv[1:] == ["waits"]:
    signal.pause()
sys.exit(sys.argv[1] if sys.argv[1:] == ["complains"] else 3)
"""


class Started:
    """The program above, forked or started."""

    def __init__(self, folder: Path, *args: str, forks: bool = True, **extra: str) -> None:
        (folder / "tells.py").write_text(TELLS)
        self.log = folder / "log"
        self.popen: Fork | subprocess.Popen[bytes] | None
        command, env = (
            [sys.executable, "tells.py", *args],
            {**os.environ, "FURROW_X": "of its own", "PYTHONUNBUFFERED": "1", **extra},
        )
        with self.log.open("wb") as log:
            if forks:
                self.popen = fork(command, env=env, cwd=folder, log=log)
            else:
                to = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log}
                self.popen = subprocess.Popen(command, env=env, cwd=folder, start_new_session=True, **to)  # type: ignore[call-overload]

    def told(self) -> dict[str, Any]:
        """What the program says of itself."""
        return dict(json.loads(self.log.read_text().splitlines()[0]))


@pytest.mark.parametrize("path", ["", "elsewhere:", str(ROOT / "apps")])
@pytest.mark.parametrize("args", [[], ["complains"]])
def test_it_is_what_a_started_one_is(tmp_path: Path, args: list[str], path: str) -> None:
    told, codes, ends = [], [], []
    for forks in (True, False):
        one = Started(tmp_path, *args, forks=forks, PYTHONPATH=path)
        assert one.popen
        codes.append(one.popen.wait(60))
        told.append(one.told())
        ends.append(one.log.read_text().splitlines()[1:])
    assert told[0] == told[1]
    assert ends[0] == ends[1]
    assert codes == ([1, 1] if args else [3, 3])


#: A shell that starts something in the background lets it, and all that it starts, ignore SIGINT.
ENDING = [signal.SIGTERM, signal.SIGKILL, *([] if signal.getsignal(signal.SIGINT) is signal.SIG_IGN else [signal.SIGINT])]


@pytest.mark.parametrize("number", ENDING)
def test_a_signal_ends_it(tmp_path: Path, number: signal.Signals) -> None:
    one = Started(tmp_path, "waits")
    assert one.popen
    wait_until(lambda: one.log.read_text().endswith("\n"))
    assert one.popen.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        one.popen.wait(0)
    one.popen.send_signal(number)
    assert one.popen.wait(60) == -number
    one.popen.send_signal(number)


def test_what_has_to_be_loaded_anew_is_not_forked(tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as log:
        for command, env in (
            ([sys.executable, "tells.py"], {**os.environ, "LD_PRELOAD": "clock.so"}),
            ([sys.executable, "tells.py"], {**os.environ, "PYTHONWARNINGS": "error"}),
            ([sys.executable, "-c", "print()"], {**os.environ}),
            (["sh", "tells.py"], {**os.environ}),
        ):
            assert fork(command, env=env, cwd=tmp_path, log=log) is None


@pytest.mark.parametrize("options", [[], ["-W", "error"]], ids=["forked", "started"])
def test_a_command_is_run_to_its_end(tmp_path: Path, options: list[str]) -> None:
    (tmp_path / "says.py").write_text("import sys; print('out'); print('err', file=sys.stderr); sys.exit(4)")
    done = run([sys.executable, *options, "says.py"], env=dict(os.environ), cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (4, "out\n", "err\n")
    (tmp_path / "stays.py").write_text("import signal; signal.pause()")
    with pytest.raises(subprocess.TimeoutExpired):
        run([sys.executable, *options, "stays.py"], env=dict(os.environ), cwd=tmp_path, timeout=0.2)
