"""An argument that is a file: uploaded by the form, or an earlier job's, of which the new job gets a copy."""

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from django.core import signing
from django.core.exceptions import ValidationError
from django.core.files.uploadedfile import UploadedFile
from django.forms import ClearableFileInput
from django.template.defaultfilters import filesizeformat

from apps.jobs import uploads
from apps.jobs.admin.fields import OMIT, ArgumentField
from apps.jobs.conf import conf
from apps.jobs.hints import File

_signer = signing.Signer(salt="furrow.earlier-file")


@dataclass(frozen=True)
class EarlierFile:
    """The name in the storage of a file that an earlier job has."""

    name: str


class FileWidget(ClearableFileInput):
    """A file to choose; below it the earlier job's, whose name travels signed, so that nobody can name another."""

    template_name = "admin/jobs/submit/file.html"

    def value_from_datadict(self, data: Any, files: Any, name: str) -> Any:
        if (file := files.get(name)) is not None:
            return file
        try:
            return EarlierFile(_signer.unsign(data.get(f"{name}.earlier", "")))
        except signing.BadSignature:
            return None

    def value_omitted_from_data(self, data: Any, files: Any, name: str) -> bool:
        return name not in files and f"{name}.earlier" not in data

    def get_context(self, name: str, value: Any, attrs: Any) -> dict[str, Any]:
        context = super().get_context(name, None, attrs)
        if isinstance(value, EarlierFile):
            context["widget"] |= {"earlier": _signer.sign(value.name), "earlier_name": PurePosixPath(value.name).name}
        return context


class FileField(ArgumentField):
    """A file. The value is an ``UploadedFile`` or an ``EarlierFile``; the form makes a name in the storage of it."""

    kind_of_input = "file"

    def __init__(self, hint: File, **options: Any) -> None:
        self.max_bytes = hint.max_bytes or conf().max_upload_bytes
        super().__init__(**options)
        self.help_text = ""

    def make_widget(self) -> Any:
        return FileWidget({"class": "fw-file"})

    def shown(self, value: Any) -> Any:
        if isinstance(value, str) and uploads.is_upload(value):
            self.widget.attrs.pop("required", None)
            return EarlierFile(value)
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
