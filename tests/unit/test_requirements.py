"""The pins: whatever the reference project runs is in requirements.txt, with all that it needs."""

import tomllib
from importlib.metadata import requires
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
#: The extra that is for a developer's machine alone.
OF_DEVELOPERS = "dev"


def pins() -> set[str]:
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    return {str(canonicalize_name(Requirement(line).name)) for line in lines if "==" in line}


def needed(text: str, found: set[str]) -> set[str]:
    """A requirement's package, and all that it needs here."""
    one = Requirement(text)
    name = str(canonicalize_name(one.name))
    for extra in ("", *one.extras):
        if f"{name}[{extra}]" not in found:
            found.add(f"{name}[{extra}]")
            for more in requires(name) or ():
                marker = Requirement(more).marker
                if marker is None or marker.evaluate({"extra": extra}):
                    needed(more, found)
    return found


def test_the_pins_have_whatever_the_reference_project_needs() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = {name: texts for name, texts in project["optional-dependencies"].items() if name != OF_DEVELOPERS}
    found = set[str]()
    for text in (*project["dependencies"], *(text for texts in extras.values() for text in texts)):
        needed(text, found)
    names = {one.partition("[")[0] for one in found}
    assert names - pins() == set()
