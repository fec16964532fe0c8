"""What tests of an outside project share: the wheel of this checkout, environments to install it into, a virtual host."""

import compileall
import contextlib
import hashlib
import os
import py_compile
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pip
import psycopg
import pytest

from tests import services

ROOT = services.ROOT
FOLDER = services.RUN / "shop"
#: Of Furrow's, which one project or another installs.
EXTRAS = "unfold,flower,dev,api"
#: What such a project has installed before.
OWN = ["Django", "celery[redis]", "django-celery-results", "psycopg[binary]"]
#: What it runs its tests with.
TESTS = ["pytest", "pytest-django", "pytest-xdist==3.8.0", "execnet==2.1.2", "time-machine==3.6.0"]


def run(command: list[str], **options: Any) -> str:
    """Run a command and return its output; print what it complained of when it fails."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, **options)
    if done.returncode:
        print(f"$ {' '.join(command)}\n{done.stdout[-4000:]}\n{done.stderr[-8000:]}")
        done.check_returncode()
    return str(done.stdout)


@pytest.fixture(scope="session")
def wheelhouse() -> Path:
    """The wheel of this checkout, and those of everything that it and the shop need."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    run([sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(FOLDER / "dist"), str(ROOT)])
    wheel = next((FOLDER / "dist").glob("*.whl"))
    _compile(wheel)
    texts = [(ROOT / name).read_text() for name in ("requirements.txt", "requirements-dev.txt")]
    pins = [line for text in texts for line in text.splitlines() if "==" in line]
    (FOLDER / "pins.txt").write_text("\n".join(pins))
    wanted = [f"{wheel}[{EXTRAS}]", *OWN, *TESTS]
    # Kept between runs, beside the folders of all lanes: the same pins are fetched once.
    known = hashlib.sha256(
        "\n".join(["compiled", *pins, EXTRAS, *OWN, *TESTS, _requires(wheel), sys.version]).encode()
    ).hexdigest()[:16]
    fetched = ROOT / ".run" / "wheelhouse" / known
    if not fetched.exists():
        half = fetched.with_name(f"{known}.{os.getpid()}")
        fetch = [sys.executable, "-m", "pip", "wheel", "--quiet", "--wheel-dir", str(half), "-c", str(FOLDER / "pins.txt")]
        run([*fetch, *wanted])
        for own in half.glob("furrow_jobs-*"):
            own.unlink()
        for other in half.glob("*.whl"):
            _compile(other)
        with contextlib.suppress(OSError):  # another lane was faster
            half.rename(fetched)
    return fetched


@pytest.fixture
def database(request: pytest.FixtureRequest) -> Iterator[str]:
    """An empty database of the shop's own."""
    if request.param == "sqlite":
        (FOLDER / "shop.sqlite3").unlink(missing_ok=True)
        yield f"sqlite://{FOLDER}/shop.sqlite3"
        return
    with psycopg.connect(services.postgres.url, autocommit=True) as link:
        link.execute("DROP DATABASE IF EXISTS shop WITH (FORCE)")
        link.execute("CREATE DATABASE shop")
        yield services.postgres.url.rpartition("/")[0] + "/shop"
        link.execute("DROP DATABASE shop WITH (FORCE)")


@pytest.fixture(scope="session")
def _no_broker() -> None:
    """What a run left behind that was killed."""
    with contextlib.suppress(subprocess.CalledProcessError):
        services.broker.ctl("delete_vhost", "shop")


@pytest.fixture
def broker(_no_broker: None) -> Iterator[str]:
    """A virtual host of the shop's own."""
    services.broker.ctl("add_vhost", "shop")
    services.broker.ctl("set_permissions", "-p", "shop", "furrow", ".*", ".*", ".*")
    yield services.broker.url.removesuffix("//") + "/shop"
    services.broker.ctl("delete_vhost", "shop")


def offline(wheelhouse: Path) -> dict[str, str]:
    """The environment in which pip takes everything from the wheelhouse."""
    return {
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": f"{wheelhouse} {FOLDER / 'dist'}",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_QUIET": "1",
        "PIP_NO_COMPILE": "0",  # pip reads it so: it does not compile
    }


def environment(folder: Path) -> None:
    """Make a virtual environment with a copy of the tests' own pip: ``venv`` would take seconds to install it."""
    run([sys.executable, "-m", "venv", "--without-pip", str(folder)])
    (site,) = folder.glob("lib/python*/site-packages")
    shutil.copytree(Path(pip.__file__).parent, site / "pip")
    script = folder / "bin" / "pip"
    script.write_text(f"#!{folder}/bin/python\nfrom pip import main\nraise SystemExit(main())\n")
    script.chmod(0o755)


def _compile(wheel: Path) -> None:
    """Put into the wheel what Python makes of its modules: else pip would take seconds for it in each environment."""
    folder = wheel.with_suffix(".files")
    with zipfile.ZipFile(wheel, "a") as content:
        content.extractall(folder)
        compileall.compile_dir(folder, quiet=2, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
        for path in sorted(folder.rglob("*.pyc")):
            content.write(path, path.relative_to(folder))
    shutil.rmtree(folder)


def _requires(wheel: Path) -> str:
    """The requirements that a wheel declares."""
    with zipfile.ZipFile(wheel) as content:
        (name,) = [name for name in content.namelist() if name.endswith("/METADATA")]
        lines = content.read(name).decode().splitlines()
    return "\n".join(line for line in lines if line.startswith("Requires-Dist"))
