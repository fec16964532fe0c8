"""Jobs with arguments, permissions and secrets of every sort."""

import datetime as dt
import decimal
import enum
import uuid
from typing import Annotated, Any, Literal

from django.contrib.auth import get_user_model
from django.core.files.storage import default_storage
from furrow import ForeignKey, Secret, UploadedPath

from tests.kinds.declared import job


class Colour(enum.Enum):
    """A choice."""

    RED = "red"
    BLUE = "blue"


@job
def typed(
    text: str,
    number: int = 7,
    ratio: float = 0.5,
    flag: bool = True,
    day: dt.date | None = None,
    moment: dt.datetime | None = None,
    price: decimal.Decimal = decimal.Decimal("1.50"),
    key: uuid.UUID | None = None,
    level: Literal["low", "high"] = "low",
    colour: Colour = Colour.RED,
    items: list[int] | None = None,
    options: dict[str, int] | None = None,
) -> dict[str, Any]:
    """One argument of every type.

    Args:
        text: any text.
        number: a whole number.
    """
    assert isinstance(colour, Colour)
    assert moment is None or moment.tzinfo is not None
    return {"text": text, "price": price, "day": day, "moment": moment, "key": key, "colour": colour, "items": items}


@job(permission="auth.change_group")
def guarded(n: int = 0) -> int:
    """Only for people who may change groups."""
    return n


@job
def greets(
    user: Annotated[int, ForeignKey("auth.User")],
    letter: UploadedPath | None = None,
    group: Annotated[int, ForeignKey("auth.Group")] | None = None,
) -> str:
    """Name a user, and read a file that somebody uploaded.

    Args:
        user: whom.
        letter: what to read to them.
    """
    text = default_storage.open(letter).read().decode() if letter else "nothing"
    return f"{get_user_model().objects.get(pk=user).get_username()}: {text}"


@job
def keeps(word: Annotated[str, Secret], text: str = "") -> int:
    """Say how long the secret word is."""
    return len(word)


@job
def hostile(text: str, number: int = 0, token: Annotated[str, Secret] = "") -> str:
    """Say <b>hello</b>\x1b[31m \u202eback to front.

    <script>document.title = 'owned'</script> {{ 7 * 7 }} {% now "Y" %}

    Args:
        text: "quoted" <i>and</i> not.
        token: what nobody sees.
    """
    return text
