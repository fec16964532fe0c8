"""``manage.py furrow prove``: prove the guarantees on this installation, under faults."""

import json
import random
import shutil
import signal
import time
from argparse import SUPPRESS, ArgumentParser
from pathlib import Path
from typing import IO, Any, cast

from deploy import files
from deploy.environment import run_folder
from deploy.errors import DeployError
from django.core.management.base import BaseCommand, CommandError
from rich.console import Console

from furrow.errors import did_you_mean
from furrow.plural import counted
from furrow.prove import checks, drift, evidence, page, report
from furrow.prove.campaign import Campaign
from furrow.prove.faults.base import FAULTS, left_out, possible
from furrow.prove.program import ProgramFailed
from furrow.prove.stack import Stack, end_leftovers

#: Jobs a second that may be asked for; more than any machine submits, so it only catches slips.
MOST = 100_000


class Command(BaseCommand):
    """Exits with 1 when a promise was broken."""

    help = (
        "Prove Furrow's guarantees here: kill, freeze, cut off and confuse a private copy of the stack under load, then check "
        "that no job was lost, settled twice or run twice without a reason. Nothing of yours is touched. See docs/prove.md."
    )
    # The private processes check themselves.
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """How long, on what, with which faults."""
        parser.add_argument("--minutes", type=float, default=10.0, help="how long faults happen; default 10")
        parser.add_argument("--seed", type=int, help="draw the same faults in the same order again; default: a new one")
        parser.add_argument("--database", choices=["postgresql", "sqlite"], default="postgresql")
        parser.add_argument("--faults", default="", metavar="KIND,KIND", help="only these; `--faults list` names them all")
        parser.add_argument("--rate", type=float, default=0, help="jobs a second; default 800, on SQLite 120")
        parser.add_argument("--keep", action="store_true", help="keep the folder also when nothing was violated")
        # A module that the private processes load: the tests break the engine with it, to see that it is noticed.
        parser.add_argument("--sabotage", default="", help=SUPPRESS)

    def handle(self, *args: Any, minutes: float, database: str, faults: str, keep: bool, sabotage: str, **options: Any) -> None:
        """Run a campaign, and judge it."""
        known = possible(database)
        if faults == "list":
            self.stdout.write("\n".join(known))
            return
        seed = random.randrange(10**6) if options["seed"] is None else options["seed"]  # noqa: S311 - no secret
        names = [name.strip() for name in faults.split(",")] if faults else known
        if unknown := [name for name in names if name not in known]:
            why = left_out(database).get(unknown[0])
            remedy = why or did_you_mean(unknown[0], known)
            raise CommandError(f"--faults: {unknown[0]!r} cannot happen on {database}; {remedy}.")
        for name, why in ({} if faults else left_out(database)).items():
            self.stdout.write(f"Left out: {name}, since {why}.")
        _refuse(minutes, options["rate"])
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        run = run_folder()
        end_leftovers(run / "prove")
        stack = Stack(
            run / "prove" / str(seed),
            database,
            seed=seed,
            rate=options["rate"],
            modules=[sabotage] if sabotage else [],
            means={FAULTS[name].needs for name in names},
        )
        try:
            verdict = self._prove(stack, names, seed, minutes)
        except KeyboardInterrupt:
            if not keep:
                stack.destroy()
            raise CommandError("Interrupted: there is no verdict. The private stack was stopped.", returncode=130) from None
        except (DeployError, ProgramFailed) as error:
            raise CommandError(f"The private stack does not work: {error}") from None
        self._publish(run, verdict)
        if not keep and not verdict["violations"]:
            stack.destroy()
        if verdict["violations"]:
            raise CommandError(
                f"{counted(len(verdict['violations']), 'violation')}. Records, logs and data are in {stack.folder}; "
                f"the same faults again: manage.py furrow prove --seed {seed} --minutes {minutes:g} --database {database}"
            )

    def _prove(self, stack: Stack, names: list[str], seed: int, minutes: float) -> dict[str, Any]:
        began = time.monotonic()
        self.stdout.write(f"Seed {seed}: starting a private stack in {stack.folder}")
        with stack.running():
            campaign = Campaign(stack, names, seed, self.stdout.write)
            campaign.run(minutes * 60)
            left = drift.look(stack)
            found = evidence.collect(stack, campaign.happened, left)
        violations = checks.judge(found)
        return report.summary(
            found, violations, seed=seed, database=stack.vendor, minutes=minutes, took_s=round(time.monotonic() - began)
        )

    def _publish(self, run: Path, verdict: dict[str, Any]) -> None:
        console = Console(file=cast(IO[str], self.stdout), width=min(160, shutil.get_terminal_size((120, 40)).columns))
        report.show(verdict, console)
        files.write(run / "prove.json", json.dumps(verdict, indent=1) + "\n")
        files.write(run / "prove.html", page.render(verdict))
        if not verdict["violations"]:
            self.stdout.write("Every promise was kept.")
        self.stdout.write(f"Report: {run / 'prove.html'}, {run / 'prove.json'}")


def _refuse(minutes: float, rate: float) -> None:
    if not 0 < minutes <= 24 * 60:
        raise CommandError(f"--minutes {minutes:g}: give more than 0, and at most a day.")
    if not 0 <= rate <= MOST:
        raise CommandError(f"--rate {rate:g}: give more than 0 jobs a second, and at most {MOST:,}.")
