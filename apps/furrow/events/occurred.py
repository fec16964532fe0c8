"""An event as a subscriber gets it."""

import datetime as dt
import uuid
from typing import Any, Generic

import pydantic
from typing_extensions import TypeVar

Data = TypeVar("Data", default=dict[str, Any])


class Occurred(pydantic.BaseModel, Generic[Data]):
    """What happened, and when, in CloudEvents' words: the type hint of a subscriber's argument. The data of
    ``Occurred[OrderPaid]`` are of a pydantic class."""

    id: str
    source: str
    #: Its name: ``job.<kind>.<event>``, or a name of the project's own.
    type: str
    time: dt.datetime
    #: The id of the job that it tells of, and the how many-th event of that job it is.
    subject: str | None = None
    number: int | None = None
    data: Data

    @property
    def job(self) -> uuid.UUID | None:
        """The job that it tells of."""
        return uuid.UUID(self.subject) if self.subject else None
