"""The options of a submit as form fields: queue, priority, when."""

from collections.abc import Mapping
from typing import Any

from django import forms
from django.utils import timezone

from furrow.admin import theme
from furrow.admin.forms.fields import OMIT
from furrow.admin.forms.time_fields import MomentField
from furrow.kinds.kind import Kind
from furrow.models.job import HIGHEST_PRIORITY, LOWEST_PRIORITY

#: Options are told from arguments by a name that no argument can have.
OPTION = "option."


def option_fields(kind: Kind) -> dict[str, forms.Field]:
    """``option.queue``, ``option.priority``, ``option.run_at``, beginning with what is usual for the kind."""
    ends = {HIGHEST_PRIORITY: " (first)", LOWEST_PRIORITY: " (last)"}
    priorities = [
        (str(n), f"{n}{ends.get(n, '')}{', usual for this kind' if n == kind.priority else ''}")
        for n in range(HIGHEST_PRIORITY, LOWEST_PRIORITY + 1)
    ]
    queues = [(queue, queue) for queue in kind.queues]
    zone = timezone.get_current_timezone_name()
    return {
        OPTION + "queue": forms.ChoiceField(
            label="Queue", choices=queues, initial=kind.queue, required=False, widget=theme.Select()
        ),
        OPTION + "priority": forms.ChoiceField(
            label="Priority", choices=priorities, initial=str(kind.priority), required=False, widget=theme.Select()
        ),
        OPTION + "run_at": MomentField(
            label="Run at", needed=False, help_text=f"Not before this time ({zone}). Empty: as soon as possible."
        ),
    }


def chosen_options(cleaned: Mapping[str, Any]) -> dict[str, Any]:
    """What was chosen, as :func:`furrow.submission.submit.submit` takes it."""
    queue, priority, run_at = (cleaned[OPTION + name] for name in ("queue", "priority", "run_at"))
    return {
        "queue": queue or None,
        "priority": int(priority) if priority else None,
        "run_at": None if run_at is OMIT else run_at,
    }
