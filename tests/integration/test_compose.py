"""The compose file and the image: that they say what they should, and that their commands and health checks work here, without
containers, on the private servers."""

import fnmatch
import json
import os
import re
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from deploy import ROOT, packages, ports

from tests import forks
from tests.stack import Stack, wait_until

SECRETS = ("SECRET_KEY", "POSTGRES_PASSWORD", "RABBITMQ_PASSWORD", "REDIS_PASSWORD", "FLOWER_PASSWORD")
SERVICES = {"postgres", "rabbitmq", "redis", "migrate", "web", "dispatcher", "worker", "bridges", "flower"}
OURS = ("migrate", "web", "dispatcher", "worker", "bridges", "flower")
FILE = ROOT / "docker-compose.yml"
DOCKERFILE = ROOT / "platform" / "deploy" / "Dockerfile"
SPAN = re.compile(r"(?:(\d+)m)?(?:(\d+)s)?")


def compose(**given: str) -> "subprocess.CompletedProcess[str]":
    """What `docker-compose config` says when these variables are given and no others."""
    packages.install(packages.missing(["docker-compose", "python3-yaml"]))
    names = re.findall(r"\$\{(\w+)", FILE.read_text())
    environ = {name: value for name, value in os.environ.items() if name not in names}
    with tempfile.NamedTemporaryFile() as nothing:
        command = ["docker-compose", "--env-file", nothing.name, "-f", str(FILE), "config"]
        return subprocess.run(command, env=environ | given, capture_output=True, text=True, timeout=60)


@pytest.fixture(scope="module")
def secrets() -> dict[str, str]:
    """What the command at the top of the compose file writes to .env."""
    lines = FILE.read_text().splitlines()
    start = next(number for number, line in enumerate(lines) if "umask" in line)
    command = " ".join(line.removeprefix("#").strip() for line in lines[start : start + 2]).replace("> .env", "")
    told = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True).stdout
    return dict(line.split("=", 1) for line in told.splitlines())


@pytest.fixture(scope="module")
def services(secrets: dict[str, str]) -> dict[str, Any]:
    """The services, as docker-compose understands them."""
    done = compose(**secrets)
    assert done.returncode == 0, done.stderr
    # Debian's docker-compose brings the parser, for Debian's Python.
    parse = ["/usr/bin/python3", "-c", "import json, sys, yaml; json.dump(yaml.safe_load(sys.stdin), sys.stdout)"]
    parsed = subprocess.run(parse, input=done.stdout, capture_output=True, text=True, check=True).stdout
    return dict(json.loads(parsed)["services"])


@pytest.fixture
def process(bare: Stack, services: dict[str, Any]) -> "Processes":
    """Starts what the services start."""
    return Processes(bare, services)


class Processes:
    """The services' own commands and health checks, with ports and stores of this machine."""

    def __init__(self, stack: Stack, services: dict[str, Any]) -> None:
        self.stack = stack
        self.services = services
        self.ports = {inside: str(ports.choose(first)) for inside, first in (("8000", 27000), ("5555", 27500))}

    def start(self, name: str) -> None:
        """Start a service's command."""
        self.stack.start(f"compose-{name}", self._here(self.services[name]["command"]), **self._environ(name))

    def run(self, name: str, command: list[str]) -> "subprocess.CompletedProcess[str]":
        """Run a command in a service's environment."""
        environ = self.stack.environ(**self._environ(name))
        return forks.run(self._here(command), env=environ, cwd=ROOT)

    def is_healthy(self, name: str) -> bool:
        """Run a service's health check."""
        how, *command = self.services[name]["healthcheck"]["test"]
        assert how == "CMD"
        return self.run(name, command).returncode == 0

    def _environ(self, name: str) -> dict[str, str]:
        stores = ("DATABASE_URL", "BROKER_URL", "REDIS_URL", "FURROW_QUEUES")
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        told = {name: str(value) for name, value in self.services[name]["environment"].items() if name not in stores}
        return told | {"PATH": path, "FURROW_MODULES": "tasks"}

    def _here(self, command: list[str]) -> list[str]:
        found = [word.replace("0.0.0.0", "127.0.0.1") for word in command]
        for inside, outside in self.ports.items():
            found = [re.sub(rf"\b{inside}\b", outside, word) for word in found]
        return [str(Path(sys.executable).with_name(found[0])), *found[1:]]


def seconds(span: str) -> int:
    """``1m30s`` in seconds."""
    found = SPAN.fullmatch(span)
    assert found, span
    return 60 * int(found[1] or 0) + int(found[2] or 0)


def test_the_command_makes_every_secret(secrets: dict[str, str]) -> None:
    assert set(secrets) == set(SECRETS)
    assert all(re.fullmatch(r"[0-9a-f]{64}", secret) for secret in secrets.values())
    assert len(set(secrets.values())) == len(SECRETS)


@pytest.mark.parametrize("missing", SECRETS)
def test_no_secret_has_a_default(secrets: dict[str, str], missing: str) -> None:
    refused = compose(**secrets | {missing: ""})
    assert refused.returncode != 0
    assert "how to make .env" in refused.stderr


def test_every_service_is_watched_restarted_and_its_log_bounded(services: dict[str, Any]) -> None:
    assert set(services) == SERVICES
    for name, service in services.items():
        assert service["logging"]["options"]["max-size"], name
        assert service["init"] is True, name
        assert service["mem_limit"], name
        if name == "migrate":
            assert service["restart"] == "no"
        else:
            assert service["restart"] == "unless-stopped", name
            assert service["healthcheck"]["test"], name


def test_nothing_starts_before_what_it_needs(services: dict[str, Any]) -> None:
    needs = {name: {of: how["condition"] for of, how in services[name]["depends_on"].items()} for name in OURS}
    assert needs["migrate"] == {"postgres": "service_healthy"}
    for name in OURS[1:]:
        assert needs[name]["migrate"] == "service_completed_successfully"
    for name in ("dispatcher", "worker", "flower"):
        assert needs[name]["rabbitmq"] == "service_healthy"


def test_only_web_is_published_and_only_on_loopback(services: dict[str, Any]) -> None:
    published = {name: json.dumps(service["ports"]) for name, service in services.items() if "ports" in service}
    assert set(published) == {"web"}
    assert all("127.0.0.1" in port for port in published.values())
    assert {name for name, service in services.items() if "outside" in service["networks"]} == {"web", "worker"}


def test_no_secret_is_on_a_command_line(services: dict[str, Any], secrets: dict[str, str]) -> None:
    for name, service in services.items():
        said = json.dumps([service.get("command"), service.get("healthcheck")])
        assert not [secret for secret in secrets.values() if secret in said], name


def test_redis_starts_with_its_password_and_tells_it_to_nobody(
    bare: Stack, services: dict[str, Any], secrets: dict[str, str], tmp_path: Path
) -> None:
    port = str(ports.choose(27700))
    entrypoint = tmp_path / "docker-entrypoint.sh"
    entrypoint.write_text(f'#!/bin/sh\nexec "$1" --port {port} --bind 127.0.0.1 --dir {tmp_path} -\n')
    entrypoint.chmod(0o700)
    redis = services["redis"]
    command = [word.replace("$$", "$") for word in redis["command"]]
    told = {"PATH": f"{tmp_path}:{os.environ['PATH']}", **redis["environment"]}
    server = bare.start("compose-redis", command, **told)

    def ask(*words: str) -> str:
        asked = ["redis-cli", "-p", port, *words]
        return subprocess.run(asked, env={**os.environ, **told}, capture_output=True, text=True, check=False).stdout

    wait_until(lambda: ask("ping") == "PONG\n", what=f"it answers who knows the password; log: {server.log}")
    assert "noeviction" in ask("config", "get", "maxmemory-policy")
    assert "yes" in ask("config", "get", "appendonly")
    told["REDISCLI_AUTH"] = ""
    assert "NOAUTH" in ask("ping")
    assert secrets["REDIS_PASSWORD"] not in Path(f"/proc/{server.popen.pid}/cmdline").read_text()
    assert "redis-server" in Path(f"/proc/{server.popen.pid}/cmdline").read_text(), "it gets the signals itself"
    server.stop()


def test_our_containers_are_confined(services: dict[str, Any]) -> None:
    for name in OURS:
        service = services[name]
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
    assert re.findall(r"^USER (\S+)", DOCKERFILE.read_text(), re.MULTILINE)[-1] not in ("0", "root")


def test_a_worker_has_time_to_stop(services: dict[str, Any]) -> None:
    worker = services["worker"]
    assert seconds(worker["stop_grace_period"]) >= float(worker["environment"]["FURROW_SHUTDOWN_GRACE"]) + 45


def test_every_variable_is_one_that_is_read(services: dict[str, Any]) -> None:
    settings = (ROOT / "platform" / "config" / "settings.py").read_text()
    known = set(re.findall(r'(?:env\.\w+|_number|_yes|_url|_counts|_secret)\(\s*"(\w+)"', settings)) | {"FLOWER_ADDRESS"}
    for name in OURS:
        assert set(services[name]["environment"]) <= known, name
    example = (ROOT / ".env.example").read_text()
    assert set(re.findall(r"\$\{(\w+)", FILE.read_text())) == set(re.findall(r"^# ?([A-Z_]+)=", example, re.MULTILINE))


def test_the_image_gets_what_it_copies() -> None:
    ignored = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    shown = {line[1:] for line in ignored if line.startswith("!")}
    copied = set()
    for sources in re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE.read_text(), re.MULTILINE):
        copied |= set(sources.split())
    assert copied == shown
    assert all((ROOT / name).exists() for name in copied)
    assert not any(fnmatch.fnmatch(name, pattern) for name in (".env", ".git", ".run") for pattern in shown)


@pytest.mark.thorough
@pytest.mark.timeout(300)
def test_the_commands_and_health_checks_work(process: Processes) -> None:
    """As the containers run them: warned of nothing, migrated, healthy when up, and not before or afterwards."""
    checked = process.run("web", ["python", "manage.py", "check", "--deploy", "--fail-level", "WARNING"])
    assert checked.returncode == 0, checked.stderr
    migrated = process.run("migrate", process.services["migrate"]["command"])
    assert migrated.returncode == 0, migrated.stderr
    assert process.run("web", ["python", "manage.py", "furrow", "health", "stores"]).returncode == 0

    for name in ("web", "dispatcher", "worker", "flower"):
        assert not process.is_healthy(name), name
        process.start(name)
    for name in ("web", "dispatcher", "worker", "flower"):
        wait_until(partial(lambda name: process.is_healthy(name), name), what=f"{name} is healthy")

    process.stack.stop()
    for name in ("web", "dispatcher", "worker", "flower"):
        assert not process.is_healthy(name), name


def test_the_health_command_says_what_is_wrong(process: Processes) -> None:
    for part, words in (("dispatcher", "No dispatcher leads"), ("worker", "No worker")):
        said = process.run("web", ["python", "manage.py", "furrow", "health", part])
        assert said.returncode == 1
        assert words in said.stderr
    nowhere = {"BROKER_URL": "amqp://nobody:secret@127.0.0.1:9//", "REDIS_URL": "redis://127.0.0.1:9/0"}
    command = [sys.executable, "manage.py", "furrow", "health", "stores"]
    said = forks.run(command, env=process.stack.environ(**nowhere), cwd=ROOT)
    assert said.returncode == 1
    assert "RabbitMQ does not answer" in said.stderr
    assert "Redis does not answer" in said.stderr
    assert "secret" not in said.stderr
