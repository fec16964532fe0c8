"""``python -m tests.mutations [--list] [NAME …]``: apply each break to a copy of the tree; its tests must fail."""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.mutations.breaks import BREAKS, ROOT, Break

#: Seconds that one file of tests may take.
PATIENCE = 300


def broken(one: Break) -> str:
    """The text of the file with the break.

    Raises:
        SystemExit: the text that it replaces is not there exactly once: the list has to follow the engine.
    """
    text = (ROOT / one.path).read_text()
    if text.count(one.old) != 1:
        raise SystemExit(f"{one.name}: {one.old!r} occurs {text.count(one.old)} times in {one.path}, and must occur once")
    return text.replace(one.old, one.new)


def caught(one: Break, tree: Path) -> str:
    """The first test that fails because of it; empty when none does."""
    file = tree / one.path
    whole = file.read_text()
    file.write_text(broken(one))
    try:
        return failing(one.tests.split(), tree)
    finally:
        file.write_text(whole)


def failing(tests: list[str], tree: Path) -> str:
    """The first of these tests that fails in this tree; empty when none does.

    Raises:
        SystemExit: they could not be run.
    """
    command = [sys.executable, "-m", "pytest", "-q", "-x", "--tb=no", "-p", "no:cacheprovider", *[f"tests/{t}" for t in tests]]
    told = {**os.environ, "FURROW_TEST_RUN": str(ROOT / ".run" / "mutations"), "FURROW_TEST_KEEP": "1"}
    told["PYTHONDONTWRITEBYTECODE"] = "1"
    try:
        done = subprocess.run(command, cwd=tree, env=told, capture_output=True, text=True, timeout=PATIENCE * len(tests))
    except subprocess.TimeoutExpired:
        return f"{' '.join(tests)} (does not end)"
    if done.returncode not in (0, 1):
        raise SystemExit(f"{' '.join(tests)} could not be run:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    failed = [line.split()[1].partition("::")[2] for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return failed[0] if failed else ""


def main() -> None:
    """Run them; exits with 1 when one survives."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutations", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these; default: all")
    parser.add_argument("--list", action="store_true", help="name them, and run nothing")
    given = parser.parse_args()
    if unknown := set(given.names) - {one.name for one in BREAKS}:
        parser.error(f"there is no {unknown.pop()!r}; --list names them")
    chosen = [one for one in BREAKS if not given.names or one.name in given.names]
    if given.list:
        print("\n".join(one.name for one in chosen))
        return
    for one in BREAKS:
        broken(one)
    survivors = []
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        shutil.copytree(ROOT, tree, ignore=shutil.ignore_patterns(".git", ".run", ".venv", "__pycache__", ".*_cache"))
        tests = sorted({test for one in chosen for test in one.tests.split()})
        if by := failing(tests, tree):
            raise SystemExit(f"{by} fails without any break: what it catches says nothing.")
        for one in chosen:
            began = time.monotonic()
            by = caught(one, tree)
            print(
                f"| {one.name} | `{one.path.rpartition('/')[2]}` | {f'`{by}`' if by else '**survived**'} | "
                f"{time.monotonic() - began:.0f} s |",
                flush=True,
            )
            survivors += [] if by else [one.name]
    if survivors:
        raise SystemExit(f"{len(survivors)} of {len(chosen)} survived: {', '.join(survivors)}. A test is missing for each.")


if __name__ == "__main__":
    main()
