"""The filters of the lists. None of them asks the database for its choices."""

import datetime as dt
import uuid
from collections.abc import Iterator
from typing import Any

from django import forms
from django.contrib.admin import SimpleListFilter
from django.contrib.auth import get_user_model
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from apps.jobs.conf import conf
from apps.jobs.kinds import all_kinds
from apps.jobs.states import FINAL, Outcome, State

_AGES = {"1h": ("Last hour", 1), "24h": ("Last 24 hours", 24), "7d": ("Last 7 days", 7 * 24), "30d": ("Last 30 days", 30 * 24)}
_LEVELS = {"10": "debug", "20": "info", "30": "warning", "40": "error", "50": "critical"}


class _Filter(SimpleListFilter):
    """A filter that is a form field: a choice, or a text when there are no choices."""

    template = "admin/jobs/filter.html"
    help_text = ""

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return []

    def has_output(self) -> bool:
        return True

    def choices(self, changelist: Any) -> Iterator[Any]:
        form = forms.Form({str(self.parameter_name): self.value()})
        field: forms.Field
        if options := self._options():
            field = forms.ChoiceField(choices=[("", "All"), *options], widget=UnfoldAdminSelectWidget())
        else:
            field = forms.CharField(widget=UnfoldAdminTextInputWidget())
        field.label, field.required, field.help_text = str(self.title).capitalize(), False, self.help_text
        form.fields[str(self.parameter_name)] = field
        yield {"form": form}

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
        return queryset.filter(**{str(self.parameter_name): value}) if value else queryset


class StateFilter(_Column):
    """Jobs in a state. Saying of ended jobs that they have ended is redundant, and lets the index of those be used."""

    title, parameter_name = "state", "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(state.value, state.value) for state in State]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        found = super().queryset(request, queryset)
        return found.filter(finished_at__isnull=False) if self.value() in FINAL else found


class OutcomeFilter(_Column):
    title, parameter_name = "outcome", "outcome"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(outcome.value, outcome.value) for outcome in Outcome]


class KindFilter(_Column):
    title, parameter_name = "kind", "kind"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(kind.name, kind.name) for kind in all_kinds()]


class QueueFilter(_Column):
    title, parameter_name = "queue", "queue"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(queue, queue) for queue in conf().queues]


class LevelFilter(_Filter):
    title, parameter_name = "level at least", "level"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return list(_LEVELS.items())

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        level = self.value()
        return queryset.filter(level__gte=int(level)) if level in _LEVELS else queryset


class _IdFilter(_Filter):
    """Rows whose column holds this UUID; none when the text is no UUID."""

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        text = (self.value() or "").strip()
        if not text:
            return queryset
        try:
            return queryset.filter(**{str(self.parameter_name): uuid.UUID(text)})
        except ValueError:
            return queryset.none()


class BatchFilter(_IdFilter):
    title, parameter_name, help_text = "batch", "batch", "The batch's id."


class JobFilter(_IdFilter):
    title, parameter_name, help_text = "job", "job", "The job's id."


class SubmitterFilter(_Filter):
    """Jobs that this user submitted; by id, so that no join is needed."""

    title, parameter_name, help_text = "submitted by", "by", "A user name."

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        name = (self.value() or "").strip()
        if not name:
            return queryset
        users = get_user_model()
        user = users.objects.filter(**{users.USERNAME_FIELD: name}).first()
        return queryset.filter(submitted_by=user.pk) if user else queryset.none()


class CreatedFilter(_Filter):
    """Jobs created since a time. The id begins with the time of its making, so that the primary key bounds the search."""

    title, parameter_name = "created", "created"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(key, text) for key, (text, _hours) in _AGES.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        chosen = _AGES.get(self.value() or "")
        if chosen is None:
            return queryset
        since = timezone.now() - dt.timedelta(hours=chosen[1])
        # An hour of slack for clocks that disagree.
        first = uuid.UUID(int=int((since.timestamp() - 3600) * 1000) << 80)
        return queryset.filter(Q(pk__gte=first), created_at__gte=since)


class TaskStatusFilter(_Column):
    """The status of a plain Celery task."""

    title, parameter_name = "status", "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(status, status.lower()) for status in ("PENDING", "STARTED", "RETRY", "SUCCESS", "FAILURE", "REVOKED")]
