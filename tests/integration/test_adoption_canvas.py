"""Celery's canvas of tasks that are jobs: workflows, run as Celery runs them."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery import chain, chord, group
from celery.exceptions import ImproperlyConfigured
from furrow import Job, WorkflowError
from furrow.models import Workflow
from furrow.states import State, WorkflowState
from furrow.testing import drain
from pytest_django import Settings

from tests.adopted import adopting, stock

pytestmark = [pytest.mark.engine, pytest.mark.usefixtures("nobody_runs")]


class Tasks:
    """The same tasks for any application."""

    def __init__(self, app: Any) -> None:
        @app.task(shared=False, name="shop.add")
        def add(x: int, y: int = 1) -> int:
            return x + y

        @app.task(shared=False, name="shop.total")
        def total(numbers: Any, more: int = 0) -> int:
            return int(sum(numbers)) + more

        @app.task(shared=False, name="shop.fails")
        def fails(*args: Any) -> None:
            raise ValueError("out of stock")

        @app.task(shared=False, name="shop.replaces", bind=True)
        def replaces(self: Any, x: int, how: str = "task") -> Any:
            into = {
                "task": lambda: add.s(x, 10),
                "chain": lambda: add.s(x) | add.s(5),
                "group": lambda: group(add.s(x), add.s(x, 2)),
                "chord": lambda: chord([add.s(x), add.s(x)], total.s()),
                "mixture": lambda: group(add.s(x), add.s(x) | add.s(3)),
                "itself": lambda: replaces.s(x + 1, "task"),
                "failure": lambda: fails.s(),
            }
            return self.replace(into[how]())

        self.add, self.total, self.fails, self.replaces = add, total, fails, replaces


@pytest.fixture
def tasks(settings: Settings) -> Iterator[Tasks]:
    with adopting(settings) as app:
        yield Tasks(app)


CANVASES: dict[str, Callable[[Tasks], Any]] = {
    "chain": lambda t: chain(t.add.s(1, 2), t.add.s(3), t.add.s(4)),
    "immutable": lambda t: t.add.s(1, 2) | t.add.si(3, 4) | t.add.s(),
    "group": lambda t: group(t.add.s(n) for n in range(4)),
    "chord": lambda t: chord([t.add.s(n, n) for n in range(4)], t.total.s(more=1)),
    "chord by operator": lambda t: group(t.add.s(1), t.add.s(2)) | t.total.s() | t.add.s(1),
    "nested": lambda t: chord([chord([t.add.s(1)], t.total.s()), t.add.s(5)], t.total.s()),
    "chain that ends in a group": lambda t: t.add.s(1) | group(t.add.s(1), t.add.s(2)),
    "map": lambda t: t.add.map([1, 2, 3]),
    "starmap": lambda t: t.add.starmap([(1, 2), (3, 4)]),
    "chunks": lambda t: t.add.chunks([(n, n) for n in range(5)], 2),
    "replaced by a task": lambda t: t.replaces.s(1),
    "replaced by a chain": lambda t: t.replaces.s(1, "chain"),
    "replaced by a group": lambda t: t.replaces.s(1, "group"),
    "replaced by a chord": lambda t: t.replaces.s(1, "chord"),
    "replaced by a group of unlike parts": lambda t: t.replaces.s(1, "mixture"),
    "replaced twice": lambda t: t.replaces.s(1, "itself"),
    "replaced in a chain": lambda t: t.add.s(1) | t.replaces.s("chain") | t.add.s(100),
    "replaced in a header": lambda t: chord([t.replaces.s(1), t.replaces.s(2, "chord")], t.total.s()),
}


@pytest.mark.parametrize("name", CANVASES)
def test_a_canvas_comes_to_what_celery_says(tasks: Tasks, name: str) -> None:
    # Celery's eager chunks send their parts.
    theirs = [[0, 2], [4, 6], [8]] if name == "chunks" else CANVASES[name](Tasks(stock())).apply().get()
    result = CANVASES[name](tasks).delay()
    drain(limit=5_000, with_scheduled=True)
    assert result.get(timeout=1) == theirs
    assert {*Job.objects.values_list("state", flat=True)} == {State.SUCCEEDED}
    assert {*Workflow.objects.values_list("state", flat=True)} <= {WorkflowState.SUCCEEDED}


def test_a_replacement_that_fails_fails_the_task(tasks: Tasks) -> None:
    result = tasks.replaces.delay(1, "failure")
    drain(raise_on_failure=False, with_scheduled=True)
    with pytest.raises(ValueError, match="out of stock"):
        result.get(timeout=1)


def test_replacements_that_celery_refuses_are_refused(settings: Settings) -> None:
    with adopting(settings) as app:

        @app.task(shared=False, name="shop.empty", bind=True)
        def empty(self: Any) -> None:
            self.replace(chain())

        result = empty.delay()
        drain(raise_on_failure=False)
        assert isinstance(result.result, ImproperlyConfigured)


def test_links_are_called_with_the_result_or_the_error(settings: Settings) -> None:
    with adopting(settings) as app:
        tasks, seen = Tasks(app), list[Any]()

        @app.task(shared=False, name="shop.linked")
        def linked(value: Any) -> None:
            seen.append(value)

        @app.task(shared=False, name="shop.on_error")
        def on_error(request: Any, exc: Exception, traceback: str) -> None:
            seen.append((request.id, request.task, request.args, repr(exc), "raise ValueError" in traceback))

        @app.task(shared=False, name="shop.on_id")
        def on_id(task_id: str) -> None:
            seen.append(task_id)

        tasks.add.apply_async((1, 2), link=linked.s())
        first = tasks.fails.apply_async((7,), link_error=on_error.s())
        second = tasks.fails.apply_async((7,), link_error=[on_id.s(), linked.si("immutable")])
        drain(raise_on_failure=False)
        about = (first.id, "shop.fails", [7], "ValueError('out of stock')", True)
        assert sorted(seen, key=repr) == sorted([3, about, second.id, "immutable"], key=repr)


def test_parts_know_by_which_task_they_were_sent(settings: Settings) -> None:
    with adopting(settings) as app:
        seen: list[Any] = []

        @app.task(shared=False, name="shop.link", bind=True)
        def link(self: Any, *args: Any) -> None:
            seen.append(self.request)

        (link.s() | link.s() | link.s()).delay()
        drain()
        first, second, third = seen
        assert (first.parent_id, second.parent_id, third.parent_id) == (None, first.id, second.id)
        assert {first.root_id, second.root_id, third.root_id} == {first.id}


def test_an_ordinary_task_after_a_job_is_refused_by_name(settings: Settings) -> None:
    with adopting(settings) as app:
        tasks = Tasks(app)

        @app.task(shared=False, name="shop.plain", durable=False)
        def plain(x: Any) -> None: ...

        with pytest.raises(WorkflowError, match=r"shop\.plain"):
            (tasks.add.s(1) | plain.s()).delay()
        assert not Job.objects.exists()


def test_eager_canvases_run_as_celerys_do(settings: Settings) -> None:
    with adopting(settings, task_always_eager=True) as app:
        tasks = Tasks(app)
        assert chord([tasks.add.s(1), tasks.add.s(2)], tasks.total.s()).delay().get() == 5
        assert (tasks.add.s(1) | tasks.add.s(2)).delay().get() == 4
    assert not Job.objects.exists()
