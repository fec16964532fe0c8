"""The tree of docs/architecture.md, from the floors and the rooms' docstrings: ``python -m tests.rooms`` writes it."""

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "architecture.md"
PACKAGE = ROOT / "apps" / "furrow"
COMMAND = "python -m tests.rooms"
_TREE = re.compile(r"(?<=```\napps/furrow/\n).*?(?=```)", re.DOTALL)
#: Columns of names in the tree.
_NAMES = 18


def floors() -> list[list[str]]:
    """The rooms and modules of each floor, from the top; pyproject.toml says that they are all."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    [floors] = [contract["layers"] for contract in contracts if contract.get("containers") == ["furrow"]]
    return [[name.strip() for name in floor.split("|")] for floor in floors]


def tree() -> str:
    """A line for each room and module: its name, and the first sentence of its docstring."""
    return "".join(f"{line}\n" for line in _lines())


def drawn() -> str:
    """The tree that the page has."""
    found = _TREE.search(PAGE.read_text())
    return found[0] if found else ""


def _lines() -> Iterator[str]:
    yield _line("__init__", "  ", PACKAGE / "__init__.py")
    for floor in floors():
        for name in floor:
            room = PACKAGE / name
            if not room.is_dir():
                yield _line(name, "  ", room.with_suffix(".py"))
                continue
            yield _line(f"{name}/", "  ", room / "__init__.py")
            for inner in sorted(room.glob("*/__init__.py")):
                if ast.get_docstring(ast.parse(inner.read_text())):
                    yield _line(f"{inner.parent.name}/", "    ", inner)


def _line(name: str, indent: str, file: Path) -> str:
    return f"{indent}{name}".ljust(_NAMES) + purpose(file)


def purpose(file: Path) -> str:
    """The first sentence of this file's docstring, without markup."""
    text = " ".join((ast.get_docstring(ast.parse(file.read_text())) or "").split("\n\n")[0].split())
    sentence = re.split(r"(?<=[^.])\.(?:\s|$)|::?$", text)[0]
    return re.sub(r":\w+:`([\w.]+)`", r"\1", sentence).replace("`", "")


if __name__ == "__main__":
    PAGE.write_text(_TREE.sub(lambda _: tree(), PAGE.read_text()))
