"""The rooms that docs/architecture.md draws are those that there are; SQL takes the names of tables from one place."""

import ast
import re

from tests.rooms import COMMAND, PACKAGE, PAGE, drawn, floors, tree


def test_the_tree_of_the_page_is_the_real_one() -> None:
    assert drawn() == tree(), f"{PAGE.name} is stale: run {COMMAND}"


def test_the_floors_have_every_room_and_module_once() -> None:
    """import-linter says so too, but for folders that hold no module."""
    named = [name for floor in floors() for name in floor]
    there = {path.stem for path in PACKAGE.glob("*.py")} | {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert len(named) == len(set(named))
    assert set(named) == there - {"__init__", "migrations"}


def test_every_room_and_module_says_what_it_is() -> None:
    assert [line for line in tree().splitlines() if not line[18:].strip()] == []


def test_no_statement_names_a_table_by_hand() -> None:
    """``furrow.tables`` has the names, and a test compares them with the models."""
    by_hand = re.compile(r"\b(FROM|JOIN|INTO|UPDATE|TABLE|USING|ON)\s+furrow_\w+")
    for path in PACKAGE.rglob("*.py"):
        if path.name == "tables.py" or "migrations" in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                assert not by_hand.search(node.value), f"{path}:{node.lineno}"
