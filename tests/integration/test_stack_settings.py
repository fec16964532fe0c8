"""What the stack tells its processes, and what it says when it cannot go on."""

import re
import socket
import subprocess
from pathlib import Path
from urllib.parse import quote

import environ
import pytest
from deploy import ROOT, environment, health, packages, ports, processes
from deploy.environment import Memory
from deploy.errors import NoFreePort, PackagesMissing, PortTaken, StackFailed

STORES = {"BROKER_URL": "amqp://furrow:pw@127.0.0.1:1//", "REDIS_URL": "redis://:pw@127.0.0.1:2/0"}


@pytest.fixture(params=["plain", 'sp ace # ; % + " \\ ü'])
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    folder: Path = tmp_path / request.param
    folder.mkdir()
    return folder


def test_settings_are_read_back_as_they_were_written(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    odd = 'a "b" \\n #c $d'
    settings = environment.compose(run, Memory(run), STORES, {"SECRET_KEY": odd})
    environment.save(run, settings)
    assert environment.load(run) == settings

    monkeypatch.setattr(environ.Env, "ENVIRON", {})
    environ.Env.read_env(str(run / "env"))
    assert settings == environ.Env.ENVIRON
    assert environ.Env().str("SECRET_KEY") == odd
    assert environ.Env().db_url("DATABASE_URL")["NAME"] == str(run / "db.sqlite3")


def test_secrets_are_made_once(tmp_path: Path) -> None:
    first, second = (environment.compose(tmp_path, Memory(tmp_path), STORES, {}) for _ in range(2))
    assert first == second
    other = environment.compose(tmp_path / "other", Memory(tmp_path / "other"), STORES, {})
    assert not {"SECRET_KEY", "ADMIN_PASSWORD", "FLOWER_BASIC_AUTH"} & {key for key in first if first[key] == other[key]}


def test_the_environment_wins(tmp_path: Path) -> None:
    given = {"DATABASE_URL": "postgresql://db/x", "DEBUG": "true", "ADMIN_PASSWORD": ""}
    settings = environment.compose(tmp_path, Memory(tmp_path), STORES | {"DATABASE_URL": given["DATABASE_URL"]}, given)
    assert (settings["DATABASE_URL"], settings["DEBUG"]) == ("postgresql://db/x", "true")
    assert settings["ADMIN_PASSWORD"]


def test_an_optional_setting_is_remembered_until_it_is_given_empty(tmp_path: Path) -> None:
    memory = Memory(tmp_path)

    def told(environ: dict[str, str]) -> str | None:
        memory.remember(given=environment.given(memory, environ))
        return environment.compose(tmp_path, memory, STORES, environ).get("FURROW_QUEUES")

    assert [told({}), told({"FURROW_QUEUES": "a,b"}), told({}), told({"FURROW_QUEUES": ""}), told({})] == [
        None,
        "a,b",
        "a,b",
        None,
        None,
    ]


def test_every_setting_of_the_documentation_is_written_down() -> None:
    """But for the folder that all of it lies in."""
    table = (ROOT / "README.md").read_text().partition("## Configuration")[2].partition("## Documentation")[0]
    documented = set(re.findall(r"^\| `([A-Z_]+)` \|", table, flags=re.MULTILINE))
    generated = {
        "SECRET_KEY",
        "DATABASE_URL",
        "BROKER_URL",
        "REDIS_URL",
        "ALLOWED_HOSTS",
        "DEBUG",
        "FLOWER_URL",
        "FLOWER_BASIC_AUTH",
    }
    assert documented - {"FURROW_RUN"} == generated | set(environment._OPTIONAL)


def test_a_stranger_on_our_port_is_told_from_our_own_process(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        taken = str(stranger.getsockname()[1])
        told = {"WEB_PORT": taken, "FLOWER_PORT": taken, processes.MARK: "no process has this mark"}
        with pytest.raises(PortTaken, match=f"WEB_PORT {taken} is taken by another program"):
            health.refuse_strangers(told)


def test_a_taken_port_is_passed_over_and_the_next_one_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    memory, taken = Memory(tmp_path), set(environment._FIRST_PORTS.values())
    monkeypatch.setattr(ports, "is_free", lambda port: port not in taken)
    environment.choose_ports(memory, {})
    chosen = memory["ports"]
    assert chosen == {name: first + 1 for name, first in environment._FIRST_PORTS.items()}
    taken.clear()
    environment.choose_ports(memory, {})
    assert memory["ports"] == chosen


@pytest.mark.parametrize(("value", "error"), [("web", StackFailed), ("70000", StackFailed), ("8000", NoFreePort)])
def test_a_port_that_cannot_be_used_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str, error: type[Exception]
) -> None:
    monkeypatch.setattr(ports, "is_free", lambda port: port != 8000)
    with pytest.raises(error, match="WEB_PORT="):
        environment.choose_ports(Memory(tmp_path), {"WEB_PORT": value})


def test_the_kind_of_database_is_remembered_and_checked(tmp_path: Path) -> None:
    memory = Memory(tmp_path)
    assert environment.database_kind(memory, {}) == "sqlite"
    assert environment.database_kind(memory, {"DATABASE": "PostgreSQL"}) == "postgres"
    with pytest.raises(StackFailed, match="sqlite or postgres"):
        environment.database_kind(memory, {"DATABASE": "mysql"})


def test_who_may_not_install_is_told_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "_as_root", lambda: None)
    monkeypatch.setattr(packages, "find", lambda *programs: Path("/usr/bin/apt-get") if "apt-get" in programs else None)
    with pytest.raises(PackagesMissing, match="sudo apt-get install --no-install-recommends redis-server"):
        packages.ensure({"redis-server": "redis-server"})


def test_what_apt_says_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "_as_root", list)
    monkeypatch.setattr(packages, "find", lambda *_: Path("/usr/bin/apt-get"))
    failed = subprocess.CompletedProcess([], 100, stdout="E: Unable to locate package x")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(PackagesMissing, match="Unable to locate package x"):
        packages.install(["x"])


def test_the_database_url_survives_what_a_path_may_hold(run: Path) -> None:
    url = environment.compose(run, Memory(run), STORES, {})["DATABASE_URL"]
    assert url == f"sqlite:///{quote(str(run))}/db.sqlite3"
