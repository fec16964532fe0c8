"""Form fields by the type of an argument.

A field does not validate: it turns what a browser sends into the Python value that was meant, or hands the text on as it is,
and the kind's own model then accepts or refuses it exactly as for any other caller. Only what cannot be a value at all (text
that is no JSON, a local time that does not exist) is refused here.
"""

import enum
import json
from collections.abc import Callable
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from furrow.admin import theme
from furrow.diagnosis import wording

#: The browser said nothing about this argument: it is not passed, its default applies.
OMIT: Any = object()
#: A text longer than this, or with line breaks, gets several lines.
LONG = 100
_YES_NO = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False, "": None}


class ArgumentField(forms.Field):
    """One argument. ``needed``: it has no default; ``nullable``: empty means ``None``."""

    kind_of_input = "text"

    def __init__(self, *, nullable: bool = False, needed: bool = True, widget: Any = None, **options: Any) -> None:
        super().__init__(required=False, widget=widget or self.make_widget(), **options)
        self.nullable, self.needed = nullable, needed
        if self.must_be_filled:
            self.widget.attrs["required"] = True

    @property
    def must_be_filled(self) -> bool:
        """The browser refuses to send it empty."""
        return self.needed and not self.nullable

    def make_widget(self) -> Any:
        """The input."""
        return theme.TextInput()

    def shown(self, value: Any) -> Any:
        """A JSON value (a default, an earlier job's argument) as the input shows it."""
        return value

    def parse(self, text: str) -> Any:
        """The value that the text means; the text itself when that is not known."""
        return text

    def when_empty(self) -> Any:
        """The value of an empty input."""
        return None if self.nullable else OMIT

    def clean(self, value: Any) -> Any:
        """Value, ``OMIT``, or ValidationError."""
        return self.when_empty() if value in (None, "") else self.parse(value)

    def read(self, text: str) -> Any:
        """As :meth:`clean`, for a cell of a table or a word of a command line, where empty means the default, if there is
        one."""
        if text == "":
            return None if self.needed and self.nullable else OMIT
        return self.clean(text)


class TextField(ArgumentField):
    """A text. Empty means ``None`` where that is allowed, is refused where a value is needed, else is the empty text."""

    def clean(self, value: Any) -> Any:
        value = value.replace("\r\n", "\n") if isinstance(value, str) else value
        return super().clean(value)

    def when_empty(self) -> Any:
        return None if self.nullable else OMIT if self.needed else ""

    def shown(self, value: Any) -> Any:
        if isinstance(value, str) and (len(value) > LONG or "\n" in value):
            self.widget = theme.Textarea({**_without_class(self.widget.attrs), "rows": 6})
        return value


class WordField(ArgumentField):
    """Something that is written as a short text: UUID, URL, path, …; ``convert`` makes the value."""

    def __init__(self, convert: Callable[[str], Any] = str, **options: Any) -> None:
        self.convert = convert
        super().__init__(**options)

    def parse(self, text: str) -> Any:
        try:
            return self.convert(text.strip())
        except (ValueError, ArithmeticError, TypeError):
            return text


class NumberField(WordField):
    """A number."""

    kind_of_input = "number"

    def make_widget(self) -> Any:
        return theme.NumberInput({"step": 1 if self.convert is int else "any"})


class YesNoField(ArgumentField):
    """Yes or no: a box to tick, or a choice where ``None`` is a third answer."""

    kind_of_input = "checkbox"

    def __init__(self, *, nullable: bool = False, **options: Any) -> None:
        choices = [("", "—"), ("true", "yes"), ("false", "no")]
        widget = theme.Select(choices=choices) if nullable else theme.CheckboxInput()
        self.kind_of_input = "select" if nullable else "checkbox"
        super().__init__(nullable=nullable, widget=widget, **options)
        if not nullable:
            self.widget.attrs.pop("required", None)

    @property
    def must_be_filled(self) -> bool:
        return False

    def shown(self, value: Any) -> Any:
        yes = _YES_NO.get(str(value).lower(), value) if value is not None else None
        if self.kind_of_input == "checkbox":
            return bool(yes)
        return "" if yes is None else "true" if yes else "false"

    def clean(self, value: Any) -> Any:
        if self.kind_of_input == "checkbox":
            return bool(value)
        return {"true": True, "false": False, "": None, None: None}.get(value, value)

    def read(self, text: str) -> Any:
        return _YES_NO.get(text.strip().lower(), text) if text else super().read(text)


class ChoiceField(ArgumentField):
    """One of some values, each with its text."""

    kind_of_input = "select"

    def __init__(self, values: list[tuple[Any, str]], *, nullable: bool = False, needed: bool = True, **options: Any) -> None:
        self.values = {choice_key(value): value for value, _text in values}
        choices = [(choice_key(value), text) for value, text in values]
        if nullable or needed:
            choices.insert(0, ("", "—" if nullable else "Select a value"))
        widget = theme.Select(choices=choices)
        super().__init__(nullable=nullable, needed=needed, widget=widget, **options)

    def shown(self, value: Any) -> Any:
        return "" if value is None else choice_key(value)

    def parse(self, text: str) -> Any:
        return self.values.get(text, text)


class JsonField(ArgumentField):
    """Anything else, as JSON."""

    kind_of_input = "json"

    def make_widget(self) -> Any:
        return theme.Textarea({"rows": 5, "class": "fw-code", "spellcheck": "false"})

    def shown(self, value: Any) -> Any:
        if isinstance(value, str):
            return value
        if value is None and self.nullable:
            return ""
        text = wording.indented(value)
        # Cut, it may not be sent back; and what is nested deep grows with its indentation to many times its size.
        return text if len(text) <= wording.SHOWN else json.dumps(value, ensure_ascii=False)

    def parse(self, text: str) -> Any:
        try:
            return json.loads(text)
        except json.JSONDecodeError as error:
            raise ValidationError(
                f"is not JSON: {error.msg} at line {error.lineno}, column {error.colno}; "
                'write texts in double quotes, lists as [1, 2] and objects as {"name": "value"}'
            ) from None
        except (ValueError, RecursionError) as error:
            raise ValidationError(f"is not JSON that can be read: {error}") from None


def hide(field: ArgumentField) -> None:
    """Make the input one that shows dots, and is never sent what was typed. A choice or a box stays what it is."""
    if isinstance(field, TextField | WordField | JsonField):
        field.kind_of_input = "password"
        field.widget = theme.PasswordInput({**_without_class(field.widget.attrs), "autocomplete": "new-password"})


def choice_key(value: Any) -> str:
    """What stands for a choice in the form and in a link: its own text; an enum's value."""
    plain = value.value if isinstance(value, enum.Enum) else value
    return {True: "true", False: "false"}.get(plain, str(plain)) if isinstance(plain, bool) else str(plain)


def _without_class(attrs: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in attrs.items() if name not in ("class", "type")}
