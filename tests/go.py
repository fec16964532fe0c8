"""Programs in Go that share no code with us, with Debian's compiler and its packages of Go's libraries."""

import os
import shutil
import subprocess
from pathlib import Path

from deploy import packages

from tests.services import RUN

#: Where Debian's packages put the sources of libraries, and those that programs import.
_LIBRARIES, _IMPORTED = "/usr/share/gocode", ["golang-github-rabbitmq-amqp091-go-dev"]


def built(program: str, name: str) -> Path:
    """The text of a program, compiled; its path.

    Raises:
        PackagesMissing: there is no Go, or a library is missing, and it cannot be installed.
        AssertionError: the text does not compile; with what the compiler said.
    """
    packages.ensure({"golang-go": "go"})
    packages.install(packages.missing(_IMPORTED))
    home = RUN / "go"
    home.mkdir(parents=True, exist_ok=True)
    source, made = home / f"{name}.go", home / name
    source.write_text(program)
    environ = {**os.environ, "GO111MODULE": "off", "GOPATH": _LIBRARIES, "GOCACHE": str(home / "cache"), "GOFLAGS": ""}
    command = [str(packages.find("go")), "build", "-o", str(made), str(source)]
    try:
        done = subprocess.run(command, cwd=home, env=environ, capture_output=True, text=True, timeout=300)
    finally:
        shutil.rmtree(home / "cache", ignore_errors=True)  # a hundred megabytes
    assert done.returncode == 0, done.stdout + done.stderr
    return made
