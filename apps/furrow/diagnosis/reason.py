"""``Reason``: why a job waits, as pages say it."""

import datetime as dt
import uuid
from typing import NamedTuple


class Reason(NamedTuple):
    """Why a job waits. ``when`` belongs to the end of ``text`` ("…, tries again" + "in 30 s")."""

    text: str
    when: dt.datetime | None = None
    remedy: str = ""
    #: It will not go on by itself.
    stuck: bool = False
    #: Jobs that the text is about, for links; it names some of them by their ids.
    jobs: tuple[uuid.UUID, ...] = ()
