"""Submit many jobs of one kind from a CSV table: upload, check, submit all.

Between the look and the submit the table lies in Django's storage, under the id that the first job and the batch will have;
so a second click finds the batch there, and submits nothing.
"""

import json
import uuid
from typing import Any

from django import forms
from django.core import signing
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

from furrow.actions.audit import audit
from furrow.admin import theme
from furrow.admin.forms.arguments import argument_fields
from furrow.admin.forms.fields import LONG
from furrow.admin.forms.file_field import FileField, FileWidget
from furrow.admin.forms.forms import FORM_ID
from furrow.admin.forms.options import OPTION, chosen_options, option_fields
from furrow.admin.forms.table import MAX_BYTES, MAX_ROWS, Table, read_csv
from furrow.errors import OptionError, SubmitError
from furrow.kinds.kind import Kind
from furrow.kinds.secret import masked
from furrow.models import Job
from furrow.models.audit_entry import Origin
from furrow.models.database import atomic
from furrow.models.job import new_id
from furrow.submission import uploads
from furrow.submission.submit import submit, submit_many

#: Rows of a good table, and problems of a bad one, that the page shows.
SHOWN_ROWS, SHOWN_PROBLEMS = 12, 100
FILE = "rows.csv"


class TableForm(forms.Form):
    """A table as a file or as text, and the options of all its jobs. Its steps are :meth:`look` and :meth:`submit`."""

    def __init__(self, kind: Kind, user: Any, data: Any = None, files: Any = None) -> None:
        super().__init__(data, files)
        self.kind, self.user = kind, user
        names = table_columns(kind)
        sample = ",".join(names) + "\n" + ",".join("…" for _ in names)
        self.fields["file"] = forms.FileField(
            label="CSV file",
            required=False,
            allow_empty_file=True,
            help_text=f"UTF-8 (or UTF-16 with a mark), at most {MAX_ROWS:,} rows and {MAX_BYTES // 1024**2} MiB. "
            "The first line has the arguments' names.",
            widget=FileWidget({"class": "fw-file", "accept": ".csv,.tsv,.txt,text/csv"}),
        )
        self.fields["text"] = forms.CharField(
            label="or paste it here",
            required=False,
            strip=False,
            widget=theme.Textarea({"rows": 8, "class": "fw-code", "spellcheck": "false", "placeholder": sample}),
            help_text="Separated by commas, semicolons or tabs. Lists and objects are JSON. An empty cell: the default.",
        )
        self.fields["file"].kind_of_input, self.fields["text"].kind_of_input = "file", "json"  # type: ignore[attr-defined]
        self.fields.update(option_fields(kind))
        self.id = new_id()
        self.table: Table | None = None
        #: It had been submitted before: a double click, or a reload.
        self.was_submitted = False

    def given(self) -> list[forms.BoundField]:
        """The inputs of the table."""
        return [self["file"], self["text"]]

    def options(self) -> list[forms.BoundField]:
        """The inputs of the options."""
        return [self[name] for name in self.fields if name.startswith(OPTION)]

    def look(self) -> bool:
        """Read and check the table, and keep a good one for :meth:`submit`; ``table`` has what is wrong with a bad one."""
        if not self.is_valid():
            return False
        file, text = self.cleaned_data["file"], self.cleaned_data["text"]
        if bool(file) == bool(text):
            self.add_error(
                "text", "give the table either as a file or as text" if file else "there is no table: choose a file, or paste"
            )
            return False
        content = file.read(MAX_BYTES + 1) if file else text.encode(errors="surrogatepass")
        self.table = read_csv(self.kind, content, self.user)
        if self.table.problems:
            if self.kind.arguments.secret.intersection(self.table.columns):  # what was pasted is not sent back
                self.data = {name: "" if name == "text" else self.data.get(name, "") for name in self.data}
            return False
        uploads.save(self.id, ContentFile(content), FILE)
        return True

    def submit(self) -> uuid.UUID | None:
        """Submit the table that was looked at; returns the batch, ``None`` when that is not possible (any more)."""
        if not self.is_valid():
            return None
        try:
            self.id = uuid.UUID(self._signer.unsign(self.data.get(FORM_ID, "")))
        except (signing.BadSignature, ValueError):
            return None
        if Job.objects.filter(batch=self.id).exists():
            self.was_submitted = True
            return self.id
        try:
            with default_storage.open(self._file) as file:
                self.table = read_csv(self.kind, file.read(), self.user)
        except FileNotFoundError:
            return None
        return None if self.table.problems else self._submit(self.table.given)

    def _submit(self, rows: list[dict[str, Any]]) -> uuid.UUID | None:
        options = {**chosen_options(self.cleaned_data), "batch": self.id, "submitted_by": self.user}
        try:
            with atomic():
                submit(self.kind, rows[0], id=self.id, **options)
                submit_many(self.kind, rows[1:], **options)
                audit("submit", by=self.user, origin=Origin.ADMIN, target=f"{self.kind.name}, batch {self.id}", count=len(rows))
        except SubmitError as error:
            if isinstance(error, OptionError) and "id" in error.fields:  # the other click was faster
                self.was_submitted = True
                return self.id
            self.add_error(None, str(error))
            return None
        default_storage.delete(self._file)
        return self.id

    @property
    def _signer(self) -> signing.Signer:
        """Of this user and kind: nobody submits a table that another looked at."""
        return signing.Signer(salt=f"furrow.table {self.kind.name} {self.user.pk}")

    @property
    def _file(self) -> str:
        return f"{uploads.FOLDER}/{self.id}/{FILE}"

    # --- What the page shows --------------------------------------------------------------------------------------------

    def signed_id(self) -> str:
        """What the hidden input of the second step carries."""
        return self._signer.sign(str(self.id))

    def chosen(self) -> list[tuple[str, str]]:
        """The options as they were chosen, by the names of their inputs, for the second step."""
        return [(field.html_name, str(field.value() or "")) for field in self.options()]

    def chosen_words(self) -> list[tuple[str, str]]:
        """The options that were chosen, by their labels."""
        return [(str(field.label), str(field.value())) for field in self.options() if field.value()]

    def preview(self) -> dict[str, Any]:
        """The first rows: columns, and for each row its line and the texts of its cells."""
        assert self.table is not None
        names = list(self.kind.arguments.names)
        rows = zip(self.table.lines[:SHOWN_ROWS], self.table.rows[:SHOWN_ROWS], strict=True)
        return {
            "columns": names,
            "rows": [(line, [_cell(masked(row.get(name))) for name in names]) for line, row in rows],
            "count": len(self.table.rows),
            "more": max(0, len(self.table.rows) - SHOWN_ROWS),
        }

    def problems(self) -> dict[str, Any]:
        """The first problems, and how many there are."""
        found = self.table.problems if self.table else []
        return {"shown": found[:SHOWN_PROBLEMS], "count": len(found), "more": max(0, len(found) - SHOWN_PROBLEMS)}


def table_columns(kind: Kind) -> dict[str, bool]:
    """The columns that a table on a page may have, each with whether it must have it."""
    fields = argument_fields(kind)
    shown = {name: field for name, field in fields.items() if name not in kind.arguments.secret}
    return {name: field.must_be_filled for name, field in shown.items() if not isinstance(field, FileField)}


def takes_tables(kind: Kind) -> bool:
    """Jobs of this kind can come from a table: nothing that it needs is a file or secret."""
    fields = argument_fields(kind)
    return all(name in table_columns(kind) for name, field in fields.items() if field.must_be_filled) and bool(fields)


def _cell(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= LONG else text[: LONG - 1] + "…"
