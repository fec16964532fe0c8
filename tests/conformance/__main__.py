"""``python -m tests.conformance [--keep]``: gets the framework's source as its release has it, lets its tests of the immediate
and of the dummy backend use Furrow's instead (what is enqueued is drained), and runs them. Says what failed otherwise than
expected; each expected failure has its reason in :data:`EXPECTED`.

With Django 6 these are Django's ``tests/tasks``. Before it, those of the package ``django-tasks``, whose releases have no
tests: give a checkout of its repository at the installed release, ``--source FOLDER``.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import django

ROOT = Path(__file__).resolve().parents[2]
#: Tests that say what only the backend does which they were written for.
EXPECTED = {
    "ImmediateBackendTestCase.test_cannot_get_result": "results can be read",
    "ImmediateBackendTestCase.test_cannot_refresh_result": "results can be read",
    "ImmediateBackendTestCase.test_cannot_pass_run_after": "run_after is supported",
    "DjangoCompatTestCase.test_uses_lib_tasks_by_default": "asks for the default of TASKS, which here is Furrow's",
    "ImmediateBackendTestCase.test_get_result_from_different_request": "results can be read",
    "DummyBackendTestCase.test_refresh_result": "changes the dummy backend's memory; here results are rows",
    "DummyBackendTestCase.test_refresh_result_async": "changes the dummy backend's memory; here results are rows",
}
_NAME = re.compile(r"^(?:FAIL|ERROR): test_\w+ \(\S*?(\w+\.test_\w+)\)", re.MULTILINE)


def main() -> int:
    """Run them; 1 when something else failed than what is expected."""
    given = argparse.ArgumentParser(prog="python -m tests.conformance", description=__doc__.partition("\n")[0])
    given.add_argument("--source", type=Path, help="the framework's source; default: Django's, of the installed release")
    given.add_argument("--keep", action="store_true", help="keep the folder of the run")
    chosen = given.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="furrow-conformance-"))
    try:
        package, name = place(chosen.source or source_of_django(folder), folder)
        return run(folder, package, name)
    finally:
        if not chosen.keep:
            shutil.rmtree(folder)


def source_of_django(folder: Path) -> Path:
    """Django's source distribution of the installed release.

    Raises:
        SystemExit: Django has no tasks.
    """
    if django.VERSION < (6, 0):
        raise SystemExit("Django has no tasks before 6.0: give the source of django-tasks, --source FOLDER.")
    release = django.get_version()
    pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary", ":all:", "-d", str(folder)]
    subprocess.run([*pip, f"Django=={release}"], check=True)
    with tarfile.open(next(folder.glob("*.tar.gz"))) as archive:
        archive.extractall(folder, filter="data")
    return folder / f"django-{release}"


def place(source: Path, folder: Path) -> tuple[Path, str]:
    """Put the tests where they can be imported, with Furrow's backends in the place of the framework's; the package, and the
    label of its tests."""
    ours = source / "django_tasks"
    package = folder / ("tests" if ours.exists() else "tasks")
    shutil.copytree(source / "tests" if ours.exists() else source / "tests" / "tasks", package)
    framework = "django_tasks" if ours.exists() else "django.tasks"
    for path in package.rglob("*.py"):
        text = path.read_text()
        for backend in ("immediate", "dummy"):
            text = text.replace(f"{framework}.backends.{backend}", "conformance_backends")
        # What they enqueue is in the database, and async tests look from two threads.
        text = re.sub(r"(?<!Transaction)\bSimpleTestCase\b", "TransactionTestCase", text)
        path.write_text(text)
    shutil.copyfile(Path(__file__).with_name("backends.py"), folder / "conformance_backends.py")
    shutil.copyfile(Path(__file__).with_name("settings.py"), folder / "conformance_settings.py")
    return package, f"{package.name}.tests" if ours.exists() else package.name


def run(folder: Path, package: Path, label: str) -> int:
    """Run the tests of this label."""
    environ = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT / "apps")]),
        "DJANGO_SETTINGS_MODULE": "conformance_settings",
        "DJANGO_ALLOW_ASYNC_UNSAFE": "1",
        "PYTHONWARNINGS": "ignore",
    }
    command = [sys.executable, "-m", "django", "test", label]
    done = subprocess.run(command, cwd=folder, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    failed = set(_NAME.findall(done.stdout))
    ran = re.search(r"^Ran (\d+) tests", done.stdout, re.MULTILINE)
    others = failed - EXPECTED.keys()
    if ran is None or others:
        print(done.stdout)
    print(f"{ran[1] if ran else 'No'} tests of {package.name} ran; {len(failed)} failed")
    for name in sorted(failed):
        print(f"  {name}: {EXPECTED.get(name, 'NOT EXPECTED')}")
    return int(ran is None or bool(others))


if __name__ == "__main__":
    sys.exit(main())
