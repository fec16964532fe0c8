"""The door, and the names of the tables: lists that are kept in two places."""

import ast
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import furrow
from django.apps import apps
from furrow import tables

FOLDER = Path(furrow.__file__).parent


def test_whatever_the_door_lists_is_there_for_programs_and_for_type_checkers() -> None:
    (typed,) = [
        node for node in ast.parse((FOLDER / "__init__.py").read_text()).body if isinstance(node, ast.If) and not node.orelse
    ][:1]
    seen = {alias.name: node.module for node in typed.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert seen == furrow._WHERE
    assert sorted(furrow.__all__) == sorted(seen)
    assert [name for name in furrow.__all__ if getattr(furrow, name) is None] == []
    assert set(furrow.__all__) <= set(dir(furrow))


def test_no_module_hides_a_name_of_the_door() -> None:
    """Importing ``furrow.submit`` would put that module in the place of the function."""
    assert {module.name for module in pkgutil.iter_modules([str(FOLDER)])} & set(furrow.__all__) == set()


def test_the_door_opens_before_django_is_ready() -> None:
    script = (
        "import sys, furrow; print('django' in sys.modules); from furrow import RetryPolicy, State; print(RetryPolicy, State)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, env={"PYTHONPATH": str(FOLDER.parent)}
    )
    assert done.stdout.splitlines()[:1] == ["False"], done.stderr
    assert done.returncode == 0, done.stderr


def test_the_tables_are_those_of_the_models() -> None:
    models = [model for model in apps.get_app_config("furrow").get_models() if model._meta.managed]
    names = {re.sub(r"(?<!^)(?=[A-Z])", "_", model.__name__).upper(): model._meta.db_table for model in models}
    assert {name: value for name, value in vars(tables).items() if name.isupper()} == names


def test_sql_names_no_table_by_hand() -> None:
    """Docstrings may; a text without a blank is no SQL but the name of a page or of a metric."""
    table = re.compile(rf"\b(?:{'|'.join(value for name, value in vars(tables).items() if name.isupper())})\b(?!_)")
    for path in FOLDER.rglob("*.py"):
        if path.name == "tables.py" or "migrations" in path.parts:
            continue
        tree = ast.parse(path.read_text())
        said = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        texts = [
            node
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in said
        ]
        assert [(path.name, node.lineno) for node in texts if " " in str(node.value) and table.search(str(node.value))] == []
