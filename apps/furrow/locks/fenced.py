"""Fenced writes: rows that refuse the write of a holder that has lost its lock.

Each row stores the newest token that it was written under. A write carries its holder's token and is refused when the row's is
newer. The database compares them in the writing statement, so no clock is involved.
"""

from collections.abc import Callable
from typing import Any, Generic, Self, TypeVar

from django.db import models, router, transaction

from furrow.locks.errors import LockError, StaleFence
from furrow.locks.held import Held

M = TypeVar("M", bound=models.Model)
W = TypeVar("W")


def token_of(held: Held | int) -> int:
    """The token to write under.

    Raises:
        LockLost: the lock is known to be lost.
        LockError: it is neither what a lock gave nor a token.
    """
    if isinstance(held, Held):
        held.check()
        return held.token
    if isinstance(held, bool) or not isinstance(held, int) or held < 0:
        raise LockError(f"fence: {held!r} must be the object of `with lock(…) as held`, or its token.")
    return held


class FencedQuerySet(models.QuerySet[M], Generic[M]):
    """``fenced(held)`` makes ``update``, ``delete`` and ``create`` write under the holder's token."""

    _token: int | None = None

    def fenced(self, held: Held | int) -> Self:
        """Write under this holder's token, or not at all."""
        clone = self.all()
        clone._token = token_of(held)
        return clone

    def claim(self) -> int:
        """Put the token on these rows and change nothing else: from now on no earlier holder can write them. Do it before
        reading what you will write back. Returns how many rows.

        Raises:
            StaleFence: one of them has a newer token; none is changed.
        """
        return self.update()

    def update(self, **values: Any) -> int:
        """As Django's.

        Raises:
            StaleFence: one of these rows has a newer token; none is changed.
        """
        if self._token is None:
            return super().update(**values)
        return self._write(lambda rows: super().update(**{**values, "fence": self._token}))

    def delete(self) -> tuple[int, dict[str, int]]:
        """As Django's.

        Raises:
            StaleFence: one of these rows has a newer token; none is deleted.
        """
        if self._token is None:
            return super().delete()
        return self._write(lambda rows: super().delete())

    def create(self, **values: Any) -> M:
        """As Django's; the row begins with the token."""
        return super().create(**({**values, "fence": self._token} if self._token is not None else values))

    def update_or_create(self, *args: Any, **kwargs: Any) -> Any:
        """As Django's, and refused on a fenced query set, whose fence it would pass by."""
        self._refuse("update_or_create", "update(), and create() when that returns 0")
        return super().update_or_create(*args, **kwargs)

    def bulk_create(self, objs: Any, *args: Any, **kwargs: Any) -> Any:
        """As Django's, and refused on a fenced query set, whose fence it would pass by."""
        self._refuse("bulk_create", "create()")
        return super().bulk_create(objs, *args, **kwargs)

    def _refuse(self, method: str, remedy: str) -> None:
        if self._token is not None:
            raise LockError(f"{method}() cannot be fenced: use {remedy}.")

    def _write(self, write: "Callable[[FencedQuerySet[M]], W]") -> W:
        rows = self._unfenced()
        with transaction.atomic(using=rows.db):
            written = write(rows.filter(fence__lte=self._token))
            # Rows that were not written are as they were: those that the filter still finds have a newer token.
            newer = rows.order_by().filter(fence__gt=self._token).values_list("pk", "fence").first()
            if newer is not None:
                raise stale(self.model, newer[0], newer[1], self._token)
        return written

    def _unfenced(self) -> Self:
        clone = self.using(self._db or router.db_for_write(self.model))  # type: ignore[attr-defined]
        clone._token = None
        return clone

    def _clone(self) -> Self:
        clone: Self = super()._clone()  # type: ignore[misc]
        clone._token = self._token
        return clone


def stale(model: type[models.Model], pk: Any, newer: int, token: int | None) -> StaleFence:
    """The error that says so."""
    return StaleFence(
        f"{model._meta.verbose_name} {pk} was written under the newer token {newer}; yours is {token}. Another holder has the "
        "lock. Nothing was written."
    )


class _Fence(models.BigIntegerField):  # type: ignore[type-arg]
    """The newest token. A plain save of an object that was read earlier does not put an older one back."""

    def pre_save(self, model_instance: models.Model, add: bool) -> Any:
        return super().pre_save(model_instance, add) if add else models.F(self.attname)


class FencedModel(models.Model):
    """A base class for models whose writes are fenced: ``Order.objects.fenced(held).update(…)``, ``order.save(fence=held)``.

    A write without a holder is not fenced and leaves the row's token as it is.
    """

    fence = _Fence(default=0, db_default=0, editable=False)

    objects = FencedQuerySet.as_manager()

    class Meta:
        abstract = True

    def save(self, *args: Any, fence: Held | int | None = None, **kwargs: Any) -> None:
        """Save, as Django does; with ``fence`` only if no newer holder has written the row.

        Raises:
            StaleFence: a newer holder has; nothing is written.
        """
        if fence is None:
            return super().save(*args, **kwargs)
        token = token_of(fence)
        if self._state.adding:
            self.fence = token
            return super().save(*args, **kwargs)
        using = kwargs.get("using") or router.db_for_write(type(self), instance=self)
        with transaction.atomic(using=using):
            row = type(self)._base_manager.using(using).filter(pk=self.pk)
            if not row.filter(fence__lte=token).update(fence=token):
                newer = row.values_list("fence", flat=True).first()
                if newer is not None:
                    raise stale(type(self), self.pk, newer, token)
                raise type(self).DoesNotExist(f"{self._meta.verbose_name} {self.pk} was deleted.")
            super().save(*args, **kwargs)
        self.fence = token
        return None
