"""docs/api.md from the docstrings of ``furrow.__all__``: ``python -m tests.api_page`` writes the page anew.

Signatures and columns are read from the source, so that the page is the same under every version of Python.
"""

import ast
import inspect
import os
import re
import textwrap
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

PAGE = Path(__file__).resolve().parents[1] / "docs" / "api.md"
COMMAND = "python -m tests.api_page"
_INTRODUCTION = f"""\
# API reference

Everything that code may import from `furrow`, from the docstrings (`{COMMAND}` writes this page). How to use it:
[writing jobs](writing_jobs.md), [limits](limits.md), [locks](consistency.md), [actions](admin_jobs.md#acting-on-many).
"""
#: What is not named here comes under "Other".
GROUPS = {
    "Declare a kind": "job external_kind Kind RetryPolicy Unique Schedule Secret ForeignKey File UploadedPath get_kind "
    "all_kinds",
    "Submit": "submit submit_many backfill",
    "Inside a handler": "current_job send_signal Retry Snooze Abort SoftTimeout Cancelled",
    "Records": "Job Attempt Approval LogLine State Outcome FINAL",
    "Act on jobs": "cancel retry retry_from run_now snooze change_priority change_queue delete",
    "Why a job waits": "situation Situation",
    "Locks": "lock semaphore leader rate_limit Held FencedModel",
    "Middleware": "Middleware Submission RunningJob",
    "Workflows": "workflow current_workflow batch Batch wait Results decide",
    "Events and output": "publish subscribe Occurred EventData output_url output_token",
    "Errors": "FurrowError KindError UnknownKind SubmitError ArgumentError OptionError NotUnique InputError JobFailed "
    "JobCancelled WorkflowError WorkflowFailed MiddlewareError EventError StepError SignalTimeout LockError "
    "ApprovalRejected ApprovalTimeout NotAcquired LockUnavailable RateLimited LockLost StaleFence",
}
#: Classes whose instances the platform makes.
_NOT_MADE = ("Held", "Kind")
#: Attributes that are of no use outside of the package.
_INNER = ("objects", "do_not_call_in_templates")
#: Methods that are shown although their names begin with an underscore.
_SPECIAL = ("__call__",)


class Member(NamedTuple):
    """An attribute of a class: its name, what it is, and what the comment before it says."""

    name: str
    what: str
    comment: str


def page() -> str:
    """The whole page."""
    furrow = import_module("furrow")
    grouped = {title: names.split() for title, names in GROUPS.items()}
    left = sorted(set(furrow.__all__) - {name for names in grouped.values() for name in names})
    grouped |= {"Other": left} if left else {}
    parts = [_INTRODUCTION, *(f"**{title}:** {_links(names)}\n" for title, names in grouped.items())]
    for title, names in grouped.items():
        parts += [f"## {title}\n", *(_entry(name, getattr(furrow, name)) for name in names)]
    return "\n".join(parts)


def _links(names: list[str]) -> str:
    """Links to the headings of these names."""
    return ", ".join(f"[`{name}`](#{_heading(name).lower().replace(' ', '-')})" for name in names)


def _heading(name: str) -> str:
    """GitHub's anchors know no case: ``Job`` and ``job`` must differ in more."""
    return f"class {name}" if inspect.isclass(getattr(import_module("furrow"), name)) else name


def _entry(name: str, value: Any) -> str:
    """A name's part of the page."""
    return f"### {_heading(name)}\n\n" + "\n\n".join(part for part in _parts(name, value) if part) + "\n"


def _parts(name: str, value: Any) -> list[str]:
    if inspect.isfunction(value):
        return [_code(_signature(_functions(value), name)), markdown(inspect.getdoc(value) or "")]
    if inspect.isclass(value):
        return _class(name, value)
    if isinstance(value, frozenset):
        return [_above(name, import_module("furrow.states")), "Value: " + ", ".join(f"`{one}`" for one in sorted(value)) + "."]
    if isinstance(type(value), type) and type(value).__module__.startswith("furrow."):
        return _class(name, type(value))  # an instance, such as current_job
    return [_above(name, import_module("furrow.kinds.hints"))]


def _class(name: str, cls: type) -> list[str]:
    """A class: how it is made, what it is, its attributes and methods."""
    Guard = import_module("furrow.locks.guard").Guard
    tree = _tree(cls)
    made = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "__init__"]
    bases = [base.__name__ for base in cls.__bases__ if base.__module__.startswith("furrow") or issubclass(cls, BaseException)]
    is_shown = made and name not in _NOT_MADE and (not issubclass(cls, BaseException) or name in GROUPS["Inside a handler"])
    says = [_code(_signature(made, name))] if is_shown else []
    says += [f"Base: {', '.join(f'`{base}`' for base in bases)}."] if issubclass(cls, BaseException) else []
    says.append(markdown(inspect.cleandoc(cls.__doc__ or "")))
    if members := [] if issubclass(cls, Guard) else _members(cls, tree):
        rows = [f"| `{one.name}` | {one.what} | {one.comment} |" for one in members]
        says.append("\n".join(["| attribute | is | means |", "|---|---|---|", *rows]))
    return [*says, *_methods(name, cls)]


def _methods(name: str, cls: type) -> list[str]:
    """The public methods, also those of the bases within the package."""
    found: dict[str, str] = {}
    for owner in (one for one in cls.__mro__ if one.__module__.startswith("furrow.")):
        for node in _tree(owner).body:
            if not isinstance(node, ast.FunctionDef) or node.name in found or ast.get_docstring(node) is None:
                continue
            if node.name.startswith("_") and node.name not in _SPECIAL:
                continue
            is_property = any(isinstance(one, ast.Name) and one.id == "property" for one in node.decorator_list)
            call = f"{name}.{node.name}" if is_property else _signature([node], f"{name}.{node.name}")
            text = textwrap.indent(markdown(ast.get_docstring(node) or ""), "  ").lstrip()
            found[node.name] = f"- `{' '.join(call.split())}`  \n  {text}"
    return ["\n".join(found.values())] if found else []


def _members(cls: type, tree: ast.ClassDef) -> list[Member]:
    """The documented attributes: fields, members of an enumeration, columns."""
    lines = inspect.getsource(cls).splitlines()
    found = []
    for node in tree.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            name, what = node.target.id, f"`{ast.unparse(node.annotation)}`"
            what += f", default `{ast.unparse(node.value)}`" if node.value and not _is_field(node.value) else ""
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name, value = node.targets[0].id, node.value
            what = (
                f"`{ast.unparse(value.func).rpartition('.')[2]}`" if isinstance(value, ast.Call) else f"`{ast.unparse(value)}`"
            )
        else:
            continue
        if not name.startswith("_") and name not in _INNER:
            found.append(Member(name, what.replace("|", "\\|"), _inline(_comment(lines, node.lineno - 1)).replace("|", "\\|")))
    return found


def _is_field(value: ast.expr) -> bool:
    return isinstance(value, ast.Call)


def _above(name: str, module: Any) -> str:
    """The comment before a module's constant."""
    lines = inspect.getsource(module).splitlines()
    number = next(number for number, line in enumerate(lines) if re.match(rf"{name}\b.*=", line))
    return _inline(_comment(lines, number))


def _comment(lines: list[str], number: int) -> str:
    """The ``#:`` comment that ends before this line."""
    found: list[str] = []
    while number and lines[number - 1].strip().startswith("#:"):
        number -= 1
        found.insert(0, lines[number].strip().removeprefix("#:").strip())
    return " ".join(found)


def _tree(value: Any) -> Any:
    return ast.parse(textwrap.dedent(inspect.getsource(value))).body[0]


def _functions(function: Any) -> list[ast.FunctionDef]:
    """A function's definitions in its module: overloads come before it."""
    tree = ast.parse(inspect.getsource(import_module(function.__module__)))
    found = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == function.__name__]
    return found[:-1] or found


def _signature(nodes: list[ast.FunctionDef], name: str) -> str:
    """The call, as the source has it; of overloads each. A long one has an argument a line."""
    return "\n".join(_one_signature(node, name) for node in nodes)


def _one_signature(node: ast.FunctionDef, name: str) -> str:
    arguments = [one for one in _arguments(node.args) if one != "self"]
    returns = f" -> {ast.unparse(node.returns)}" if node.returns and node.name != "__init__" else ""
    short = f"{name}({', '.join(arguments)}){returns}"
    return short if len(short) <= 110 else f"{name}(\n    " + ",\n    ".join(arguments) + f",\n){returns}"


def _arguments(given: ast.arguments) -> list[str]:
    """Each argument as it is written in the call's signature."""
    positional = [*given.posonlyargs, *given.args]
    defaults = [None] * (len(positional) - len(given.defaults)) + list(given.defaults)
    found = [_argument(one, default) for one, default in zip(positional, defaults, strict=True)]
    if given.posonlyargs:
        found.insert(len(given.posonlyargs), "/")
    if given.vararg or given.kwonlyargs:
        found.append(f"*{_argument(given.vararg, None) if given.vararg else ''}")
    found += [_argument(one, default) for one, default in zip(given.kwonlyargs, given.kw_defaults, strict=True)]
    return [*found, f"**{_argument(given.kwarg, None)}"] if given.kwarg else found


def _argument(one: ast.arg, default: ast.expr | None) -> str:
    text = f"{one.arg}: {ast.unparse(one.annotation)}" if one.annotation else one.arg
    return text if default is None else f"{text} = {ast.unparse(default)}"


def _code(text: str) -> str:
    return f"```\n{text}\n```"


def markdown(doc: str) -> str:
    """A docstring as Markdown: sections of arguments and errors become lists, ``::`` begins a block of code."""
    done: list[str] = []
    lines = doc.splitlines()
    while lines:
        line = lines.pop(0)
        if re.fullmatch(r"(Args|Raises|Returns):", line):
            section = _indented(lines)
            done += ["", f"**{line}**", "", _section(line, section), ""]
        elif line.endswith("::"):
            done += [_inline(line[:-1]), "", _code_of(_indented(lines)), ""]
        else:
            done.append(_inline(line))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(done)).strip()


def _indented(lines: list[str]) -> list[str]:
    """Take the lines that belong to a section: indented ones, and empty ones between."""
    taken: list[str] = []
    while lines and (lines[0].startswith(" ") or not lines[0]):
        taken.append(lines.pop(0))
    return textwrap.dedent("\n".join(taken)).strip("\n").splitlines()


def _code_of(lines: list[str]) -> str:
    return "\n".join(["```", *lines, "```"])


def _section(title: str, lines: list[str]) -> str:
    """The items of a section, one ``name: text`` each; of ``Returns`` the text alone."""
    items: list[str] = []
    for line in lines:
        if line.startswith(" ") and items:
            items[-1] += f" {line.strip()}"
        elif line:
            items.append(line)
    if title == "Returns:":
        return _inline(" ".join(items))
    named = [item.partition(": ") for item in items]
    return "\n".join(f"- `{name}`: {_inline(text)}" if text else f"- {_inline(name)}" for name, _, text in named)


def _inline(text: str) -> str:
    """Roles and double backquotes as Markdown has them."""
    text = re.sub(r":\w+:`~?([^`]+)`", lambda match: f"`{match[1]}`", text)
    return re.sub(r"``([^`]+)``", r"`\1`", text)


if __name__ == "__main__":
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    PAGE.write_text(page())
