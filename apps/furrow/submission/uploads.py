"""Uploaded files of jobs: in Django's default storage, in a folder for each job.

A file is written before its job is inserted. Where that fails the file is deleted at once; what a crash leaves, and the files
of jobs that are gone, :func:`sweep` deletes.
"""

import time
import uuid
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import PurePosixPath
from typing import Any

from django.core.exceptions import SuspiciousFileOperation
from django.core.files import File
from django.core.files.storage import default_storage
from django.utils.text import get_valid_filename

from furrow.models import Job

FOLDER = "furrow"
#: Characters of a file's name that are kept, with its suffix.
LONGEST_NAME = 80
#: A folder younger than this may belong to a job that is about to be inserted.
YOUNG = timedelta(days=1)
#: Folders whose jobs are looked for at once.
AT_ONCE = 500
#: The last millisecond that a datetime can hold.
LAST = 253_402_300_799_000


def save(job_id: uuid.UUID, file: "File[Any]", name: str) -> str:
    """Keep a file for a job; returns its name in the storage."""
    return default_storage.save(f"{FOLDER}/{job_id}/{safe_name(name)}", file)


def copy(job_id: uuid.UUID, name: str) -> str:
    """Keep a copy of an earlier job's file for another one: each is deleted with its own job.

    Raises:
        FileNotFoundError: the earlier job's file is gone.
    """
    with default_storage.open(name) as file:
        return save(job_id, file, PurePosixPath(name).name)


def adopt(job: Job, kept: Mapping[str, str]) -> None:
    """The job was there already: of files that were kept (by argument) for the one that did not come to be, those that replaced
    its own are copied into its folder, and its arguments name the copies. In the transaction of the submit, which keeps the
    job's row."""
    copies = {name: copy(job.pk, file) for name, file in kept.items() if job.arguments.get(name) == file}
    if copies:
        job.arguments |= copies
        job.save(update_fields=["arguments"])


def discard(names: Iterable[str]) -> None:
    """Delete files of a job that did not come to be."""
    for name in names:
        default_storage.delete(name)


def is_upload(name: object) -> bool:
    """This is the name of an uploaded file, and of nothing else in the storage."""
    parts = PurePosixPath(name).parts if isinstance(name, str) else ()
    return len(parts) == 3 and parts[0] == FOLDER and _job_of(parts[1]) is not None and ".." not in parts


def safe_name(name: str) -> str:
    """A file's name without folders, control characters and marks that mislead; never empty, at most ``LONGEST_NAME`` long."""
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    try:
        valid = get_valid_filename("".join(c for c in last if c.isprintable())).lstrip(".-")
    except SuspiciousFileOperation:
        valid = ""
    stem, dot, suffix = valid.rpartition(".")
    if len(valid) > LONGEST_NAME and dot and len(suffix) < 16:
        valid = f"{stem[: LONGEST_NAME - len(suffix) - 1]}.{suffix}"
    return valid[:LONGEST_NAME] or "file"


def old_folders(now: datetime) -> list[str]:
    """The folders of jobs that have been inserted by now, or never will be."""
    try:
        folders, _files = default_storage.listdir(FOLDER)
    except FileNotFoundError:
        return []
    return [folder for folder in folders if (job_id := _job_of(folder)) and _made(job_id) < now - YOUNG]


def sweep(folders: list[str], until: float) -> int:
    """Take folders off this list, one at least, and delete those of jobs that are not there (any more), until this time of the
    monotonic clock; returns how many were deleted. A storage may be far away, and each call take long."""
    swept, kept, known = 0, set[uuid.UUID](), 0
    while folders:
        if not known:
            batch = folders[-AT_ONCE:]
            kept, known = set(Job.objects.filter(pk__in=batch).values_list("pk", flat=True)), len(batch)
        folder, known = folders.pop(), known - 1
        if _job_of(folder) not in kept:
            _delete(f"{FOLDER}/{folder}")
            swept += 1
        if time.monotonic() >= until:
            break
    return swept


def _delete(folder: str) -> None:
    _folders, files = default_storage.listdir(folder)
    for name in files:
        default_storage.delete(f"{folder}/{name}")
    default_storage.delete(folder)


def _job_of(folder: str) -> uuid.UUID | None:
    """The job whose folder this is; the pages make ids of version 7 only."""
    try:
        job_id = uuid.UUID(folder)
    except ValueError:
        return None
    return job_id if job_id.version == 7 else None


def _made(job_id: uuid.UUID) -> datetime:
    """When an id was made: a UUIDv7 begins with the milliseconds since the epoch."""
    return datetime.fromtimestamp(min(job_id.int >> 80, LAST) / 1000, UTC)
