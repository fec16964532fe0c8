"""Follow events as they are published, by server-sent events."""

import uuid
from typing import Annotated, Any

from django.http import HttpRequest
from ninja import Header, Query, Router
from pydantic import Field

from furrow.api.auth import caller, needs
from furrow.models.api_token import Scope
from furrow.streaming.events import EventReader, Wanted
from furrow.topics import LONGEST, pattern_problem
from furrow.web import event_stream
from furrow.web.problems import Refused

router = Router(auth=needs(Scope.READ), tags=["events"])

#: Patterns, and jobs, of one stream.
MOST = 50
_WORD = r"([\w-]+|\*|#)"
_Pattern = Annotated[str, Field(json_schema_extra={"minLength": 1, "maxLength": LONGEST, "pattern": rf"^{_WORD}(\.{_WORD})*$"})]
_STREAM = {
    "description": "Server-sent events. The data of each are a CloudEvent in JSON. `event: missed` says, with a reason, that "
    "events after Last-Event-ID may be lacking.",
    "content": {event_stream.CONTENT_TYPE: {"schema": {"type": "string"}}},
}


@router.get("/events", operation_id="follow_events", openapi_extra={"responses": {200: _STREAM}})
def follow_events(
    request: HttpRequest,
    name: Annotated[list[_Pattern], Query(description="Patterns of names: order.*, job.#.failed", max_length=MOST)] = [],  # noqa: B006
    job: Annotated[list[uuid.UUID], Query(description="Events of these jobs alone", max_length=MOST)] = [],  # noqa: B006
    after: Annotated[str, Query(description="As Last-Event-ID, which goes before it: an id of this stream")] = "",
    wait: Annotated[float, Query(ge=0, le=event_stream.LASTS, description="Seconds; 0: what there is")] = event_stream.LASTS,
    last_event_id: Annotated[str, Header(alias="Last-Event-ID", description="The last id: what comes after it")] = "",
) -> Any:
    """Events as they are published, in that order, as server-sent events: from now on, or after the last one. The stream ends
    after some seconds; go on with the last id."""
    who = caller(request)
    who.must_view()
    who.must_see("event")
    for pattern in name:
        if problem := pattern_problem(pattern):
            raise Refused(422, fields={"name": problem})
    try:
        reader = EventReader(Wanted(name, job, who.kinds), last_event_id or after)
    except ValueError as error:
        raise Refused(422, fields={"Last-Event-ID" if last_event_id else "after": str(error)}) from None
    return event_stream.stream(request, reader, wait)
