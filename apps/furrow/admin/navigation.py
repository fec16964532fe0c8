"""The sidebar and the icon, for the settings of the theme unfold."""

from typing import Any

from django.contrib.auth import get_user_model
from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import NoReverseMatch, reverse

from furrow.approvals.deciding import count_for, may_see_approvals
from furrow.conf import conf


def icon(request: HttpRequest) -> str:
    """The address of the icon that browsers show."""
    return static("furrow/icon.svg")


def sidebar(request: HttpRequest) -> list[dict[str, Any]]:
    """The groups and links that this user may see."""
    jobs, submit = reverse("admin:furrow_job_changelist"), reverse("admin:furrow_job_submit")
    in_submit = request.path.startswith(submit)
    user = get_user_model()._meta
    groups = [
        (
            "Jobs",
            [
                _item(request, "Overview", "dashboard", reverse("admin:index"), True, exact=True),
                _item(request, "Jobs", "work", jobs, "furrow.view_job", active=request.path.startswith(jobs) and not in_submit),
                _item(request, "Submit", "add_circle", submit, "furrow.submit_job"),
                _item(request, "Errors", "error", reverse("furrow:errors"), "furrow.view_job"),
                _model(request, "Workflows", "account_tree", "furrow", "workflow"),
                _approvals(request),
                _model(request, "Schedules", "schedule", "furrow", "schedule"),
                _model(request, "Backfills", "table_rows", "furrow", "backfill"),
                _model(request, "Attempts", "replay", "furrow", "attempt"),
                _model(request, "Log lines", "notes", "furrow", "logline"),
                _model(request, "Events", "campaign", "furrow", "event"),
                _model(request, "Audit log", "policy", "furrow", "auditentry"),
            ],
        ),
        (
            "System",
            [
                _model(request, "Queues", "low_priority", "furrow", "queue"),
                _model(request, "Workers", "engineering", "furrow", "worker"),
                _model(request, "Canaries", "flutter_dash", "furrow", "canary"),
                _model(request, "Dispatcher", "hub", "furrow", "leader"),
                _model(request, "Locks", "lock", "furrow", "lock"),
                _model(request, "Drift", "difference", "furrow", "drift"),
                _model(request, "Bridges", "cable", "furrow", "bridgereader"),
                _model(request, "API tokens", "key", "furrow", "apitoken"),
                _model(request, "Webhooks", "webhook", "furrow", "webhook"),
                _model(request, "Dead messages", "unsubscribe", "furrow", "deadmessage"),
                *_flower(request),
            ],
        ),
        (
            "Celery",
            [
                _model(request, "Celery tasks", "visibility", "furrow", "watchedtask"),
                _model(request, "Celery calls", "mail", "furrow", "watchedcall"),
                *_of_others(request, "Task results", "task_alt", "django_celery_results", "taskresult"),
                *_of_others(request, "Group results", "stacks", "django_celery_results", "groupresult"),
            ],
        ),
        (
            "Accounts",
            [
                *_of_others(request, "Users", "person", user.app_label, user.model_name or ""),
                *_of_others(request, "Groups", "group", "auth", "group"),
            ],
        ),
    ]
    return [
        {"title": title, "separator": position > 0, "items": allowed}
        for position, (title, items) in enumerate(groups)
        if (allowed := [item for item in items if item.pop("allowed")])
    ]


def _item(
    request: HttpRequest,
    title: str,
    icon: str,
    link: str,
    permission: str | bool,
    *,
    active: bool | None = None,
    exact: bool = False,
) -> dict[str, Any]:
    here = request.path == link if exact else request.path.startswith(link)
    allowed = permission if isinstance(permission, bool) else request.user.has_perm(permission)
    return {"title": title, "icon": icon, "link": link, "active": here if active is None else active, "allowed": allowed}


def _model(request: HttpRequest, title: str, icon: str, app: str, model: str) -> dict[str, Any]:
    return _item(request, title, icon, reverse(f"admin:{app}_{model}_changelist"), f"{app}.view_{model}")


def _approvals(request: HttpRequest) -> dict[str, Any]:
    """With how many wait for this user; it leads to these, if there are any."""
    link, waiting = reverse("admin:furrow_approval_changelist"), count_for(request.user)
    allowed = waiting > 0 or may_see_approvals(request.user)
    item = _item(request, "Approvals", "approval", link, allowed)
    return item | ({"link": f"{link}?show=mine", "badge": waiting} if waiting else {})


def _of_others(request: HttpRequest, *names: str) -> list[dict[str, Any]]:
    """What is not Furrow's: the project may have it, and show it."""
    try:
        return [_model(request, *names)]
    except NoReverseMatch:
        return []


def _flower(request: HttpRequest) -> list[dict[str, Any]]:
    if not conf().flower_url:
        return []
    return [_item(request, "Flower", "local_florist", reverse("flower"), "furrow.view_flower")]
