"""A file argument: an upload, or a copy of an earlier job's file."""

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from django.core.exceptions import ValidationError
from django.core.files.uploadedfile import UploadedFile
from django.forms import ClearableFileInput
from django.template.defaultfilters import filesizeformat

from furrow.admin.forms.fields import OMIT, ArgumentField
from furrow.conf import conf
from furrow.kinds.hints import File
from furrow.models import Job
from furrow.submission import uploads


@dataclass(frozen=True)
class EarlierFile:
    """The name in the storage of a file that an earlier job has."""

    name: str


class FileWidget(ClearableFileInput):
    """A file to choose; below it the earlier job's. The browser says only that it is wanted: which file that is, the
    earlier job's row says, so that nobody can name another."""

    template_name = "admin/furrow/submit/file.html"
    earlier: EarlierFile | None = None

    def value_from_datadict(self, data: Any, files: Any, name: str) -> Any:
        if (file := files.get(name)) is not None:
            return file
        return self.earlier if f"{name}.earlier" in data else None

    def value_omitted_from_data(self, data: Any, files: Any, name: str) -> bool:
        return name not in files and f"{name}.earlier" not in data

    def get_context(self, name: str, value: Any, attrs: Any) -> dict[str, Any]:
        context = super().get_context(name, None, attrs)
        if self.earlier:
            context["widget"] |= {"earlier": "yes", "earlier_name": PurePosixPath(self.earlier.name).name}
        return context


class FileField(ArgumentField):
    """A file. The value is an ``UploadedFile`` or an ``EarlierFile``; the form makes a name in the storage of it."""

    kind_of_input = "file"

    def __init__(self, hint: File, **options: Any) -> None:
        self.max_bytes = min(hint.max_bytes or conf().max_upload_bytes, conf().max_request_bytes)
        super().__init__(**options)
        self.help_text = ""

    def make_widget(self) -> Any:
        return FileWidget({"class": "fw-file"})

    def offer(self, job: Job | None, name: str) -> None:
        """The file that this job has under this argument's name may be used again."""
        given = job.arguments.get(name) if job is not None and isinstance(job.arguments, dict) else None
        if isinstance(given, str) and uploads.is_upload(given):
            self.widget.attrs.pop("required", None)
            self.widget.earlier = EarlierFile(given)

    def shown(self, value: Any) -> Any:
        return None

    def clean(self, value: Any) -> Any:
        if isinstance(value, EarlierFile):
            return value
        if not isinstance(value, UploadedFile):
            return None if self.nullable else OMIT
        if not value.size:
            raise ValidationError(f"the file {uploads.safe_name(value.name or '')} is empty: choose another one")
        if value.size > self.max_bytes:
            has, may = filesizeformat(value.size), filesizeformat(self.max_bytes)
            raise ValidationError(f"the file is too large: it has {has}, the limit is {may}".replace("\xa0", " "))
        return value
