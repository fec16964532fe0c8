"""``manage.py prove``: prove the guarantees on this installation, under faults."""

import json
import random
import shutil
from argparse import ArgumentParser
from typing import Any

from deploy import files
from deploy.environment import run_folder
from django.core.management.base import BaseCommand, CommandError

from apps.prove import checks, drift, evidence, report
from apps.prove.campaign import Campaign
from apps.prove.faults.base import possible
from apps.prove.stack import Stack


class Command(BaseCommand):
    """Exits with 1 when a promise was broken."""

    help = "Kill, freeze, cut and fill a private copy of the stack under load, and check that every guarantee holds."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """How long, on what, with which faults."""
        parser.add_argument("--minutes", type=float, default=10.0)
        parser.add_argument("--seed", type=int, default=None)
        parser.add_argument("--database", choices=["postgresql", "sqlite"], default="postgresql")
        parser.add_argument("--faults", default="")
        parser.add_argument("--keep", action="store_true")

    def handle(self, *args: Any, minutes: float, seed: int | None, database: str, faults: str, keep: bool, **_: Any) -> None:
        seed = random.randrange(10**6) if seed is None else seed  # noqa: S311 - no secret
        names = faults.split(",") if faults else possible(database)
        folder = run_folder() / "prove" / str(seed)
        stack = Stack(folder, database, seed=seed)
        shutil.rmtree(folder / "records", ignore_errors=True)
        with stack.running():
            self.stdout.write("up")
            campaign = Campaign(stack, names, seed, self.stdout.write)
            campaign.run(minutes * 60)
            left = drift.look(stack)
            found = evidence.collect(stack.database, folder / "records", campaign.happened, left)
        violations = checks.judge(found)
        summary = report.summary(found, violations, seed=seed)
        files.write(run_folder() / "prove.json", json.dumps(summary, indent=2))
        self.stdout.write(json.dumps({**summary, "violations": summary["violations"][:20]}, indent=1))
        if violations:
            raise CommandError(f"{len(violations)} violations")
