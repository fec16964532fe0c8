"""Users, who may be in another database than jobs are: no statement joins the two, and no constraint binds them."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import models, router

if TYPE_CHECKING:
    from furrow.models.job import Job


def forget_user(collector: Any, field: Any, rows: Any, using: str) -> None:
    """``on_delete``: what a deleted user submitted or did is nobody's. Rows in another database keep the id of nobody."""
    if using == router.db_for_write(field.model):
        models.SET_NULL(collector, field, rows, using)


#: Read by Django: the rows are asked for by :func:`forget_user` alone.
forget_user.lazy_sub_objs = True  # type: ignore[attr-defined]


def user_field() -> Any:
    """A column with a user; null for nobody, and for one who was deleted."""
    return models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=forget_user,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )


def find_user(pk: Any) -> Any:
    """The user with this id; ``None`` for nobody."""
    return None if pk is None else get_user_model()._base_manager.filter(pk=pk).first()


def submitter(one: "Job") -> Any:
    """Who submitted a job; ``None`` for a program, and for a user who is gone."""
    field: Any = one._meta.get_field("submitted_by")
    return field.get_cached_value(one) if field.is_cached(one) else find_user(one.submitted_by_id)


def add_submitters(jobs: Iterable["Job"]) -> None:
    """Read who submitted these jobs by one query."""
    jobs = list(jobs)
    users = get_user_model()._base_manager.in_bulk({one.submitted_by_id for one in jobs if one.submitted_by_id is not None})
    for one in jobs:
        field: Any = one._meta.get_field("submitted_by")
        field.set_cached_value(one, users.get(one.submitted_by_id))
