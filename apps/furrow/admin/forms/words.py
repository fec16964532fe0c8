"""Arguments as words: ``name=value``, each value written as in the form. For the command line, here and over HTTP."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from django.core.exceptions import ValidationError

from furrow.admin.forms.arguments import argument_fields
from furrow.admin.forms.fields import OMIT, TextField
from furrow.admin.forms.file_field import FileField
from furrow.errors import InputError, did_you_mean
from furrow.kinds.kind import Kind


class WrongWord(InputError):
    """A word is no argument of the kind; ``fields`` has its name."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__({name: text})
        self.args = (text,)


def read_words(
    kind: Kind, words: Iterable[str], given: Mapping[str, Any], file: Callable[[str, str, FileField], Any]
) -> dict[str, Any]:
    """The arguments: those that are ``given`` as JSON, and for each ``name=value`` what the same text means in the form.

    Args:
        file: makes the value of a file's argument: of its name, the text and the field.

    Raises:
        WrongWord: names the word or the argument, the reason and the remedy.
    """
    fields, found = argument_fields(kind), dict(given)
    for word in words:
        name, sign, text = word.partition("=")
        if not sign:
            raise WrongWord(word[:60], f"{word!r} is no argument: write name=value, such as {next(iter(fields), 'name')}=… .")
        if name not in fields:
            raise WrongWord(name[:60], f"{kind.name} has no argument {name!r}: {did_you_mean(name, fields)}.")
        if name in found:
            raise WrongWord(name, f"The argument {name!r} is given twice.")
        field = fields[name]
        if isinstance(field, FileField):
            found[name] = file(name, text, field)
            continue
        try:
            value = field.clean(text) if isinstance(field, TextField) else field.read(text)
        except ValidationError as error:
            raise WrongWord(name, f"{name}: {'; '.join(error.messages)}.") from None
        # Unlike an empty cell, an empty text that somebody wrote is meant.
        found[name] = "" if value is OMIT and isinstance(field, TextField) else value
    return {name: value for name, value in found.items() if value is not OMIT}


def inputs(kind: Kind) -> list[dict[str, Any]]:
    """The kind's arguments as the form asks for them."""
    return [
        {"name": name, "needed": bool(field.must_be_filled), "input": field.kind_of_input, "help": str(field.help_text or "")}
        for name, field in argument_fields(kind).items()
    ]
