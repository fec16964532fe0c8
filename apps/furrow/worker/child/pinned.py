"""Jobs that stay with workers of the version of the code that they began with (``@job(pinned=True)``)."""

from django.db import Error

from furrow.conf import conf
from furrow.errors import PINNED, Elsewhere
from furrow.models import Signal, Step
from furrow.steps.sending import UNPIN
from furrow.worker.child.current import Run

#: Seconds until one is offered again: so many times how often it was put off, at most.
AGAIN, AGAIN_LATEST = 1.0, 30.0


def look(run: Run) -> None:
    """Before the handler of a pinned kind is called.

    Raises:
        Elsewhere: its steps were recorded by workers of another version, and nobody has released it.
    """
    if run.attempt == 1:
        return
    try:
        begun = Step.objects.filter(job=run.id).order_by("pk").values_list("version", flat=True).first()
        if not begun or begun == conf().version or Signal.objects.filter(target=run.id, name=UNPIN).exists():
            return
    except Error as error:
        raise Elsewhere(AGAIN, f"the database could not say by which version it was begun: {str(error).strip()}") from None
    seconds = min(AGAIN * (run.excused + 1), AGAIN_LATEST)
    remedy = f"furrow canaries release {run.id} lets any worker go on with it"
    raise Elsewhere(seconds, f"{PINNED} workers of version {begun}, which began it; {remedy}")
