"""The permission matrix: who may see what, and who may change something there.

A row says who may *see* an address (anybody else's GET is sent to the login or refused) and who may *change* something there:
anybody else's POST leaves every row of the database as it was, and no GET changes anything, whoever asks.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from django.contrib import admin

#: Who: everybody has a letter. S: staff without permissions, V: may view everything, M: may submit, A: may view and act,
#: E: has every add, change and delete permission on the engine's tables, R: superuser. Anonymous visitors have none.
ROLES = "SVMAER"
VIEWERS, STAFF = "VAER", ROLES
OWN_APPS = ("furrow",)


@dataclass(frozen=True)
class Row:
    """A row of the matrix. ``see`` and ``change`` are letters of ``ROLES``; ``*`` in ``see`` is everybody, ``-`` who has not
    logged in. ``act``: whose POST is not refused, where a change cannot be tried here. ``post`` is what is sent; a callable
    gets the samples. ``where`` fills the parameters of the address."""

    see: str = ""
    change: str = ""
    act: str | None = None
    post: Any = field(default_factory=dict)
    where: dict[str, str] = field(default_factory=dict)


def chosen(name: str, label: str) -> Any:
    """The form of an action on the sample in a list."""
    return lambda samples: {"action": name, "_selected_action": str(samples[label])}


J, Q = "admin/furrow/job/", "admin/furrow/queue/"
W = "admin/furrow/worker/"
F, FLOW = "admin/furrow/workflow/", {"workflow_id": "{furrow.workflow}"}
FLOW = {"workflow_id": "{furrow.workflow}"}
ENDED, WORKER = {"job_id": "{ended}"}, {"worker": "{furrow.worker}"}
H = "admin/furrow/schedule/"
_SCHEDULE = {"name": "made", "kind": "kinds.noop", "timing": "@daily", "timezone": "UTC", "catch_up": "one"}
_SCHEDULE |= {"catch_up_window": "60", "overlap": "allow", "jitter": "0"}
#: The addresses of our own, and those of Django's that are no table's.
ROWS: dict[str, Row] = {
    "": Row(),  # leads to the admin
    "health/live": Row(see="*"),
    "health/ready": Row(see="*"),
    "jobs/<uuid:job_id>/output": Row(see=VIEWERS, where=ENDED),
    "admin/": Row(see=STAFF),
    "admin/login/": Row(see="-"),
    "admin/logout/": Row(),
    "admin/search/": Row(see=STAFF),
    "admin/autocomplete/": Row(),
    "admin/jsi18n/": Row(see=STAFF),
    "admin/password_change/": Row(see=STAFF),
    "admin/password_change/done/": Row(see=STAFF),
    "admin/r/<path:content_type_id>/<path:object_id>/": Row(where={"content_type_id": "0", "object_id": "0"}),
    "admin/^(?P<app_label>APPS)/$": Row(see="VMAER", where={"": "admin/furrow/"}),
    "admin/(?P<url>.*)$": Row(where={"": "admin/nothing/here/"}),
    "admin/auth/user/<id>/password/": Row(see="R", where={"id": "{auth.user}"}),
    "admin/home/": Row(see=STAFF),
    "admin/home/live/": Row(see=STAFF),
    "mcp": Row(),  # for tokens alone: no session may
    "admin/errors/": Row(see=VIEWERS),
    "admin/errors/live/": Row(see=VIEWERS),
    "metrics": Row(see=VIEWERS),
    # Flower, whose acts are tested where its door is.
    "flower": Row(see="*"),  # leads to the next
    "flower/": Row(see=VIEWERS),
    "flower/<path:path>": Row(see=VIEWERS, where={"path": "tasks"}),
    # Workers.
    W + "all/": Row(see=VIEWERS),
    W + "live/": Row(see=VIEWERS),
    W + "<uuid:worker>/live/": Row(see=VIEWERS, where=WORKER),
    W + "<uuid:worker>/ask/": Row(change="AR", post={"action": "restart"}, where=WORKER),
    W + "stack/<uuid:job>/": Row(change="AR", where={"job": "{running}"}),
    W + "request/<uuid:asked>/": Row(see=VIEWERS, where={"asked": "{furrow.workerrequest}"}),
    W + "request/<uuid:asked>/live/": Row(see=VIEWERS, where={"asked": "{furrow.workerrequest}"}),
    # Locks: none is there to be broken.
    "admin/furrow/lock/live/": Row(see=VIEWERS),
    "admin/furrow/lock/break/": Row(act="AR", post={"name": "none", "token": "1"}),
    # Workflows.
    F + "<uuid:workflow_id>/live/": Row(see=VIEWERS, where=FLOW),
    **{F + f"<uuid:workflow_id>/{name}/": Row(change="AR", where=FLOW) for name in ("cancel", "pause")},
    **{F + f"<uuid:workflow_id>/{name}/": Row(act="AR", where=FLOW) for name in ("resume", "restart")},
    F + "<uuid:workflow_id>/fork/<uuid:node_id>/": Row(see="R", act="R", where={**FLOW, "node_id": "{node}"}),
    # Bridges: none has a dead message.
    "admin/furrow/bridgereader/live/": Row(see=VIEWERS),
    "admin/furrow/bridgereader/replay/": Row(act="AR", post={"queue": "none"}),
    # Jobs.
    J: Row(see=VIEWERS),
    J + "add/": Row(see=STAFF),  # leads to the kinds
    J + "<path:object_id>/history/": Row(see=STAFF),  # leads to the job
    J + "submit/": Row(see="MR"),
    J + "submit/<str:name>/": Row(see="MR", change="MR", post={"a": "1"}, where={"name": "kinds.add"}),
    J + "submit/<str:name>/table/": Row(see="MR", post={"text": "a\n1"}, where={"name": "kinds.add"}),
    J + "submit/<str:name>/rows/<str:argument>/": Row(see="R", where={"name": "kinds.greets", "argument": "user"}),
    J + "bulk/": Row(see="AR", change="AR", post=lambda s: {"action": "cancel", "ids": [s["furrow.job"]]}),
    J + "<uuid:job_id>/cancel/": Row(change="AR"),
    J + "<uuid:job_id>/retry/": Row(change="AR", where=ENDED),
    J + "<uuid:job_id>/run-now/": Row(change="AR"),
    J + "<uuid:job_id>/snooze/": Row(change="AR", post={"until": "2036-01-02T03:04"}),
    J + "<uuid:job_id>/change-priority/": Row(change="AR", post={"priority": "1"}),
    J + "<uuid:job_id>/change-queue/": Row(change="AR", post={"queue": "other"}),
    J + "<uuid:job_id>/delete/": Row(change="AR", where=ENDED),
    J + "<uuid:job_id>/signal/": Row(change="AR", post={"name": "paid", "payload": "7"}),
    J + "<uuid:job_id>/run-from/": Row(change="AR", post={"step": "charge"}),
    J + "<uuid:job_id>/live/": Row(see=VIEWERS),
    J + "<uuid:job_id>/log/": Row(see=VIEWERS),
    J + "<uuid:job_id>/output/": Row(see=VIEWERS, where=ENDED),
    J + "<uuid:job_id>/json/<str:column>/": Row(see=VIEWERS, where={"column": "arguments"}),
    # Messages that nobody could use. One is not sent again here: it would lie about in RabbitMQ.
    "admin/furrow/deadmessage/<int:message_id>/replay/": Row(act="AR", where={"message_id": "{furrow.deadmessage}"}),
    "admin/furrow/deadmessage/<path:object_id>/delete/": Row(see="ER", change="ER", post={"post": "yes"}),
    "admin/furrow/deadmessage/": Row(see=VIEWERS, change="ER", post=chosen("delete_chosen", "furrow.deadmessage")),
    "admin/furrow/event/replay/": Row(act="ER", post={"to": "none", "ids": "1"}),
    # Webhooks, whose forms are tested where they are.
    "admin/furrow/webhook/": Row(see=VIEWERS, change="ER", post=chosen("renew", "furrow.webhook")),
    "admin/furrow/webhook/add/": Row(see="ER"),
    "admin/furrow/webhook/<path:object_id>/delete/": Row(see="ER", change="ER", post={"post": "yes"}),
    # Schedules: to run one is to submit jobs.
    H: Row(see=VIEWERS, change="AR", post=chosen("pause_selected", "furrow.schedule")),
    H + "add/": Row(see="R", change="R", post=_SCHEDULE),
    H + "preview/": Row(see="R"),
    H + "calendar/": Row(see=VIEWERS),
    H + "<int:id>/backfill/": Row(see="R", where={"id": "{furrow.schedule}"}),
    H + "<int:id>/<str:verb>/do/": Row(change="AR", where={"id": "{furrow.schedule}", "verb": "pause"}),
    H + "<path:object_id>/delete/": Row(see="ER", change="ER", post={"post": "yes"}, where={"object_id": "{furrow.schedule}"}),
    # Approvals: this one asks for the permission to act on jobs.
    "admin/furrow/approval/<uuid:approval_id>/decide/": Row(
        change="AR", post={"decision": "approve"}, where={"approval_id": "{furrow.approval}"}
    ),
    "admin/furrow/drift/<path:object_id>/change/": Row(),
    "admin/furrow/drift/<path:object_id>/history/": Row(),
    **{
        f"admin/furrow/{name}/<path:object_id>/{page}/": Row()
        for name in ("watchedtask", "watchedcall")
        for page in ("change", "history")
    },
    # Queues.
    Q + "live/": Row(see=VIEWERS),
    Q + "<str:name>/live/": Row(see=VIEWERS, where={"name": "default"}),
    Q + "<path:object_id>/change/": Row(see=VIEWERS, where={"object_id": "default"}),
    Q + "<path:object_id>/history/": Row(see=STAFF, where={"object_id": "default"}),  # leads to the queue
    Q + "<str:name>/pause/": Row(change="AR", where={"name": "other"}),
    Q + "<str:name>/drain/": Row(change="AR", where={"name": "other"}),
    Q + "<str:name>/resume/": Row(change="AR", where={"name": "default"}),
}
# Backfills: to start one is to submit jobs.
B = "admin/furrow/backfill/"
_BACKFILL = {"backfill_id": "{furrow.backfill}"}
ROWS |= {
    B + "start/<str:name>/": Row(see="R", where={"name": "groups by tens"}),
    B + "<uuid:backfill_id>/live/": Row(see=VIEWERS, where=_BACKFILL),
    B + "<uuid:backfill_id>/<str:verb>/do/": Row(change="AR", where={**_BACKFILL, "verb": "cancel"}),
}
ROWS |= {"admin/furrow/canary/<int:id>/put/": Row(act="R", post={"percent": "10"}, where={"id": "{furrow.canary}"})}
# The HTTP API. It takes JSON: what its POSTs with a body change is tested where they are.
A = "api/"
ROWS |= {A + name: Row(see=VIEWERS) for name in ("jobs", "health", "queues", "workers", "errors")}
ROWS |= {A + "events": Row(see=VIEWERS, where={"": "api/events?wait=0"})}
ROWS |= {A + f"jobs/<job_id>{name}": Row(see=VIEWERS) for name in ("", "/result", "/logs")}
ROWS |= {A + f"jobs/<job_id>/{name}": Row(change="AR") for name in ("cancel", "run-now")}
ROWS |= {A + "jobs/<job_id>/retry": Row(change="AR", where=ENDED), A + "jobs/<job_id>/snooze": Row()}
ROWS |= {A + f"jobs/<job_id>/{name}": Row() for name in ("signals", "retry-from")}
_ONE = {"schedule_id": "{furrow.schedule}"}
ROWS |= {A + "schedules": Row(see=VIEWERS), A + "schedules/<schedule_id>": Row(see=VIEWERS, where=_ONE)}
ROWS |= {A + f"schedules/<schedule_id>/{name}": Row(where=_ONE) for name in ("pause", "backfill", "change")}
ROWS |= {A + "schedules/preview": Row(see=VIEWERS, where={"": "api/schedules/preview?timing=@daily"})}
ROWS |= {A + "schedules/<schedule_id>/delete": Row(change="ER", where=_ONE)}
ROWS |= {A + "schedules/<schedule_id>/resume": Row(where=_ONE), A + "schedules/<schedule_id>/run": Row(change="R", where=_ONE)}
ROWS |= {A + "queues/<name>/pause": Row(where={"name": "other"})}
ROWS |= {A + "queues/<name>/resume": Row(change="AR", where={"name": "default"})}
ROWS |= {A + "batches/<batch>": Row(where={"batch": "01a205c0-f458-76a1-9ac2-f6a18457f66a"}), A + "stats": Row(see=VIEWERS)}
ROWS |= {A + "batches": Row(), A + "kinds/<name>/jobs": Row(where={"name": "kinds.add"})}
ROWS |= {A + "workflows": Row(see=VIEWERS), A + "workflows/<workflow_id>": Row(see=VIEWERS, where=FLOW)}
ROWS |= {A + "workflows/<workflow_id>/pause": Row(change="AR", where=FLOW)}
ROWS |= {A + f"workflows/<workflow_id>/{name}": Row(act="AR", where=FLOW) for name in ("resume", "restart")}
ROWS |= {A + f"workflows/<workflow_id>/{name}": Row(where=FLOW) for name in ("cancel", "fork", "signals", "jobs", "close")}
ROWS |= {A + "open-batches": Row()}
# For tokens with the scope "work" alone: no session may.
ROWS |= {A + f"work/{name}": Row() for name in ("claim", "heartbeat", "log", "progress", "finish", "leave")}
ROWS |= {A + "kinds": Row(see=STAFF), A + "kinds/<name>": Row(see="VAMER", where={"name": "kinds.add"})}
ROWS |= {A + name: Row(see="*") for name in ("openapi.json", "docs")}
ROWS |= {A: Row()}
_ONE = {"approval_id": "{furrow.approval}"}
ROWS |= {A + "approvals": Row(see=VIEWERS), A + "approvals/<approval_id>": Row(see=VIEWERS, where=_ONE)}
ROWS |= {A + f"approvals/<approval_id>/{name}": Row(where=_ONE) for name in ("approve", "reject")}
READS = [
    "approvals",
    "approvals/<approval_id>",
    "jobs/<job_id>",
    "jobs/<job_id>/result",
    "jobs/<job_id>/logs",
    "kinds",
    "kinds/<name>",
    "health",
    "errors",
    "events",
]
READS += [
    "schedules",
    "schedules/preview",
    "schedules/<schedule_id>",
    "workflows",
    "workflows/<workflow_id>",
    "queues",
    "workers",
    "stats",
    "batches/<batch>",
    "openapi.json",
    "docs",
]


T = "admin/furrow/apitoken/"
_TOKEN = {"name": "mine", "user": "role R", "scopes": "read", "expires": ""}
ROWS |= {T + "add/": Row(see="ER", change="ER", post=_TOKEN)}
ROWS |= {T + "<int:token_id>/revoke/": Row(change="AR", where={"token_id": "{furrow.apitoken}"})}


#: What takes no forms, and so needs no token of a form: nothing there changes anything for a session.
NO_FORMS = ("", "health/live", "health/ready", "mcp", A, *(A + name for name in READS))


def standard_rows() -> Iterator[tuple[str, Row]]:
    """What holds of any table in the admin that has no rows of its own above: it is there to be looked at."""
    for model in admin.site._registry:
        meta = model._meta
        base = f"admin/{meta.app_label}/{meta.model_name}/"
        edits = meta.app_label == "auth"
        writers, own = "R" if edits else "", {"object_id": f"{{{meta.label_lower}}}"}
        yield base, Row(see=VIEWERS)
        yield base + "add/", Row(see=writers)
        yield base + "<path:object_id>/change/", Row(see=VIEWERS, where=own)
        yield base + "<path:object_id>/delete/", Row(see=writers, change=writers, where=own, post={"post": "yes"})
        yield base + "<path:object_id>/history/", Row(see=VIEWERS, where=own)
        yield base + "<path:object_id>/", Row(see=STAFF, where=own)


MATRIX: dict[str, Row] = {**dict(standard_rows()), **ROWS}
