"""E-mails about approvals. They are sent by a job of their own: a mail server that is away holds up no approval."""

import logging
import uuid
from collections.abc import Collection
from functools import partial
from smtplib import SMTPException

from django.contrib.auth import get_user_model
from django.core.mail import send_mail
from django.urls import NoReverseMatch, reverse

from furrow.conf import conf
from furrow.context import current_job
from furrow.kinds.retry import RetryPolicy
from furrow.models import Approval
from furrow.submission.job import job
from furrow.submission.submit import submit

#: Where Django's users and their permissions are.
_USERS = "django.contrib.auth.backends.ModelBackend"


def tell(approval: Approval, notify: Collection[str]) -> None:
    """Submit the job that tells these, in the caller's transaction."""
    if notify:
        submit(send_mails, {"approval": approval.pk, "notify": list(notify)})


@job(name="furrow.approval_mail", retry=RetryPolicy(max_attempts=25), timeout=600)
def send_mails(approval: uuid.UUID, notify: list[str]) -> int:
    """Send each of them one e-mail about an approval, unless it has been decided. Approvals have jobs of this kind by
    themselves.

    Args:
        approval: its id.
        notify: addresses, permissions, and groups as ``group:name``.
    """
    row = Approval.objects.filter(pk=approval, decided_at=None).first()
    if row is None:
        return 0
    addresses: list[str] = current_job.step("to whom", partial(_addresses, row, notify))
    refused: list[Exception] = []
    for address in addresses:
        try:
            current_job.step(f"mail to {address}"[:200], partial(_send, row, address))
        except Exception as error:
            if isinstance(error, OSError) and not isinstance(error, SMTPException):  # the server is away
                raise
            # The others get theirs all the same.
            current_job.log("No mail to %s: %s", address, error, level=logging.WARNING)
            refused.append(error)
    if refused:
        raise refused[0]
    return len(addresses)


def _addresses(row: Approval, notify: Collection[str]) -> list[str]:
    """Without those who may not decide because they asked."""
    users = get_user_model()._default_manager.filter(is_active=True)
    asked_by = row.asked_by_id if row.second_person else None
    found: set[str] = set()
    for one in notify:
        if "@" in one and not one.startswith("group:"):
            found.add(one)
            continue
        if one.startswith("group:"):
            of_these = users.filter(groups__name=one.removeprefix("group:"))
        else:
            of_these = get_user_model()._default_manager.with_perm(one, backend=_USERS, include_superusers=False)
        found |= {user.email for user in of_these if user.email and user.pk != asked_by}
    return sorted(found)


def _send(row: Approval, address: str) -> None:
    try:
        page = conf().site_url.rstrip("/") + reverse("admin:furrow_approval_change", args=[row.pk])
    except NoReverseMatch:
        page = ""
    lines = [row.description, f"Decide here, after your login: {page}" if page else f"Its id is {row.pk}."]
    if row.timeout_at:
        lines.append(f"It can be decided until {row.timeout_at:%Y-%m-%d %H:%M %Z}.")
    lines.append("This mail decides nothing: that takes your login and a button on the page.")
    subject = " ".join(f"Approval: {row.title}".split())
    send_mail(subject, "\n\n".join(line for line in lines if line), None, [address])
