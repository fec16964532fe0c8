"""The statements of both databases are one protocol, and each of its functions is tested on both."""

import ast
import importlib
import inspect

import pytest
from furrow.statements import protocol

from tests.architecture.test_layout import ROOT

FUNCTIONS = {name for name in dir(protocol.Statements) if not name.startswith("_")}
SUITE = sorted((ROOT / "tests" / "integration").glob("test_statements_*.py"))


@pytest.mark.parametrize("vendor", ["postgresql", "sqlite"])
def test_a_dialect_has_the_functions_of_the_protocol_with_the_same_arguments(vendor: str) -> None:
    """mypy says the same of their types (:func:`furrow.statements.on`)."""
    dialect = importlib.import_module(f"furrow.statements.{vendor}")
    assert set(dialect.__all__) == FUNCTIONS
    for name in FUNCTIONS:
        wanted = list(inspect.signature(getattr(protocol.Statements, name)).parameters)[1:]
        assert list(inspect.signature(getattr(dialect, name)).parameters)[: len(wanted)] == wanted, name


def test_the_suite_calls_each_function_of_the_protocol() -> None:
    called = {
        node.func.attr
        for path in SUITE
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
        if ast.unparse(node.func.value) in ("sql", "statements.on(connection)")
    }
    assert FUNCTIONS - called == set()


def test_the_suite_runs_on_both_databases() -> None:
    assert [path.name for path in SUITE if "pytest.mark.engine" not in path.read_text()] == []
