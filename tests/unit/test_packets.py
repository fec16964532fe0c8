"""Reports of pool processes become records only with fields of the right types."""

import marshal
from typing import Any

import pytest
from furrow.statements import LogRecord, Progress, Settlement
from furrow.states import Outcome, State
from furrow.worker.pool.packets import record

END = Settlement("id", 1, State.PENDING, Outcome.FAILED, 7, 1.5, 2, None, None, "e", "E", "t", "s")


def read(fields: Any) -> Any:
    return marshal.loads(marshal.dumps(tuple(str(field) if isinstance(field, str) else field for field in fields)))


@pytest.mark.parametrize(
    "sent",
    [END, END._replace(delay=3, result="{}", finished=0.5), LogRecord("id", 1, 2.5, 20, "l", "m"), Progress("id", 1, 1, "")],
)
def test_what_a_pool_process_sends_is_read(sent: Any) -> None:
    assert record(type(sent), read(sent)) == sent


@pytest.mark.parametrize("position", range(len(END)))
@pytest.mark.parametrize("value", [(), b"x", [1], {}, True])
def test_a_field_of_another_type_is_refused(position: int, value: Any) -> None:
    fields = [*read(END)]
    fields[position] = value
    with pytest.raises(TypeError, match="a Settlement with fields of other types"):
        record(Settlement, tuple(fields))


@pytest.mark.parametrize("fields", [(), read(END)[:-1], (*read(END), ""), 5, None, "thirteen text"])
def test_fields_that_are_missing_or_too_many_are_refused(fields: Any) -> None:
    with pytest.raises(TypeError):
        record(Settlement, fields)
