"""A project that has Furrow's wheel and pytest, and the tests that docs/testing.md shows, as they stand there."""

import os
import re
import shutil
from pathlib import Path

import pytest

from tests import services
from tests.shop.conftest import FOLDER, ROOT, environment, offline, run
from tests.thorough import first_of

BLOCK = re.compile(r"^```python\n# (\S+\.py)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("database", "options"), first_of([("postgresql", "-n 2"), ("sqlite", "")]), indirect=["database"], ids=["xdist", "sqlite"]
)
def test_a_projects_tests_run_as_the_documentation_shows_them(
    wheelhouse: Path, database: str, broker: str, options: str
) -> None:
    folder, venv = FOLDER / "tested", FOLDER / "venv-tested"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(Path(__file__).parent / "tested", folder)
    blocks = BLOCK.findall((ROOT / "docs" / "testing.md").read_text())
    for name, text in blocks:
        (folder / name).write_text(text)
    environ = {
        "PATH": f"{venv / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(FOLDER),
        "LANG": "C.UTF-8",
        "SHOP_DATABASE": database,
        "TEST_BROKER_URL": broker,
    }
    if not venv.exists():
        environment(venv)
        install = "pip install --no-compile furrow-jobs 'psycopg[binary]' pytest-django pytest-xdist time-machine"
        run(["bash", "-ec", install], env=environ | offline(wheelhouse))
    written = sum(len(re.findall(r"^ *def test_", text, re.MULTILINE)) for _, text in blocks)
    shown = run(["bash", "-ec", f"pytest {options}"], env=environ, cwd=folder)
    assert written > 8
    assert f"{written} passed" in shown, shown
    fixtures = run(["bash", "-ec", "pytest --fixtures"], env=environ, cwd=folder)
    page = (ROOT / "docs" / "testing.md").read_text()
    assert set(re.findall(r"^(furrow_\w+)", fixtures, re.MULTILINE)) == set(
        re.findall(r"^\| `(furrow_\w+)`", page, re.MULTILINE)
    )
    assert services.broker.password not in shown
