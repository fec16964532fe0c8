"""Filters of the lists. None queries the database for its choices."""

import datetime as dt
import uuid
from collections.abc import Iterator
from typing import Any

from django import forms
from django.contrib.admin import SimpleListFilter
from django.db.models import QuerySet
from django.http import HttpRequest

from furrow.actions.selection import AGES, select
from furrow.admin import theme
from furrow.approvals.deciding import SHOWN
from furrow.approvals.deciding import select as select_approvals
from furrow.errors import InputError, did_you_mean
from furrow.events.subscribers import all_bridges
from furrow.kinds.kind import all_kinds, queues_in_use
from furrow.models.audit_entry import Origin
from furrow.statements import clock
from furrow.states import Outcome, State, WorkflowState
from furrow.web.parameters import SAID, note

#: Levels of logging, by the least that is shown.
LEVELS = {"10": "debug", "20": "info", "30": "warning", "40": "error", "50": "critical"}


class _Filter(SimpleListFilter):
    """A filter that is a form field: a choice, or a text when there are no choices."""

    template = theme.FILTER
    help_text = ""
    input_type = "text"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return []

    def has_output(self) -> bool:
        return True

    def known(self, request: HttpRequest) -> bool:
        """The value is one of the choices; a note says so when it is not."""
        value, choices = self.value() or "", {str(key) for key, _text in self.lookup_choices}
        if value and value not in choices:
            note(
                request, str(self.parameter_name), f"{value[:SAID]!r} means nothing here; {did_you_mean(value[:SAID], choices)}"
            )
        return value in choices

    def choices(self, changelist: Any) -> Iterator[Any]:
        form = forms.Form({str(self.parameter_name): self.value()})
        field: forms.Field
        if options := self._options():
            field = forms.ChoiceField(choices=[("", "All"), *options], widget=theme.Select())
        else:
            field = forms.CharField(widget=theme.TextInput({"type": self.input_type}))
        field.label, field.required, field.help_text = str(self.title).capitalize(), False, self.help_text
        form.fields[str(self.parameter_name)] = field
        others = {name: value for name, value in changelist.params.items() if name != self.parameter_name}
        yield {"form": form, "others": others}

    def _options(self) -> list[tuple[str, str]]:
        options = [(str(key), str(text)) for key, text in self.lookup_choices]
        chosen = self.value()
        if options and chosen and chosen not in dict(options):
            options.append((chosen, chosen))
        return options


class _Column(_Filter):
    """Rows whose column (the parameter's name) has this value."""

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value()
        if not value:
            return queryset
        if self.lookup_choices and not self.known(request):
            return queryset.none()
        return queryset.filter(**{str(self.parameter_name): value})


class _Criterion(_Filter):
    """Jobs that meet a criterion of :mod:`furrow.actions.selection` of the parameter's name."""

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        try:
            return select({str(self.parameter_name): self.value() or ""}, queryset)
        except InputError as error:
            note(request, str(self.parameter_name), "; ".join(error.fields.values()))
            return queryset.none()


class BridgeFilter(_Column):
    title, parameter_name = "bridge", "bridge"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(bridge.queue, bridge.queue) for bridge in all_bridges()]

    def known(self, request: HttpRequest) -> bool:
        """Also a bridge that is no more may have left some."""
        return True


class StateFilter(_Criterion):
    title, parameter_name = "state", "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(state.value, state.value) for state in State]


class WorkflowStateFilter(_Column):
    title, parameter_name = "state", "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(state.value, state.value) for state in WorkflowState]


class PausedFilter(_Filter):
    """Workflows of which nothing more is let go until they are resumed, or the others."""

    title, parameter_name = "paused", "paused"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "paused"), ("no", "not paused")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if not self.value():
            return queryset
        return queryset.filter(paused_at__isnull=self.value() == "no") if self.known(request) else queryset.none()


class ApprovalFilter(_Filter):
    """Approvals that the reader may decide, those that anybody may, and the others."""

    title, parameter_name = "show", "show"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(show, text) for show, text in SHOWN.items() if show != "all"]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if not (value := self.value()):
            return queryset
        return select_approvals(value, request.user, queryset) if self.known(request) else queryset.none()


class OutcomeFilter(_Column):
    title, parameter_name = "outcome", "outcome"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(outcome.value, outcome.value) for outcome in Outcome]


class KindFilter(_Criterion):
    title, parameter_name = "kind", "kind"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(kind.name, kind.name) for kind in all_kinds()]


class QueueFilter(_Criterion):
    title, parameter_name = "queue", "queue"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(queue, queue) for queue in queues_in_use()]


class LevelFilter(_Filter):
    title, parameter_name = "level at least", "level"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return list(LEVELS.items())

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        level = self.value()
        if not level:
            return queryset
        return queryset.filter(level__gte=int(level)) if self.known(request) else queryset.none()


class _IdFilter(_Filter):
    """Rows whose column holds this UUID; none when the text is no UUID."""

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        text = (self.value() or "").strip()
        if not text:
            return queryset
        try:
            return queryset.filter(**{str(self.parameter_name): uuid.UUID(text)})
        except ValueError:
            note(request, str(self.parameter_name), f"{text[:SAID]!r} is no id: it must be a UUID")
            return queryset.none()


class BatchFilter(_Criterion):
    title, parameter_name, help_text = "batch", "batch", "The batch's id."


class AgainFilter(_Criterion):
    """Only there when an address asks for it: the link on a job's page."""

    title, parameter_name = "repeats the job", "again_of"

    def has_output(self) -> bool:
        return bool(self.value())


class WorkflowFilter(AgainFilter):
    title, parameter_name, help_text = "workflow", "workflow", "The workflow's id."


class NodeFilter(AgainFilter):
    title, parameter_name, help_text = "node of a workflow", "node", "The node's id."


class FingerprintFilter(AgainFilter):
    title, parameter_name, help_text = "failed alike", "fingerprint", "The fingerprint of an error."


class TagFilter(_Criterion):
    title, parameter_name, help_text = "tags", "tag", "Jobs that have all of these; separate with commas."


class WorkerFilter(_Criterion):
    title, parameter_name, help_text = "worker", "worker", "A worker's node name or id."


class JobFilter(_IdFilter):
    title, parameter_name, help_text = "job", "job", "The job's id."


class SubmitterFilter(_Criterion):
    title, parameter_name, help_text = "submitted by", "by", "A user name."


class CreatedFilter(_Criterion):
    title, parameter_name = "created", "created"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(key, text) for key, (text, _hours) in AGES.items()]


class SinceFilter(_Criterion):
    title, parameter_name, input_type = "created from", "since", "datetime-local"


class UntilFilter(_Criterion):
    title, parameter_name, input_type = "created to", "until", "datetime-local"


class WhoFilter(_Filter):
    """What this person did, by the name at that time."""

    title, parameter_name, help_text = "who", "who", "A user name."

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        name = (self.value() or "").strip()
        return queryset.filter(who=name) if name else queryset


class OriginFilter(_Column):
    title, parameter_name = "from where", "origin"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(origin.value, origin.value) for origin in Origin]


class ActionFilter(_Column):
    title, parameter_name = "action", "action"


class AtFilter(_Filter):
    title, parameter_name, column = "when", "at", "at"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(key, text) for key, (text, _hours) in AGES.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if not self.value():
            return queryset
        if not self.known(request):
            return queryset.none()
        _text, hours = AGES[self.value() or ""]
        return queryset.filter(**{f"{self.column}__gte": clock.now() - dt.timedelta(hours=hours)})


class HappenedFilter(AtFilter):
    column = "created_at"


class NameFilter(_Filter):
    """Events whose name begins so."""

    title, parameter_name, help_text = "name begins with", "name", "Such as order. or job.invoices.send."

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        name = (self.value() or "").strip()
        return queryset.filter(name__startswith=name) if name else queryset


class TaskStatusFilter(_Column):
    """The status of a plain Celery task."""

    title, parameter_name = "status", "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(status, status.lower()) for status in ("PENDING", "STARTED", "RETRY", "SUCCESS", "FAILURE", "REVOKED")]
