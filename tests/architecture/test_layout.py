"""Rules of the code base that no linter knows: layout, layers, docstrings, file sizes, links."""

import ast
import os
import pkgutil
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
LONGEST_FILE = 300


def sources(*folders: str) -> list[Path]:
    """The Python files below these folders."""
    found = [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py")) if "migrations" not in path.parts]
    assert found
    return found


def broken(paths: list[Path], rule: Callable[[Path], Iterable[object]]) -> dict[str, list[object]]:
    """The files that break a rule, with what the rule finds in each. One test a rule: a test a file costs seconds."""
    return {str(path.relative_to(ROOT)): found for path in paths if (found := [*rule(path)])}


@cache
def tree_of(path: Path) -> ast.Module:
    """The file, parsed once for all rules."""
    return ast.parse(path.read_text())


def calls(path: Path) -> Iterator[tuple[int, str]]:
    """Line and name of each call in a file."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Call):
            yield node.lineno, ast.unparse(node.func)


def test_platform_is_a_source_root_and_never_a_package() -> None:
    """With an ``__init__.py`` it would shadow the standard library's ``platform`` for every interpreter started here."""
    assert not (ROOT / "platform" / "__init__.py").exists()


@pytest.mark.parametrize("command", [["-c", "import platform; print(platform.system())"], ["-m", "pytest", "--version"]])
def test_an_interpreter_started_at_the_root_finds_the_standard_library(command: list[str]) -> None:
    bare = {"PATH": os.environ["PATH"]}
    done = subprocess.run([sys.executable, *command], cwd=ROOT, env=bare, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_the_import_contracts_hold() -> None:
    env = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'apps'}{os.pathsep}{ROOT / 'platform'}"}
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout


def test_the_pure_modules_import_neither_django_nor_celery_nor_redis() -> None:
    script = (
        "import sys; import furrow.states, furrow.errors, furrow.kinds.retry; "
        "print(sorted({name.split('.')[0] for name in sys.modules} & {'django', 'celery', 'kombu', 'redis', 'pydantic'}))"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


# --- docstrings -------------------------------------------------------------------------------------------------------------


def undocumented(path: Path) -> Iterator[str]:
    """Public functions, methods and classes of a file, and the file itself, that have no docstring."""
    tree = tree_of(path)
    if tree.body and ast.get_docstring(tree) is None:
        yield "the module"
    module = (
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        .removeprefix("platform.")
        .removeprefix("apps.")
        .removesuffix(".__init__")
    )
    yield from _undocumented(tree.body, module)


def _undocumented(body: list[ast.stmt], where: str) -> Iterator[str]:
    for node in body:
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) or node.name.startswith("_"):
            continue
        name = f"{where}.{node.name}"
        if isinstance(node, ast.ClassDef):
            bases = {ast.unparse(base).split("[")[0].split(".")[-1] for base in node.bases}
            if node.name != "Meta" and ast.get_docstring(node) is None and not _is_a_variant(name):
                yield name
            if "Protocol" not in bases:
                yield from _undocumented(node.body, name)
        elif ast.get_docstring(node) is None and not _is_exempt(node) and not _has_a_contract(name):
            yield name


def _is_exempt(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """An overload, a setter, or a column of the admin, whose description is in its decorator."""
    marks = {ast.unparse(mark).split("(")[0].split(".")[-1] for mark in node.decorator_list}
    return bool(marks & {"overload", "setter", "override", "display"})


def _has_a_contract(name: str) -> bool:
    """A method that a base class has, and documents: Django's hooks, the services' common face."""
    module, _, rest = name.rpartition(".")
    owner = resolve(module)
    return isinstance(owner, type) and any(hasattr(base, rest) for base in owner.__mro__[1:])


def _is_a_variant(name: str) -> bool:
    """One of several classes that only fill in what a private base of their module describes."""
    found = resolve(name)
    bases = found.__mro__[1:] if isinstance(found, type) else ()
    return any(base.__module__ == found.__module__ and base.__name__.startswith("_") and base.__doc__ for base in bases)


def resolve(name: str) -> Any:
    """The module or class of this dotted name; ``None`` when there is none."""
    try:
        return pkgutil.resolve_name(name)
    except (ImportError, AttributeError):
        return None


ENGINE = sources("apps", "tasks", "platform/config", "platform/deploy")


def test_whatever_is_public_has_a_docstring() -> None:
    assert broken(ENGINE, undocumented) == {}


# --- sizes and habits -------------------------------------------------------------------------------------------------------


#: A file that is longer says in its docstring why it is one.
REASON = "One file because"


def too_long(path: Path) -> Iterator[str]:
    """What to do about a file that is long and does not say why; its imports are not counted: they tell where the neighbours
    live."""
    imports = [node for node in tree_of(path).body if isinstance(node, (ast.Import, ast.ImportFrom))]
    lines = len(path.read_text().splitlines()) - sum((node.end_lineno or 0) - node.lineno + 1 for node in imports)
    if lines > LONGEST_FILE and REASON not in " ".join((ast.get_docstring(tree_of(path)) or "").split()):
        yield f"{lines} lines: split it by role, or say in its docstring: {REASON} …"


def test_a_file_is_one_role_and_short_or_says_why_not() -> None:
    assert broken(sources("apps"), too_long) == {}


#: Whoever asks for ``default`` misses the jobs of a project that has them elsewhere. This runs in projects that have not.
NOT_ELSEWHERE = ("prove",)


def of_the_default_database(path: Path) -> Iterator[str]:
    """Uses of Django's ``default`` database where that of the jobs is meant."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.ImportFrom) and node.module == "django.db":
            yield from (name.name for name in node.names if name.name in ("connection", "DEFAULT_DB_ALIAS"))
        call = isinstance(node, ast.Call) and ast.unparse(node.func) in ("transaction.atomic", "transaction.on_commit")
        if isinstance(node, ast.Call) and call and "using" not in {word.arg for word in node.keywords}:
            yield ast.unparse(node)


def test_jobs_are_looked_for_in_the_database_that_the_router_says() -> None:
    ours = [path for path in sources("apps") if path.relative_to(ROOT / "apps/furrow").parts[0] not in NOT_ELSEWHERE]
    assert broken(ours, of_the_default_database) == {}


TESTS = [
    path
    for path in sources("tests")
    if path.name not in ("stack.py", "visit.py") and path.parent.name not in ("gallery", "kinds")
]


def test_tests_wait_for_something_and_never_sleep() -> None:
    """``tests/stack.py`` has the one poll, and ``tests/shop`` that of a program of its own; the handlers in ``tests/kinds``
    sleep because that is their work. The gallery is no test."""
    assert broken(TESTS, lambda path: [line for line, name in calls(path) if name in ("time.sleep", "sleep")]) == {}


def test_nothing_is_printed_outside_of_commands() -> None:
    """Ruff checks ``print`` too, but not in the folders that are exempt for their commands' sake."""
    silent = [path for path in ENGINE if "management" not in path.parts and "deploy" not in path.parts]
    assert broken(silent, lambda path: [line for line, name in calls(path) if name == "print"]) == {}


#: What the parts of a worker and of a dispatcher call each other.
PART = re.compile(
    "_?(ledger|ledger_thread|lease|supervisor|assigned|capacity|orphans|running|events|mail|intake|partitions|take_over"
    "|requests|handling|stats|jobs|leadership|admission|changes)"
)


def wires(path: Path) -> Iterator[str]:
    """The attributes of a part that another one sets."""
    for node in ast.walk(tree_of(path)):
        for target in node.targets if isinstance(node, ast.Assign) else ():
            if isinstance(target, ast.Attribute) and PART.fullmatch(ast.unparse(target.value).split(".")[-1]):
                yield f"line {target.lineno}: {ast.unparse(target)}"


def test_no_part_of_a_process_is_wired_by_another() -> None:
    """What a part needs is an argument of its constructor: an attribute that somebody else must set can be forgotten."""
    assert broken(sources("apps/furrow/worker", "apps/furrow/dispatcher"), wires) == {}


def test_every_folder_of_code_is_a_package() -> None:
    for folder in {path.parent for path in sources("apps", "tasks")}:
        assert (folder / "__init__.py").exists(), folder


# --- documents --------------------------------------------------------------------------------------------------------------

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "platform").rglob("*.md")])


def anchors(page: Path) -> set[str]:
    """The anchors that a page's headings get."""
    headings = re.findall(r"^#+ +(.*)$", page.read_text(), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def lost_links(page: Path) -> Iterator[str]:
    """The links of a page that lead nowhere, with the reason."""
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    for target in re.findall(r"\[[^\]]*\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        goal = (page.parent / name).resolve() if name else page
        if not goal.exists():
            yield f"{target}: no such file"
        elif not goal.is_relative_to(ROOT):
            yield f"{target}: outside of the repository"
        elif anchor and goal.suffix == ".md" and anchor not in anchors(goal):
            yield f"{target}: no such heading"


def test_links_of_the_documents_lead_somewhere() -> None:
    assert broken(PAGES, lost_links) == {}


def lost_files(page: Path) -> Iterator[str]:
    """Paths in backticks that begin with a folder of the repository, and are not there."""
    folders = ("apps/", "platform/", "tests/", "docs/", "tasks/", "benchmarks/")
    for name in re.findall(r"`([\w./-]+\.(?:py|md|toml|yml|conf|js|css))`", page.read_text()):
        if name.startswith(folders) and not name.startswith("tasks/invoices") and not (ROOT / name).exists():
            yield name


def test_files_that_the_documents_name_exist() -> None:
    assert broken(PAGES, lost_files) == {}
