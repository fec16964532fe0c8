"""The form that submits a job of one kind: an input for each argument, and the options.

A form carries the id that its job will have, so that a second click and a reload find the job there and submit nothing.
"""

import json
import uuid
from collections.abc import Mapping
from typing import Any

from django import forms
from django.core import signing
from django.core.exceptions import ValidationError
from django.core.files.uploadedfile import UploadedFile
from django.db import Error, router, transaction

from furrow.admin.forms.arguments import argument_fields
from furrow.admin.forms.fields import OMIT, ArgumentField
from furrow.admin.forms.file_field import EarlierFile, FileField
from furrow.admin.forms.options import OPTION, chosen_options, option_fields
from furrow.admin.forms.row_field import RowField, missing_rows
from furrow.errors import SubmitError
from furrow.kinds.kind import Kind
from furrow.models import Job
from furrow.models.job import new_id
from furrow.submission import uploads
from furrow.submission.submit import submit

#: The hidden input with the id of the job that the form will make.
FORM_ID = "form.id"


class SubmitForm(forms.Form):
    """Arguments by their own names, options as ``option.queue``, ``option.priority``, ``option.run_at``."""

    def __init__(
        self,
        kind: Kind,
        user: Any,
        data: Any = None,
        files: Any = None,
        *,
        begin: Mapping[str, Any] | None = None,
        earlier: Job | None = None,
    ) -> None:
        """
        Args:
            begin: what the inputs begin with, by name, as JSON values or as texts.
            earlier: the job of this kind that the new one repeats, which this user may see now; its files may be used again.
        """
        super().__init__(data, files)
        self.kind, self.user = kind, user
        self.fields.update({**argument_fields(kind), **option_fields(kind)})
        for name, field in self.fields.items():
            if isinstance(field, FileField):
                field.offer(earlier, name)
        for name, value in (begin or {}).items():
            if name in self.fields and name not in kind.arguments.secret:
                field = self.fields[name]
                self.initial[name] = field.shown(value) if isinstance(field, ArgumentField) else value
        if data is not None:
            self._keep_long_texts(data)
        for name, field in self.fields.items():
            if isinstance(field, RowField):
                field.offer(user, self[name].value())
        self._signer = signing.Signer(salt=f"furrow.form {kind.name} {user.pk}")
        self.id = self._given_id(data)
        #: It had been submitted before: a double click, or a reload.
        self.was_submitted = False
        #: The kind is unique, and there was such a job already.
        self.was_there = False
        #: The job that it repeats.
        self.again_of = earlier.pk if earlier else None

    def arguments(self) -> list[forms.BoundField]:
        """The inputs of the arguments."""
        return [self[name] for name in self.kind.arguments.names]

    def options(self) -> list[forms.BoundField]:
        """The inputs of the options."""
        return [self[name] for name in self.fields if name.startswith(OPTION)]

    def _given_id(self, data: Any) -> uuid.UUID:
        """The id that a posted form carries; a fresh one where it carries none that this user was given for this kind."""
        try:
            return uuid.UUID(self._signer.unsign((data or {}).get(FORM_ID, "")))
        except (signing.BadSignature, ValueError):
            return new_id()

    def signed_id(self) -> str:
        """What the hidden input carries."""
        return self._signer.sign(str(self.id))

    def submit(self) -> Job | None:
        """Submit what was filled in; ``None`` when it was refused, with the reasons at the fields."""
        if not self.is_valid():
            return None
        given = {name: value for name in self.kind.arguments.names if (value := self.cleaned_data[name]) is not OMIT}
        try:
            return self._submit(given)
        except SubmitError as error:
            self._show(error.fields)
            return None

    def _submit(self, given: dict[str, Any]) -> Job | None:
        plain = {name: _stand_in(value) for name, value in given.items()}
        checked = json.loads(self.kind.arguments.to_json(plain))
        if wrong := missing_rows(self.kind, self.user, [checked])[0]:
            self._show(wrong)
            return None
        if earlier := self._submitted_before(checked):
            return earlier
        kept: dict[str, str] = {}
        try:
            for name, value in given.items():
                if isinstance(value, UploadedFile | EarlierFile):
                    kept[name] = self._keep(name, value)
            options = chosen_options(self.cleaned_data)
            with transaction.atomic(using=router.db_for_write(Job)):
                job = submit(
                    self.kind, {**plain, **kept}, id=self.id, submitted_by=self.user, again_of=self.again_of, **options
                )
                if job.existed:
                    uploads.adopt(job, kept)
        except BaseException as error:
            if not isinstance(error, Error):  # it may have been committed: what is left of it the sweep deletes
                uploads.discard(kept.values())
            if isinstance(error, SubmitError) and "id" in error.fields and (earlier := self._submitted_before(checked)):
                return earlier
            raise
        if job.pk != self.id:  # one of a unique kind that was there already
            uploads.discard(kept.values())
            self.was_there = True
        return job

    def _keep(self, name: str, file: "UploadedFile[Any] | EarlierFile") -> str:
        """The file's name in the storage."""
        if isinstance(file, UploadedFile):
            return uploads.save(self.id, file, file.name or "")
        try:
            return uploads.copy(self.id, file.name)
        except FileNotFoundError:
            raise SubmitError(self.kind.name, {name: "the earlier job's file is gone: choose one"}) from None

    def _submitted_before(self, checked: Mapping[str, Any]) -> Job | None:
        """The job that this form made; if other arguments were filled in since (the browser's *back*), it makes another."""
        earlier = Job.objects.filter(pk=self.id).first()
        if earlier is None:
            return None
        files = [name for name, field in self.fields.items() if isinstance(field, FileField)]
        if earlier.kind == self.kind.name and _without(earlier.arguments, files) == _without(checked, files):
            self.was_submitted = True
            return earlier
        self.id = new_id()
        return None

    def _show(self, wrong: Mapping[str, str]) -> None:
        for name, text in wrong.items():
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


def _stand_in(value: Any) -> Any:
    """What stands for a file while the arguments are validated: a name as it will be."""
    return f"{uploads.FOLDER}/{uuid.UUID(int=0)}/file" if isinstance(value, UploadedFile | EarlierFile) else value


def _without(arguments: Any, names: list[str]) -> Any:
    return {name: value for name, value in arguments.items() if name not in names} if isinstance(arguments, dict) else arguments
