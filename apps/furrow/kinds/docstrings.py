"""Google-style docstrings: the description for the top of the form, and the help for each argument."""

import re

_SECTION = re.compile(r"^(Args|Arguments|Parameters):\s*$")
_ENTRY = re.compile(r"^\*{0,2}(?P<names>\w+(?:,\s*\w+)*)\s*(?:\([^)]*\))?:\s*(?P<text>.*)$")


def split(doc: str) -> tuple[str, dict[str, str]]:
    """The docstring without its ``Args:`` section, and that section's texts by argument."""
    before: list[str] = []
    entries: list[str] = []
    in_section = False
    for line in doc.splitlines():
        if _SECTION.match(line):
            in_section = True
        elif in_section and line and not line[0].isspace():
            in_section = False
            before.append(line)
        else:
            (entries if in_section else before).append(line)
    return re.sub(r"\n{3,}", "\n\n", "\n".join(before)).strip(), _entries(entries)


def first_line(doc: str) -> str:
    """What a docstring says first: its first paragraph on one line."""
    return " ".join(doc.strip().split("\n\n")[0].split())


def _entries(lines: list[str]) -> dict[str, str]:
    """Arguments' texts; a line indented deeper than the first one goes on with the text above it."""
    found: dict[str, str] = {}
    names: list[str] = []
    indent = next((len(line) - len(line.lstrip()) for line in lines if line.strip()), 0)
    for line in lines:
        text = line.strip()
        entry = _ENTRY.match(text) if len(line) - len(line.lstrip()) <= indent else None
        if entry:
            names = [name.strip() for name in entry["names"].split(",")]
            found.update(dict.fromkeys(names, entry["text"]))
        elif text:
            found.update({name: f"{found[name]} {text}".strip() for name in names})
    return found
