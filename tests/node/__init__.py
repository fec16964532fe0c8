"""Programs for Node.js that share no code with us. Their packages are pinned in ``package-lock.json``, beside this file."""

import shutil
import subprocess
from pathlib import Path

from deploy import packages

from tests.services import RUN

_HERE = Path(__file__).parent
_FILES = (".npmrc", "package.json", "package-lock.json")


def run(program: str, *arguments: str) -> str:
    """Run the text of a program (an ES module) with the pinned packages; what it printed.

    Raises:
        PackagesMissing: there is no Node.js, and it cannot be installed.
        AssertionError: a program failed; with what it said.
    """
    file = placed(program, "program.mjs")
    return _said([_program("node"), str(file), *arguments], file.parent)


def placed(program: str, name: str) -> Path:
    """The text of a program, as a file beside the pinned packages; its path.

    Raises:
        PackagesMissing: there is no Node.js, and it cannot be installed.
    """
    file = _home() / name
    file.write_text(program)
    return file


def _home() -> Path:
    """A folder with the packages; one that was left half-made, or of other pins, is made anew."""
    home, pinned = RUN / "node", (_HERE / "package-lock.json").read_bytes()
    if not (home / "complete").exists() or (home / "complete").read_bytes() != pinned:
        packages.ensure({"nodejs": "node", "npm": "npm"})
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(parents=True)
        for name in _FILES:
            shutil.copy(_HERE / name, home)
        _said([_program("npm"), "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], home)
        (home / "complete").write_bytes(pinned)
    return home


def _program(name: str) -> str:
    found = packages.find(name)
    assert found, f"{name} is not installed, and these tests need it"
    return str(found)


def _said(command: list[str], folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}"
    return done.stdout
