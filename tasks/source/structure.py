"""What a module is made of: its functions with their cyclomatic complexity, its classes, its strings.

Cyclomatic complexity is T. J. McCabe's number ("A Complexity Measure", IEEE Transactions on Software Engineering SE-2(4),
1976): the linearly independent paths through a function, which is one more than the decisions in it. Compound conditions
count once for each simple condition (section V of the paper). A decision is

* each ``if``, ``elif`` and conditional expression; each ``for`` and ``while``; each ``except``; each ``assert``;
* each ``and`` and ``or`` (an operator with n operands is n - 1 decisions);
* each ``for`` and ``if`` of a comprehension;
* each ``case`` that can fail to match (so ``case _`` and ``case name`` are none), and each guard of a ``case``.

``else``, ``finally`` and ``with`` decide nothing. A function nested in another counts for itself; a lambda, a decorator, a
default and a nested class's body count for the function around them.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field

_DECISIONS = (ast.If, ast.IfExp, ast.For, ast.AsyncFor, ast.While, ast.ExceptHandler, ast.Assert)
_BLOCKS = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.Try, ast.TryStar, ast.With, ast.AsyncWith, ast.Match)
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
#: Parts of a definition that belong to what is around it.
_OUTSIDE = ("args", "decorator_list", "returns")

#: First and last line of something, counted from 1.
Span = tuple[int, int]


@dataclass(slots=True)
class Function:
    """A function or method: its name with those around it (``Class.method``), the line of its ``def``, its numbers."""

    name: str
    line: int
    complexity: int = 1
    #: The deepest nesting of ``if``, ``for``, ``while``, ``try``, ``with`` and ``match``; an ``elif`` is as deep as its ``if``.
    nesting: int = 0


@dataclass(slots=True)
class Structure:
    """What :func:`structure` found. ``functions`` are in the order of their lines, methods and nested ones included."""

    functions: list[Function] = field(default_factory=list)
    classes: int = 0
    #: Strings of several lines, docstrings included.
    strings: list[Span] = field(default_factory=list)
    docstrings: list[Span] = field(default_factory=list)


@dataclass(slots=True, frozen=True)
class _Place:
    """Where the walk is: in which function, under which names, how deep in blocks."""

    function: Function
    prefix: str = ""
    depth: int = 0


def structure(tree: ast.Module) -> Structure:
    """Walk the tree once, without recursion: a tree that could be parsed can be measured."""
    found = Structure()
    _note_docstring(tree, found)
    stack: list[tuple[ast.AST, _Place]] = [(tree, _Place(Function("", 0)))]
    while stack:
        node, place = stack.pop()
        if isinstance(node, (ast.Constant, ast.JoinedStr)):
            _note_string(node, found)
        place.function.complexity += decisions(node)
        if isinstance(node, _FUNCTIONS):
            stack.extend(_enter_function(node, place, found))
        elif isinstance(node, ast.ClassDef):
            found.classes += 1
            _note_docstring(node, found)
            inside = _Place(place.function, f"{place.prefix}{node.name}.", place.depth)
            stack.extend((child, inside) for child in _children(node))
        elif isinstance(node, _BLOCKS):
            stack.extend(_enter_block(node, place))
        else:
            stack.extend((child, place) for child in _children(node))
    found.functions.sort(key=lambda function: function.line)
    return found


def decisions(node: ast.AST) -> int:
    """The decisions that this node makes, without those below it."""
    if isinstance(node, _DECISIONS):
        return 1
    if isinstance(node, ast.BoolOp):
        return len(node.values) - 1
    if isinstance(node, ast.comprehension):
        return 1 + len(node.ifs)
    if isinstance(node, ast.match_case):
        always = isinstance(node.pattern, ast.MatchAs) and node.pattern.pattern is None
        return (not always) + (node.guard is not None)
    return 0


def _enter_function(
    node: ast.FunctionDef | ast.AsyncFunctionDef, place: _Place, found: Structure
) -> Iterator[tuple[ast.AST, _Place]]:
    function = Function(f"{place.prefix}{node.name}", node.lineno)
    found.functions.append(function)
    _note_docstring(node, found)
    inside = _Place(function, f"{function.name}.")
    for name in node._fields:
        for child in _below(node, name):
            yield child, place if name in _OUTSIDE else inside


def _enter_block(node: ast.stmt, place: _Place) -> Iterator[tuple[ast.AST, _Place]]:
    inside = _Place(place.function, place.prefix, place.depth + 1)
    place.function.nesting = max(place.function.nesting, inside.depth)
    follower = _elif(node)
    for child in _children(node):
        yield child, place if child is follower else inside


def _elif(node: ast.stmt) -> ast.stmt | None:
    """The ``elif`` of an ``if``: the tree has it as an ``if`` under ``else``, but in the column of the first one."""
    if not isinstance(node, ast.If) or len(node.orelse) != 1 or not isinstance(node.orelse[0], ast.If):
        return None
    return node.orelse[0] if node.orelse[0].col_offset == node.col_offset else None


def _children(node: ast.AST) -> Iterator[ast.AST]:
    for name in node._fields:
        yield from _below(node, name)


def _below(node: ast.AST, name: str) -> Iterator[ast.AST]:
    value = getattr(node, name, None)
    if isinstance(value, list):
        yield from (item for item in value if isinstance(item, ast.AST))
    elif isinstance(value, ast.AST) and name != "ctx":
        yield value


def _note_string(node: ast.Constant | ast.JoinedStr, found: Structure) -> None:
    last = node.end_lineno or node.lineno
    if last > node.lineno and (isinstance(node, ast.JoinedStr) or isinstance(node.value, (str, bytes))):
        found.strings.append((node.lineno, last))


def _note_docstring(node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef, found: Structure) -> None:
    first = node.body[0] if node.body else None
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        found.docstrings.append((first.lineno, first.end_lineno or first.lineno))
