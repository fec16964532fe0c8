"""What the documentation names exists, and what exists is named."""

import ast
import importlib
import inspect
import re
from argparse import ArgumentParser, _SubParsersAction
from dataclasses import fields
from functools import cache
from pathlib import Path

import pytest
from django.core.management import BaseCommand, get_commands
from furrow.conf import Conf
from furrow.management.commands.furrow import load
from furrow.prove.checks import CHECKS
from furrow.submission.job import OPTIONS
from furrow.submission.submit import submit

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(DOCS.rglob("*.md"))]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def prose(page: Path) -> str:
    """The page without its blocks of code."""
    return BLOCK.sub("", page.read_text())


def anchors(page: Path) -> set[str]:
    """What its headings are called in addresses, by GitHub's rule."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@each_page
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?://)([^)#\s]*)(?:#([^)\s]+))?\)", prose(page))
    for path, anchor in links:
        target = page.parent / path if path else page
        assert target.exists(), path
        assert not anchor or anchor in anchors(target), f"{path}#{anchor}"


@each_page
def test_no_blank_line_cuts_a_table_in_two(page: Path) -> None:
    """A row after a blank line begins a table only if the next line is a row of dashes."""
    rows = re.findall(r"\n\n(\|.*)\n(.*)", prose(page))
    assert [row for row, following in rows if not re.fullmatch(r"\|[-| :]+\|", following)] == []


def test_the_index_lists_every_page() -> None:
    index = (DOCS / "README.md").read_text()
    assert [page.name for page in PAGES if page.is_relative_to(DOCS) and page.name not in index + "README.md"] == []


@each_page
def test_python_blocks_import_what_there_is(page: Path) -> None:
    for language, block in BLOCK.findall(page.read_text()):
        for node in ast.walk(ast.parse(block)) if language == "python" else ():
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "furrow":
                module = importlib.import_module(node.module or "")
                assert [name.name for name in node.names if not hasattr(module, name.name)] == []


@cache
def known_tests() -> set[str]:
    """The names of all tests and of their files."""
    files = [*(ROOT / "tests").rglob("test_*.py")]
    text = "\n".join(file.read_text() for file in files)
    known = re.findall(r"^\s*(?:async )?def (test_\w+)|^(test_\w+) =", text, re.MULTILINE)
    return {name for pair in known for name in pair} | {file.name for file in files}


@each_page
def test_every_test_that_is_named_exists(page: Path) -> None:
    named = set(re.findall(r"`(?:tests/\w+/)?(test_\w+(?:\.py)?)`", page.read_text()))
    assert named - known_tests() == set()
    assert page.name != "guarantees.md" or len(named) > 40


def test_every_promise_is_shown_without_the_tests_that_only_ci_runs() -> None:
    """A promise is a paragraph of the guarantees, or a table."""
    left_to_ci, others = set[str](), set[str]()
    for file in (ROOT / "tests").rglob("test_*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                marks = {ast.unparse(decorator) for decorator in node.decorator_list}
                (left_to_ci if "pytest.mark.thorough" in marks else others).add(node.name)
    promises = [{*re.findall(r"`(test_\w+)`", part)} for part in (DOCS / "guarantees.md").read_text().split("\n\n")]
    assert [named for named in promises if named and named <= left_to_ci - others] == []


@each_page
def test_commands_exist(page: Path) -> None:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    code = "\n".join([*(block for _, block in BLOCK.findall(page.read_text())), *re.findall(r"`([^`]+)`", prose(page))])
    assert set(re.findall(r"^make ([a-z-]+)", code, re.MULTILINE)) <= {*targets}
    assert set(re.findall(r"manage\.py ([a-z_]+)", code)) <= set(get_commands())


def test_the_readme_names_every_variable_once_and_no_other() -> None:
    settings = (ROOT / "platform" / "config" / "settings.py").read_text()
    read = set(re.findall(r'(?:env\.\w+|environ\.get|\b_[a-z]+)\(\s*"([A-Z]\w+)"', settings))
    table = (ROOT / "README.md").read_text().partition("## Configuration")[2].partition("\n## ")[0]
    assert sorted(re.findall(r"^\| `(\w+)`", table, re.MULTILINE)) == sorted(read)


def test_the_readme_names_every_key_of_the_settings() -> None:
    readme = (ROOT / "README.md").read_text()
    keys = [field.name.upper() for field in fields(Conf) if field.name != "partitioned"]
    assert [key for key in keys if f"`{key}`" not in readme and f"`FURROW_{key}`" not in readme] == []


def test_the_example_of_the_environment_names_what_the_compose_file_reads() -> None:
    read = set(re.findall(r"\$\{(\w+)", (ROOT / "docker-compose.yml").read_text()))
    assert set(re.findall(r"^# ?([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE)) == read


def test_every_option_of_a_kind_and_of_a_submit_is_explained() -> None:
    pages = (DOCS / "writing_jobs.md").read_text() + (DOCS / "limits.md").read_text()
    submits = [name for name, one in inspect.signature(submit).parameters.items() if one.kind is one.KEYWORD_ONLY]
    assert [option for option in (*OPTIONS, *submits) if not re.search(rf"\b{option}\b", pages)] == []
    table = (DOCS / "writing_jobs.md").read_text().partition("## Options of `@job`")[2].partition("\n## ")[0]
    assert set(re.findall(r"^\| `(\w+)`", table, re.MULTILINE)) <= set(OPTIONS)


def options(parser: ArgumentParser) -> set[str]:
    """The long options of a parser and of its commands."""
    own = {option for action in parser._actions for option in action.option_strings if option.startswith("--")}
    nested = [action.choices.values() for action in parser._actions if isinstance(action, _SubParsersAction)]
    return own.union(*(options(command) for commands in nested for command in commands))


@pytest.mark.parametrize(
    ("command", "page"),
    [
        ("jobs", "command_line.md"),
        ("schedules", "schedules.md"),
        ("backfills", "backfills.md"),
        ("canaries", "releases.md"),
        ("mcp", "assistants.md"),
        ("prove", "prove.md"),
        ("dev", "new_project.md"),
    ],
)
def test_every_option_of_a_command_is_explained(command: str, page: str) -> None:
    parser = load(command).create_parser("manage.py furrow", command)
    djangos = options(BaseCommand().create_parser("manage.py", command)) | {"--help"}
    hidden = {"--sabotage"}
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", (DOCS / page).read_text()))
    assert options(parser) - djangos - hidden == named - {"--help"}


def test_every_check_of_the_proof_is_explained() -> None:
    checked = (DOCS / "prove.md").read_text().partition("## What is checked")[2].partition("\n## ")[0]
    assert set(re.findall(r"^\| `(\w+)`", checked, re.MULTILINE)) == set(CHECKS)
