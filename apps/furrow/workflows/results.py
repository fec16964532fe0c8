"""The results of many jobs, read as they are asked for."""

import uuid
from collections.abc import Iterator
from typing import Any, Generic, TypeVar, cast

import pydantic_core
from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler

from furrow.errors import JobFailed
from furrow.models import Job, Node
from furrow.plural import counted
from furrow.states import State

T = TypeVar("T")
#: Rows that are read at once.
AT_ONCE = 2_000


class Results(Generic[T]):
    """What the jobs of a node returned, in the order in which they were given. The hint of an argument that gets them::

        @job
        def report(totals: Results[int]) -> int:
            return sum(totals)

    Iterated over, it is read in parts: of 100,000 results never more than some thousand are in memory. ``None`` stands for a
    job that did not succeed, and for one that returned nothing. A list may be given in its place, and is passed as it is.
    """

    def __init__(self, node: uuid.UUID) -> None:
        self.node = node

    def __iter__(self) -> Iterator[T]:
        last, read = None, 0
        while True:
            rows = Job.objects.filter(node=self.node).order_by("pk")
            part = list((rows.filter(pk__gt=last) if last else rows).values_list("pk", "state", "result")[:AT_ONCE])
            for _, state, result in part:
                yield cast("T", result if state == State.SUCCEEDED else None)
            read += len(part)
            if len(part) < AT_ONCE:
                refuse_gaps(self.node, read)
                return
            last = part[-1][0]

    def __len__(self) -> int:
        return Job.objects.filter(node=self.node).count()

    def __repr__(self) -> str:
        return f"Results({self.node})"

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> pydantic_core.CoreSchema:
        core = pydantic_core.core_schema
        named = core.typed_dict_schema({"results_of": core.typed_dict_field(core.uuid_schema())}, extra_behavior="forbid")
        read = core.no_info_after_validator_function(lambda given: Results(given["results_of"]), named)
        # A row names a node, and only the engine writes rows: who submits names none, and reads no other workflow's results.
        return core.json_or_python_schema(
            json_schema=core.union_schema([read, core.list_schema()]),
            python_schema=core.union_schema([core.is_instance_schema(Results), core.list_schema()]),
            serialization=core.plain_serializer_function_ser_schema(_written),
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: pydantic_core.CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        node = {"type": "string", "format": "uuid"}
        return {"type": "object", "title": "Results", "properties": {"results_of": node}, "required": ["results_of"]}


def refuse_gaps(node: uuid.UUID, read: int) -> None:
    """So many results of a node's many jobs were read: those of all others would stand in the wrong places, or be missing.

    Raises:
        JobFailed: somebody has deleted some of its jobs.
    """
    jobs = Node.objects.filter(pk=node, sort=Node.Sort.MAP).values_list("jobs", flat=True).first()
    if jobs is not None and read < jobs:
        raise JobFailed(f"{jobs - read:,} of {counted(jobs, 'result')} are gone: their jobs were deleted")


def _written(results: Results[Any] | list[Any]) -> dict[str, Any] | list[Any]:
    return {"results_of": str(results.node)} if isinstance(results, Results) else results
