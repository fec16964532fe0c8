"""What a canvas consists of, before anything is sent."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery import chain, chord, group
from furrow import WorkflowError
from furrow.canvas.makeup import Makeup, makeup

from tests import kinds


@pytest.mark.parametrize(
    "canvas",
    [
        pytest.param(group, id="group"),
        pytest.param(lambda members: chord(members, kinds.ordinary.s()), id="chord"),
        pytest.param(lambda members: chain(kinds.ordinary.s(1), group(members)), id="within a chain"),
    ],
)
def test_members_that_a_generator_makes_are_made_while_celery_sends_them(canvas: Callable[[Any], Any]) -> None:
    made: list[int] = []

    def members() -> Iterator[Any]:
        for number in range(5):
            made.append(number)
            yield kinds.ordinary.s(number)

    built = canvas(members())
    before = len(made)  # Celery's own chain makes all of them
    assert makeup(built) is Makeup.TASKS
    assert len(made) - before <= 2, "one, and a look at whether it is the last"


def test_a_kind_among_tasks_that_a_generator_makes_is_refused_when_it_comes() -> None:
    mixed = group(kinds.add.s(1) if number == 3 else kinds.ordinary.s(number) for number in range(5))
    assert makeup(mixed) is Makeup.TASKS
    with pytest.raises(WorkflowError, match="whose results are in different places"):
        list(mixed.tasks)
