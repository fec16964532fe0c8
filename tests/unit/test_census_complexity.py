"""Cyclomatic complexity against numbers counted by hand, and against the definition on generated code."""

import ast
import textwrap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.source.structure import Structure, structure


def of(source: str) -> Structure:
    return structure(ast.parse(textwrap.dedent(source)))


def complexity(body: str) -> int:
    """The complexity of a function with this body."""
    (function,) = of("def f(a, b, c):\n" + textwrap.indent(textwrap.dedent(body).strip(), "    ")).functions
    return function.complexity


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("pass", 1),
        ("return a + b", 1),
        ("if a: b()", 2),
        ("if a: b()\nelse: c()", 2),
        ("if a: b()\nelif b: c()\nelif c: a()\nelse: pass", 4),
        ("if a:\n    if b:\n        c()", 3),
        ("return a if b else c", 2),
        ("for x in a: b()", 2),
        ("for x in a: b()\nelse: c()", 2),
        ("while a: b()", 2),
        ("while True:\n    if a: break\n    if b: continue", 4),
        ("try: a()\nexcept ValueError: b()\nexcept KeyError: c()\nelse: pass\nfinally: pass", 3),
        ("try: a()\nfinally: b()", 1),
        ("with a, b: c()", 1),
        ("assert a", 2),
        ("assert a and b", 3),
        ("return a and b", 2),
        ("return a and b and c", 3),
        ("return a and b or c", 3),
        ("return not a", 1),
        ("if a and (b or c): pass", 4),
        ("return [x for x in a]", 2),
        ("return [x for x in a if x if b]", 4),
        ("return {x: y for x in a for y in b if y}", 4),
        ("match a:\n    case 1: b()\n    case 2: c()", 3),
        ("match a:\n    case 1: b()\n    case _: c()", 2),
        ("match a:\n    case 1 if b: b()\n    case x: c()", 3),
        ("match a:\n    case x if b: c()", 2),
        ("match a:\n    case [x] as y: c()", 2),
        ("return lambda x: x if a else b", 2),
        ("return a < b < c", 1),
    ],
)
def test_complexity_of_a_function(body: str, expected: int) -> None:
    assert complexity(body) == expected


def test_mccabes_own_example_of_a_structured_program() -> None:
    """Euclid's algorithm on his first pages: one loop, one choice, v = 3 with the loop's test."""
    assert complexity("while b:\n    if a < b: a, b = b, a\n    else: a, b = b, a % b\nreturn a") == 3


def test_nested_functions_count_for_themselves() -> None:
    found = of(
        """
        def outer(a):
            def inner(b):
                if b:
                    return 1
            class Local:
                if a: x = 1
                def method(self):
                    for x in self: pass
            return inner
        """
    )
    assert [(f.name, f.line, f.complexity) for f in found.functions] == [
        ("outer", 2, 2),
        ("outer.inner", 3, 2),
        ("outer.Local.method", 8, 2),
    ]
    assert found.classes == 1


def test_decorators_defaults_and_annotations_belong_to_the_outside() -> None:
    found = of(
        """
        def outer(a):
            @(a or outer)
            def inner(b=a and 1) -> (int if a else str):
                pass
        """
    )
    assert {f.name: f.complexity for f in found.functions} == {"outer": 4, "outer.inner": 1}


def test_methods_async_functions_and_classes() -> None:
    found = of(
        """
        class A:
            async def m(self):
                async for x in self:
                    async with x: pass
            class B:
                def n(self): pass
        """
    )
    assert [(f.name, f.complexity, f.nesting) for f in found.functions] == [("A.m", 2, 2), ("A.B.n", 1, 0)]
    assert found.classes == 2


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("pass", 0),
        ("if a: pass\nelif b: pass\nelif c: pass\nelse: pass", 1),
        ("if a: pass\nelse:\n    if b: pass", 2),
        ("for x in a:\n    while b:\n        with c: pass", 3),
        ("try:\n    if a: pass\nexcept ValueError:\n    for x in a:\n        if b: pass", 3),
        ("if a: pass\nelif b:\n    for x in a: pass", 2),
    ],
)
def test_nesting(body: str, expected: int) -> None:
    (function,) = of("def f(a, b, c):\n" + textwrap.indent(body, "    ")).functions
    assert function.nesting == expected


#: Statements, by how many decisions they hold.
_PIECES = {0: "x = a + b", 1: "if a: x = 1", 2: "while a and b: x = 2", 3: "x = [i for i in a if i or b]"}


@given(st.lists(st.sampled_from(sorted(_PIECES)), max_size=30))
def test_one_more_than_the_decisions(pieces: list[int]) -> None:
    assert complexity("\n".join(_PIECES[piece] for piece in pieces) or "pass") == 1 + sum(pieces)


@given(st.lists(st.sampled_from(["if a:", "for x in a:", "while a:"]), max_size=15))
def test_nested_blocks_count_like_blocks_in_a_row(heads: list[str]) -> None:
    lines = ["    " * depth + head for depth, head in enumerate(heads)] + ["    " * len(heads) + "pass"]
    (function,) = of("def f(a):\n" + textwrap.indent("\n".join(lines), "    ")).functions
    assert (function.complexity, function.nesting) == (1 + len(heads), len(heads))


def test_a_tree_deeper_than_the_interpreters_stack_is_walked() -> None:
    tree = ast.parse("def f(): pass")
    inner: ast.expr = ast.Name("a", ast.Load())
    for _ in range(5_000):
        inner = ast.IfExp(ast.Name("a", ast.Load()), inner, ast.Name("b", ast.Load()))
    function = tree.body[0]
    assert isinstance(function, ast.FunctionDef)
    function.body = [ast.Expr(inner)]
    assert structure(tree).functions[0].complexity == 5_001
