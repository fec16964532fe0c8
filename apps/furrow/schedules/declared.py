"""What the code declares: the schedules of all kinds, and those of the settings."""

from dataclasses import replace

from furrow.conf import conf
from furrow.kinds.kind import all_kinds
from furrow.schedule import Schedule


def declared() -> tuple[dict[str, Schedule], dict[str, str]]:
    """The schedules by name, each with its kind; and by name why another of that name is left out."""
    found: dict[str, Schedule] = {}
    refused: dict[str, str] = {}
    given = [one for kind in all_kinds() for one in kind.schedules]
    given += [replace(one, name=name) for name, one in conf().schedules.items()]
    for one in given:
        if one.name in found:
            refused[one.name] = f"{found[one.name].kind} and {one.kind} declare a schedule of this name: rename one"
        else:
            found[one.name] = one
    return found, refused
