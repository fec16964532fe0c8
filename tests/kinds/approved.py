"""Forms of approvals, and a kind that asks."""

import dataclasses
import datetime as dt
from collections.abc import Callable
from typing import Annotated, Any, Literal

import pydantic
from furrow import current_job, job


class Release(pydantic.BaseModel):
    """What there is to say of a release.

    Args:
        share: of the servers, in percent.
    """

    share: Annotated[int, pydantic.Field(ge=1, le=100, description="Of the servers, in percent")]
    when: Literal["now", "tonight"] = "tonight"
    notes: str = ""

    @pydantic.model_validator(mode="after")
    def _all_at_night(self) -> "Release":
        if self.share == 100 and self.when == "now":
            raise ValueError("all servers at once only at night")
        return self


@dataclasses.dataclass
class Refund:
    """How much, and since when."""

    amount: float
    since: dt.date | None = None
    tags: list[str] = dataclasses.field(default_factory=list)


def reason(text: str, urgent: bool = False) -> None:
    """Why.

    Args:
        text: in a sentence.
    """


#: What ``asks`` does in the process of a test.
script: Callable[[], Any] = int


@job(name="kinds.asks")
def asks() -> Any:
    """Do what the test says."""
    return script()


@job(name="kinds.asks_async")
async def asks_async() -> Any:
    """Ask in an async handler."""
    return await current_job.approval("Go on?", permission="auth.add_group")
