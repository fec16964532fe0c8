"""``manage.py census``: measure thousands of source files as jobs, watch them go, print what they found."""

import json
import os
import sys
import time
import uuid
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError
from django.urls import NoReverseMatch, reverse
from furrow import Job, State
from furrow.console import console_on
from furrow.plural import counted

from tasks.census import Census, measure, report, submit_census
from tasks.management.display import display_on, duration, write
from tasks.management.following import Stalled, follow, timing
from tasks.management.tables import print_report
from tasks.source.listing import Listing, default_folders, list_sources

#: Columns where there is no terminal to ask.
WIDTH = 140


class Command(BaseCommand):
    """Submits through the same door as everyone, then only looks: the jobs go on without this command."""

    help = (
        "Take a census of Python source files: one job for each file, and a report over all of them. Files that cannot be "
        "read or parsed end as failed jobs and are part of the report."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        parser.add_argument(
            "folders",
            nargs="*",
            metavar="FOLDER",
            help="where to look; default: the standard library and the packages beside it",
        )
        parser.add_argument("--limit", type=int, metavar="N", help="at most the first N files")
        parser.add_argument("--no-wait", action="store_true", help="only submit")
        parser.add_argument("--follow", type=uuid.UUID, metavar="BATCH", help="watch a census that was submitted before")
        parser.add_argument("--json", action="store_true", help="print one JSON object; progress goes to standard error")
        parser.add_argument(
            "--patience",
            type=float,
            default=60.0,
            metavar="SECONDS",
            help="give up when something keeps all jobs waiting this long",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Submit, watch, print."""
        self._json = bool(options["json"])
        self._console = console_on(self.stderr if self._json else self.stdout, WIDTH)
        if not options["patience"] > 0:
            raise CommandError(f"--patience is {options['patience']:g}: it must be more than 0 seconds. Nothing was submitted.")
        census = None
        try:
            census = self._resume(options) if options["follow"] else self._submit(options)
            if options["no_wait"]:
                self._done({"batch": str(census.batch), "report_job": str(census.report), "jobs": census.files}, census)
                return
            self._watch(census, options["patience"])
            self._finish(census)
        except KeyboardInterrupt:
            ended = f"Not watching any more; the jobs go on. {whereabouts(census)}" if census else "Nothing was submitted."
            write(self._console, ["", ended])
            sys.exit(130)

    def _submit(self, options: dict[str, Any]) -> Census:
        listing = find(options["folders"], options["limit"])
        began = time.monotonic()
        try:
            census = submit_census(listing)
        except DatabaseError as error:
            raise CommandError(
                f"Nothing was submitted: {str(error).strip()}. Is the database up, and has `manage.py migrate` run?"
            ) from error
        seconds = time.monotonic() - began
        submitted = counted(census.files, "job")
        write(self._console, [f"Submitted {submitted} and a report in {seconds:.1f} s, as batch {census.batch}."])
        if listing.skipped:
            write(self._console, [f"Passed over {len(listing.skipped):,}, for example {listing.skipped[0]}"])
        return census

    def _resume(self, options: dict[str, Any]) -> Census:
        batch = options["follow"]
        if options["folders"] or options["limit"] or options["no_wait"]:
            raise CommandError("--follow goes with none of FOLDER, --limit and --no-wait: it submits nothing.")
        files = Job.objects.filter(batch=batch, kind=measure.name).count()
        last = Job.objects.filter(batch=batch, kind=report.name).values_list("pk", flat=True).first()
        if last is None:
            raise CommandError(f"--follow: no census has the batch {batch}. Jobs that ended are deleted after some days.")
        return Census(batch, last, files)

    def _watch(self, census: Census, patience: float) -> None:
        began = time.monotonic()
        with display_on(self._console) as display:
            try:
                for look in follow(census.batch, patience=patience):
                    display.show(look, time.monotonic() - began)
            except Stalled as stalled:
                raise CommandError(f"{stalled} Nothing is lost. {whereabouts(census)}") from None

    def _finish(self, census: Census) -> None:
        last = Job.objects.get(pk=census.report)
        if last.state != State.SUCCEEDED or last.result is None:
            raise CommandError(f"The report ended {last.state}: {last.error} {whereabouts(census)}")
        numbers = timing(census.batch)
        failed = last.result["total"]["failed"]
        if not self._json:
            print_report(self._console, last.result)
        write(self._console, [summary(numbers, failed)])
        result = {
            "batch": str(census.batch),
            "report_job": str(census.report),
            **numbers,
            "failed": failed,
            "report": last.result,
        }
        self._done(result, census)

    def _done(self, result: dict[str, Any], census: Census) -> None:
        if self._json:
            self.stdout.write(json.dumps(result, indent=2))
        else:
            write(self._console, [whereabouts(census)])


def find(folders: list[str], limit: int | None) -> Listing:
    """The sources of these folders.

    Raises:
        CommandError: an argument cannot be used, or there is nothing to do; names the argument and the remedy.
    """
    if limit is not None and limit < 1:
        raise CommandError(f"--limit is {limit}: it must be 1 or more. Nothing was submitted.")
    for folder in folders:
        if not os.path.lexists(folder):
            raise CommandError(f"FOLDER {folder!r} does not exist (seen from {os.getcwd()}). Nothing was submitted.")
        if not os.path.isdir(folder):
            parent = os.path.dirname(os.path.abspath(folder))
            raise CommandError(f"FOLDER {folder!r} is not a folder: name the one it is in, {parent!r}. Nothing was submitted.")
    listing = list_sources(folders or default_folders(), limit)
    if not listing.sources:
        why = f" Passed over: {'; '.join(listing.skipped[:3])}." if listing.skipped else ""
        places = ", ".join(map(repr, folders)) or "the standard library"
        raise CommandError(f"FOLDER {places} has no .py file, also not in the folders below.{why} Nothing was submitted.")
    return listing


def summary(numbers: dict[str, Any], failed: int) -> str:
    """One line: how many jobs, how fast, how long they waited."""
    speed = f", {numbers['jobs_per_second']:,} jobs/s" if numbers["jobs_per_second"] else ""
    waits = [numbers["wait_p50_ms"], numbers["wait_p99_ms"]]
    waited = " and ".join(f"p{p} {duration(ms / 1000)}" for p, ms in zip((50, 99), waits, strict=True) if ms is not None)
    jobs, files = counted(numbers["jobs"], "job"), counted(failed, "file")
    text = f"{jobs} in {duration(numbers['seconds'])}{speed}; {files} not measurable."
    return f"{text} Wait from due to begun: {waited}." if waited else text


def whereabouts(census: Census) -> str:
    """Where to look at a census."""
    try:
        place = f"See the admin, {reverse('admin:furrow_workflow_change', args=[census.batch])}, and"
    except NoReverseMatch:
        place = "See"
    return f"{place} the report's job {census.report}; watch with `manage.py census --follow {census.batch}`."
