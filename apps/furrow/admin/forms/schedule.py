"""The form of a schedule: kind and arguments, when it comes, and what happens when it was missed or its job lasts."""

import json
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from furrow.actions.permissions import may_submit
from furrow.admin import theme
from furrow.errors import FurrowError, SubmitError
from furrow.kinds.kind import BUILT_IN, all_kinds, find_kind
from furrow.kinds.secret import MASK, masked
from furrow.models import Schedule
from furrow.recurrence import RecurrenceError, recurrence, zone_of
from furrow.schedule import LONGEST_JITTER, LONGEST_WINDOW
from furrow.schedules.rows import check_options, options_of, place, stored, usual_timezone
from furrow.schedules.sync import LIVE, WHEN, plan_anew
from furrow.statements import clock

_CATCH_UP = {"one": "one job for all of them", "all": "a job for each", "none": "no job"}
_OVERLAP = {
    "allow": "submit the next beside it",
    "skip": "skip the time",
    "queue": "queue the next behind it",
    "cancel": "cancel it for the next",
}

_TEXTS = {
    "timing": "Cron (0 3 * * *, with seconds 30 0 3 * * *), @hourly, @daily, @every 90s, or @at 2030-01-31T18:00.",
    "timezone": "Of its hours, such as Europe/Berlin.",
    "catch_up_window": "Seconds; what was missed by more gets no job.",
    "jitter": "Seconds. It submits up to so much later, always the same.",
    "starts_at": "No time before. Intervals count from it.",
    "ends_at": "No time after.",
}


class ScheduleForm(forms.ModelForm):  # type: ignore[type-arg]
    """Of schedules that people make; the code changes its own."""

    user: Any = None

    arguments = forms.CharField(
        required=False,
        widget=theme.Textarea({"rows": 4, "class": "fw-code", "spellcheck": "false", "placeholder": "{}"}),
        help_text="A JSON object of the kind's arguments by name. Dots stand for secrets, which stay as they are.",
    )
    queue = forms.CharField(required=False, widget=theme.TextInput(), help_text="Empty: the kind's own.")
    priority = forms.IntegerField(
        required=False, widget=theme.NumberInput(), help_text="0 goes first, 9 last. Empty: the kind's own."
    )

    class Meta:
        model = Schedule
        fields = (
            "name",
            "kind",
            "timing",
            "timezone",
            "catch_up",
            "catch_up_window",
            "overlap",
            "jitter",
            "starts_at",
            "ends_at",
        )

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        offered = [kind for kind in all_kinds() if not kind.name.startswith(BUILT_IN)]
        names = [kind.name for kind in offered if self.user is None or may_submit(self.user, kind)]
        mine = [self.instance.kind] if self.instance.kind and self.instance.kind not in names else []
        chosen = {
            "kind": self._choice("Kind", {name: name for name in [*mine, *names]}, ""),
            "catch_up": self._choice("Missed times", _CATCH_UP, "Of times missed by more than a minute."),
            "overlap": self._choice("While its last job has not ended", _OVERLAP, ""),
        }
        for name in self.fields:  # none for who may only look
            self.fields[name] = chosen.get(name, self.fields[name])
            self.fields[name].help_text = _TEXTS.get(name, self.fields[name].help_text)
        for name in ("catch_up_window", "jitter"):
            if isinstance(seconds := self.initial.get(name), float) and seconds.is_integer():
                self.initial[name] = int(seconds)
        if self.instance.pk:
            self.initial.update({name: self.instance.options.get(name) for name in ("queue", "priority")})
            self.initial["arguments"] = json.dumps(masked(self.instance.arguments), indent=2, ensure_ascii=False)
        else:
            self.initial.setdefault("timezone", usual_timezone())

    def _choice(self, label: str, words: dict[str, str], text: str) -> forms.ChoiceField:
        return forms.ChoiceField(label=label, choices=list(words.items()), widget=theme.Select(), help_text=text)

    def clean_timezone(self) -> str:
        """One that there is."""
        name = str(self.cleaned_data["timezone"]).strip()
        try:
            zone_of(name)
        except RecurrenceError as error:
            raise ValidationError(str(error)) from None
        return name

    def clean_kind(self) -> str:
        """One that this user may submit."""
        kind = find_kind(self.cleaned_data["kind"])
        if kind is None:
            raise ValidationError("There is no such kind any more.")
        return kind.name

    def clean_arguments(self) -> dict[str, Any]:
        """A JSON object; what is masked in it is what the row has."""
        text = str(self.cleaned_data["arguments"]).strip() or "{}"
        try:
            given = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ValidationError(f"This is not JSON: {error}.") from None
        if not isinstance(given, dict):
            raise ValidationError('It must be a JSON object, such as {"days": 1}.')
        return {name: self.instance.arguments.get(name) if value == MASK else value for name, value in given.items()}

    def clean(self) -> dict[str, Any]:
        """The parts fit each other."""
        given: dict[str, Any] = super().clean() or {}
        if given.get("timing") and given.get("timezone"):
            try:
                recurrence(given["timing"], given["timezone"], given.get("starts_at"))
            except RecurrenceError as error:
                self.add_error("timing", str(error))
        kind = find_kind(given.get("kind") or "")
        if kind is not None and "arguments" in given:
            try:
                given["arguments"] = stored(kind, given["arguments"])
            except SubmitError as error:
                self.add_error("arguments", [f"{name}: {text}" for name, text in error.fields.items()])
            try:
                check_options(kind, self._options())
            except SubmitError as error:
                for name, text in error.fields.items():
                    self.add_error(name if name in self.fields else None, text)
            except FurrowError as error:
                self.add_error(None, str(error))
        if given.get("starts_at") and given.get("ends_at") and given["ends_at"] <= given["starts_at"]:
            self.add_error("ends_at", "It must be after the start.")
        for name, most in (("catch_up_window", LONGEST_WINDOW), ("jitter", LONGEST_JITTER)):
            if given.get(name) is not None and not 0 <= given[name] <= most:
                self.add_error(name, f"It must be from 0 to {most:,} seconds.")
        return given

    def _options(self) -> dict[str, Any]:
        options = {**self.instance.options, **{name: self.cleaned_data.get(name) for name in ("queue", "priority")}}
        return {name: value for name, value in options.items() if value not in (None, "")}

    def save(self, commit: bool = True) -> Any:
        """With its next time."""
        row = self.instance
        row.arguments, row.options = self.cleaned_data["arguments"], self._options()
        row.held, row.changed_at = "", clock.now()
        row.submitted_by_id = getattr(self.user, "pk", None)
        assert options_of(row) is not None
        if row.pk:  # what the dispatcher and other people have done since the form was read
            row.refresh_from_db(fields=LIVE, from_queryset=Schedule.objects.select_for_update())
        if row.pk is None or any(name in self.changed_data for name in WHEN):
            plan_anew(row, row.changed_at)
        else:
            place(row, row.next_at)
        return super().save(commit)
