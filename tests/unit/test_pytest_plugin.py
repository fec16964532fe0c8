"""The pytest plugin, before anybody uses it: it is loaded in every test run of whoever has Furrow installed."""

import re
import subprocess
import sys
from pathlib import Path

import furrow

FOLDER = Path(furrow.__file__).parent


def test_it_loads_nothing_of_django_nor_celery_and_needs_no_settings(tmp_path: Path) -> None:
    (tmp_path / "test_nothing.py").write_text(
        "import sys\n"
        "def test_nothing(request):\n"
        "    assert request.config.pluginmanager.has_plugin('furrow.pytest_plugin')\n"
        "    assert not {'django', 'celery', 'redis', 'pydantic'} & sys.modules.keys()\n"
    )
    environ = {"PYTHONPATH": str(FOLDER.parent), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "furrow.pytest_plugin", "-p", "no:cacheprovider", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environ, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_pytest_is_told_of_it() -> None:
    text = (FOLDER.parents[1] / "pyproject.toml").read_text()
    assert '[project.entry-points.pytest11]\nfurrow = "furrow.pytest_plugin"\n' in text


def test_the_guide_lists_its_fixtures() -> None:
    page = (FOLDER.parents[1] / "docs" / "testing.md").read_text()
    listed = re.findall(r"^\| `(furrow_\w+)`", page, re.MULTILINE)
    assert listed == re.findall(r"^@pytest.fixture.*\ndef (\w+)", (FOLDER / "pytest_plugin.py").read_text(), re.MULTILINE)
