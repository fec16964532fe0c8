"""Kinds whose handlers are elsewhere. Loaded by ``FURROW_MODULES`` where a test wants them, and known to nobody else."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import pydantic
from django.contrib.auth.models import Permission, User
from furrow import RetryPolicy, Secret, external_kind
from furrow.kinds.kind import _kinds

#: The timeout of the kind that the programs of the page run.
SECONDS = float(os.environ.get("FURROW_TEST_TIMEOUT", "60"))
QUICK = RetryPolicy(max_attempts=3, base=0.05, jitter=0)


class Resize(pydantic.BaseModel):
    """Make an image smaller."""

    path: str
    width: int = pydantic.Field(100, gt=0, le=10_000, description="In pixels")
    key: Annotated[str, Secret] = ""

    @pydantic.field_validator("path")
    @classmethod
    def _no_parent(cls, path: str) -> str:
        if ".." in path:
            raise ValueError("leads out of the folder: name a file in it")
        return path.strip()


class Resized(pydantic.BaseModel):
    """What comes of it."""

    path: str
    bytes: int


class Text(pydantic.BaseModel):
    """Count the words of a text, slowly."""

    text: str
    seconds: float = 0


class Words(pydantic.BaseModel):
    """How many there are."""

    words: int


resize = external_kind("images.resize", arguments=Resize, result=Resized, timeout=60, retry=QUICK)
count = external_kind("words.count", arguments=Text, result=Words, timeout=SECONDS, retry=QUICK)
plain = external_kind("words.plain", max_attempts=2)
alone = external_kind("words.alone", concurrency=1, retry=QUICK)
short = external_kind("words.short", timeout=0.2, max_attempts=1)
ALL = (resize, count, plain, alone, short)


@contextmanager
def known() -> Iterator[None]:
    """They are registered meanwhile."""
    _kinds.update({kind.name: kind for kind in ALL})
    try:
        yield
    finally:
        forget()


def forget() -> None:
    """From now on they are registered no more."""
    for kind in ALL:
        _kinds.pop(kind.name, None)


def someone() -> User:
    """A user who may run them."""
    user = User.objects.create_user(f"works-{uuid.uuid4().hex[:8]}")
    names = ("view_job", "act_on_job")
    user.user_permissions.set(Permission.objects.filter(content_type__app_label="furrow", codename__in=names))
    return user
