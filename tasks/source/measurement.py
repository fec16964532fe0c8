"""Measure one Python source file: lines, functions, classes, complexity, a content hash."""

import hashlib
from dataclasses import asdict
from typing import Any

from tasks.source.lines import count_lines
from tasks.source.reading import decode, parse, read
from tasks.source.structure import Function, structure

#: Functions of a file that its measurement names, the most complex first.
NAMED_FUNCTIONS = 10
#: Characters kept of a name; generated code has longer ones.
MAX_NAME = 200


def measure_file(path: str) -> dict[str, Any]:
    """Measure the file at this path.

    Returns:
        ``bytes``; ``lines``, ``code``, ``comment``, ``docstring``, ``blank``; ``functions``, ``classes``; ``complexity``
        (the sum over the functions), ``max_complexity``, ``max_nesting``; ``sha256`` of the bytes; ``most_complex``, at
        most ten functions.

    Raises:
        SourceError: a subclass says why the file cannot be measured; the text names file and line.
        OSError: it cannot be read (gone, no permission, …).
    """
    content = read(path)
    text = decode(path, content)
    found = structure(parse(path, text))
    ranked = sorted(found.functions, key=lambda function: (-function.complexity, function.line, function.name))
    return {
        "bytes": len(content),
        **asdict(count_lines(text, found.strings, found.docstrings)),
        "functions": len(ranked),
        "classes": found.classes,
        "complexity": sum(function.complexity for function in ranked),
        "max_complexity": ranked[0].complexity if ranked else 0,
        "max_nesting": max((function.nesting for function in ranked), default=0),
        "sha256": hashlib.sha256(content).hexdigest(),
        "most_complex": [_named(function) for function in ranked[:NAMED_FUNCTIONS]],
    }


def _named(function: Function) -> dict[str, Any]:
    return {"name": function.name[:MAX_NAME], "line": function.line, "complexity": function.complexity}
