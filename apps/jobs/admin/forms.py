"""The form that submits a job of one kind: an input for each argument, and the options."""

from collections.abc import Mapping
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils import timezone
from unfold.widgets import UnfoldAdminSelectWidget

from apps.jobs.admin.arguments import argument_fields
from apps.jobs.admin.fields import OMIT, ArgumentField
from apps.jobs.admin.time_fields import MomentField
from apps.jobs.conf import conf
from apps.jobs.errors import SubmitError
from apps.jobs.kinds import Kind
from apps.jobs.models import Job
from apps.jobs.models.job import HIGHEST_PRIORITY, LOWEST_PRIORITY
from apps.jobs.submit import submit

#: Options are told from arguments by a name that no argument can have.
OPTION = "option."


class SubmitForm(forms.Form):
    """Arguments by their own names, options as ``option.queue``, ``option.priority``, ``option.run_at``."""

    def __init__(self, kind: Kind, data: Any = None, *, begin: Mapping[str, Any] | None = None) -> None:
        """``begin``: what the inputs begin with, by name, as JSON values or as texts."""
        super().__init__(data)
        self.kind = kind
        self.fields.update({**argument_fields(kind), **_option_fields(kind)})
        for name, value in (begin or {}).items():
            if name in self.fields:
                field = self.fields[name]
                self.initial[name] = field.shown(value) if isinstance(field, ArgumentField) else value
        if data is not None:
            self._keep_long_texts(data)

    def arguments(self) -> list[forms.BoundField]:
        """The inputs of the arguments."""
        return [self[name] for name in self.kind.arguments.names]

    def options(self) -> list[forms.BoundField]:
        """The inputs of the options."""
        return [self[name] for name in self.fields if name.startswith(OPTION)]

    def submit(self, user: Any) -> Job | None:
        """Submit what was filled in; ``None`` when it was refused, with the reasons at the fields."""
        if not self.is_valid():
            return None
        given = {name: value for name in self.kind.arguments.names if (value := self.cleaned_data[name]) is not OMIT}
        options = {name.removeprefix(OPTION): value for name, value in self.cleaned_data.items() if name.startswith(OPTION)}
        try:
            return submit(
                self.kind,
                given,
                queue=options["queue"] or None,
                priority=int(options["priority"]) if options["priority"] else None,
                run_at=None if options["run_at"] is OMIT else options["run_at"],
                submitted_by=user,
            )
        except SubmitError as error:
            self._show(error)
            return None

    def _show(self, error: SubmitError) -> None:
        for name, text in error.fields.items():
            field = next((known for known in (name, OPTION + name) if known in self.fields), None)
            self.add_error(field, ValidationError(f"{name}: {text}"))

    def _clean_fields(self) -> None:
        """As Django does; a refusal names its field."""
        super()._clean_fields()  # type: ignore[misc]
        for name, errors in self.errors.items():
            shown = name.removeprefix(OPTION)
            errors.data = [ValidationError(f"{shown}: {text}") for text in errors]

    def _keep_long_texts(self, data: Any) -> None:
        """A text with line breaks that was refused comes back in an input that has lines."""
        for name in self.kind.arguments.names:
            field = self.fields[name]
            if isinstance(field, ArgumentField) and isinstance(text := data.get(name), str) and field.kind_of_input == "text":
                field.shown(text)


def _option_fields(kind: Kind) -> dict[str, forms.Field]:
    ends = {HIGHEST_PRIORITY: " (first)", LOWEST_PRIORITY: " (last)"}
    priorities = [
        (str(n), f"{n}{ends.get(n, '')}{', usual for this kind' if n == kind.priority else ''}")
        for n in range(HIGHEST_PRIORITY, LOWEST_PRIORITY + 1)
    ]
    queues = [(queue, queue) for queue in conf().queues]
    zone = timezone.get_current_timezone_name()
    return {
        OPTION + "queue": forms.ChoiceField(
            label="Queue", choices=queues, initial=kind.queue, required=False, widget=UnfoldAdminSelectWidget()
        ),
        OPTION + "priority": forms.ChoiceField(
            label="Priority", choices=priorities, initial=str(kind.priority), required=False, widget=UnfoldAdminSelectWidget()
        ),
        OPTION + "run_at": MomentField(
            label="Run at", needed=False, help_text=f"Not before this time ({zone}). Empty: as soon as possible."
        ),
    }
