"""The stack as a whole: up, crashed, up again, down; in a run folder of its own beside any other stack."""

import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import psutil
import pytest
from deploy import ROOT, environment, health, processes
from deploy.__main__ import NOTHING_RUNS
from deploy.services import Redis
from deploy.stack import Stack
from deploy.supervisor import PROGRAMS

OWN = ("DATABASE", "DATABASE_URL", "BROKER_URL", "REDIS_URL", "FURROW_RUN", "DJANGO_SETTINGS_MODULE")


@dataclass
class Shell:
    """A shell in which somebody works with one stack."""

    run: Path
    environ: dict[str, str]

    def deploy(self, *words: str, code: int = 0) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "deploy", *words],
            cwd=ROOT,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=170,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout

    def pid(self, file: str) -> int:
        return int(json.loads((self.run / file).read_text())["pid"])

    def marked(self) -> set[int]:
        return {process.pid for process in processes.marked(Stack(self.run, self.environ).memory["id"])}


@pytest.fixture
def foreign(tmp_path: Path) -> Iterator[Redis]:
    """A Redis that the stack is pointed at and must leave alone."""
    service = Redis(tmp_path / "foreign")
    service.start()
    yield service
    service.destroy()


@pytest.fixture
def shell(tmp_path: Path, foreign: Redis) -> Iterator[Shell]:
    run = tmp_path / "a run" / "folder #1"
    kept = {name: value for name, value in os.environ.items() if name not in OWN and not name.startswith("FURROW")}
    shell = Shell(run, kept | {"FURROW_RUN": str(run), "REDIS_URL": foreign.url})
    yield shell
    shell.deploy("down")


class Raced(Stack):
    """A stack whose port is taken by another web server, which answers 200, right after it was chosen."""

    stranger: ThreadingHTTPServer | None = None

    def _choose(self, stores: Mapping[str, str]) -> None:
        super()._choose(stores)
        if self.stranger is None:
            self.stranger = ThreadingHTTPServer(("127.0.0.1", self.memory["ports"]["WEB_PORT"]), Agreeable)
            Thread(target=self.stranger.serve_forever, daemon=True).start()


class Agreeable(BaseHTTPRequestHandler):
    """Says 200 to everything."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def open_to_others(folder: Path) -> Iterator[Path]:
    """What other users of the machine can read or list in it."""
    if not folder.stat().st_mode & 0o001:
        return
    for path in folder.iterdir():
        mode = path.lstat().st_mode
        if stat.S_ISDIR(mode):
            yield from [path] if mode & 0o004 else open_to_others(path)
        elif stat.S_ISREG(mode) and mode & 0o004:
            yield path


@pytest.mark.thorough
@pytest.mark.timeout(400)
def test_a_stack_comes_up_outlives_crashes_and_goes_down(
    shell: Shell, foreign: Redis, capsys: pytest.CaptureFixture[str]
) -> None:
    (shell.run / "log").mkdir(parents=True)
    (shell.run / "log" / "web.log").touch(0o644)  # as it was made before folders were closed
    assert "Nothing runs; `make up` starts it." in shell.deploy("status", code=NOTHING_RUNS)
    raced = Raced(shell.run, shell.environ | {"FURROW_QUEUES": "default,letters"})
    raced.up()
    settings = environment.load(shell.run)
    assert raced.stranger is not None
    stranger = raced.stranger.server_address[1]
    assert f"WEB_PORT {stranger} is taken by another program: choosing others" in capsys.readouterr().out
    assert int(settings["WEB_PORT"]) != stranger
    raced.stranger.shutdown()
    raced.stranger.server_close()

    said = shell.deploy("hello")
    assert "Received a message: Hello" in said
    assert settings == environment.load(shell.run), "a setting given once is remembered"
    assert settings["FURROW_QUEUES"] == "default,letters"
    assert settings["ADMIN_PASSWORD"] in said
    assert (shell.run / "env").stat().st_mode & 0o777 == 0o600
    assert not list(open_to_others(shell.run))
    assert settings["REDIS_URL"] == foreign.url
    assert health.status(f"http://127.0.0.1:{settings['WEB_PORT']}/admin/login/") == 200
    assert health.status(settings["FLOWER_URL"] + "/") == 401
    assert health.status(settings["FLOWER_URL"] + "/metrics") == 401

    running = shell.marked()
    assert running >= {shell.pid("supervisord.json")}
    assert shell.deploy("up").count("works") == len(PROGRAMS)
    assert settings["ADMIN_PASSWORD"] in shell.deploy("status")
    assert shell.pid("supervisord.json") in running
    assert settings == environment.load(shell.run)

    psutil.Process(shell.pid("supervisord.json")).kill()
    assert "Not running: web, dispatcher, worker, bridges, flower" in shell.deploy("status", code=1)
    assert "left behind" in shell.deploy("up")
    assert not running & shell.marked()
    assert settings == environment.load(shell.run)

    fresh = {name: value for name, value in shell.environ.items() if name != "REDIS_URL"}
    asked = [sys.executable, "-m", "celery", "-A", "config", "inspect", "ping"]
    assert "pong" in subprocess.run(asked, cwd=ROOT, env=fresh, capture_output=True, text=True).stdout

    broker = shell.pid("rabbitmq/pid.json")
    shell.deploy("down")
    assert not shell.marked()
    assert not processes.born(broker)
    assert foreign.alive
    assert "nothing is running" in shell.deploy("down")
    assert "Nothing runs; `make up` starts it." in shell.deploy("status", code=NOTHING_RUNS)
