"""Kinds whose forms have an input of every type."""

import datetime as dt
import decimal
import enum
import uuid
from typing import Annotated, Any, Literal

import pydantic
from django.test import Client
from furrow import Job, Secret, job


class Shade(enum.Enum):
    """A choice."""

    LIGHT = "light"
    VERY_DARK = "dark"


class Address(pydantic.BaseModel):
    """Where."""

    street: str
    number: int = 1


@job(name="admin_forms.required", queue="other", priority=3)
def required(
    text: str,
    whole: int,
    ratio: float,
    yes: bool,
    day: dt.date,
    moment: dt.datetime,
    clock: dt.time,
    span: dt.timedelta,
    price: decimal.Decimal,
    key: uuid.UUID,
    mode: Literal["fast", "slow", 3],
    shade: Shade,
    items: list[int],
    mapping: dict[str, Any],
    address: Address,
    either: int | list[int],
) -> None:
    """Every type, needed.

    More about it, with <b>markup</b>.

    Args:
        text: what to say <i>loudly</i>
        whole (int): how many
            times in all
        day, moment: when

    Returns:
        Nothing.
    """


@job(name="admin_forms.optional")
def optional(
    text: str | None = None,
    whole: int | None = 5,
    yes: bool | None = None,
    on: bool = True,
    moment: dt.datetime | None = None,
    span: dt.timedelta = dt.timedelta(minutes=90),
    shade: Shade = Shade.VERY_DARK,
    mode: Literal["fast", "slow"] | None = None,
    items: list[str] | None = None,
    tags: tuple[str, ...] = ("a",),
    greeting: str = "hello",
    queue: str = "an argument called like an option",
    bounded: Annotated[int, pydantic.Field(ge=2, le=9, description="how many, at a time")] = 4,
    url: pydantic.HttpUrl | None = None,
) -> None:
    """Every type, with a default."""


@job(name="admin_forms.nothing")
def nothing() -> None:
    """No arguments."""


@job(name="admin_forms.secrets")
def secrets(url: str, token: Annotated[str, Secret], key: pydantic.SecretStr | None = None, limit: int = 3) -> None:
    """What is not shown."""


#: A good form of ``required``.
FULL = {
    "text": "ü <b>",
    "whole": "7",
    "ratio": "0.25",
    "yes": "on",
    "day": "2026-02-03",
    "moment": "2026-02-03T10:30",
    "clock": "10:30",
    "span": "90",
    "price": "1.50",
    "key": "0196f2b3-0000-7000-8000-000000000001",
    "mode": "3",
    "shade": "dark",
    "items": "[1, 2]",
    "mapping": '{"a": [null, {"b": 1}]}',
    "address": '{"street": "Hill"}',
    "either": "4",
}


def submit(site: Client, kind: str, given: dict[str, str]) -> Any:
    """The answer to a form that was filled in so."""
    return site.post(f"/admin/furrow/job/submit/admin_forms.{kind}/", given)


def only_job() -> Job:
    """What was submitted."""
    return Job.objects.get()
