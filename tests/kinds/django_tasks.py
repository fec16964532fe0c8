"""Tasks of Django's framework; of the package where Django has none."""

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from django.contrib.auth.models import Group
from furrow import RetryPolicy, current_job
from furrow.django_tasks import job_options

if TYPE_CHECKING:
    from django_tasks import task
else:
    try:
        from django.tasks import task
    except ImportError:
        from django_tasks import task


@task
def adds(a: int, b: int = 1, *more: int, **named: Any) -> Any:
    """Add numbers."""
    return [a + b, list(more), named]


@task(takes_context=True, priority=50, queue_name="other")
@job_options(retry=RetryPolicy(max_attempts=3, base=0, jitter=0))
def tries(context: Any, succeeds_on: int) -> list[Any]:
    """Fails until this attempt."""
    result = context.task_result
    if context.attempt < succeeds_on:
        raise LookupError(f"attempt {context.attempt}")
    return [context.attempt, result.id, result.status, len(result.errors), str(current_job.id)]


@task
async def sleeps_async(text: str) -> str:
    """Async."""
    await asyncio.sleep(0)
    logging.getLogger(__name__).info("awake")
    return text.upper()


@task
def raises(message: str) -> None:
    """Fails, and is not tried again."""
    raise ValueError(message)


@task
def returns_no_json() -> object:
    """Something that has no JSON form."""
    return object()


def _makes_group(name: str) -> int:
    return Group.objects.create(name=name).pk


_OPTIONS: Any = {"timeout": 30, "unique": "group:{name}", "tags": ("groups",)}
_makes_group.__name__ = _makes_group.__qualname__ = "makes_group"
try:
    makes_group = task(**_OPTIONS)(_makes_group)
except TypeError:  # Django 6.0 takes none
    makes_group = task(job_options(**_OPTIONS)(_makes_group))
