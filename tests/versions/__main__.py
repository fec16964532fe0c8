"""``python -m tests.versions SUITE [--folder FOLDER] [--only CHECK …]``: this checkout on another Debian.

Makes that Debian in a folder (debootstrap, from the mirror that this machine's apt uses), installs its servers and its Python
there, copies the checkout in, installs the newest releases of all that the requirements name, and runs the checks of
:data:`CHECKS`. Writes what was found into the table of docs/versions.md. Needs root, debootstrap and unshare; about 2.5 GB
and half an hour the first time. A second run takes the same folder, and makes only the checkout and its packages anew.

All that runs there has mounts and process numbers of its own and ends with this program.
"""

import argparse
import datetime
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.versions.table import record

ROOT = Path(__file__).resolve().parents[2]
#: Debian's packages by what they stand for.
PACKAGES = [
    "python3",
    "python3-venv",
    "python3-dev",
    "gcc",
    "git",
    "make",
    "procps",
    "util-linux",
    "postgresql",
    "rabbitmq-server",
]
#: The server that takes Redis's place, by Debian's suite; two of the same protocol, so that each is tried somewhere.
REDIS = {"trixie": "redis-server", "sid": "valkey-server"}
#: What runs, by its name in the table: variables of the environment, and the command.
CHECKS = {
    "unit": ("", "pytest -q --tb=short -p no:cacheprovider tests/unit"),
    "engine": (
        "",
        "pytest -q --tb=short -p no:cacheprovider tests/integration/test_engine.py tests/integration/test_workers.py",
    ),
    "engine on SQLite": ("DATABASE=sqlite", "pytest -q --tb=short -p no:cacheprovider tests/integration/test_engine.py"),
    "admin": ("", "pytest -q --tb=short -p no:cacheprovider tests/integration/test_admin_pages.py"),
    "shop": ("", "pytest -q --tb=short -p no:cacheprovider tests/shop"),
}
#: Of the checkout, what other Pythons do not need and cannot always have: linters and type checkers.
LEFT_OUT = re.compile(
    r"(mypy|ruff|librt|ast_serialize|types-|django-stubs|import-linter|grimp|playwright|greenlet|async-timeout|-)"
)
_SHELL = "export DEBIAN_FRONTEND=noninteractive LANG=C.UTF-8 HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin; cd /furrow; "


def main() -> int:
    """Run it; 1 when a check failed."""
    given = argparse.ArgumentParser(prog="python -m tests.versions", description=__doc__.partition("\n")[0])
    given.add_argument("suite", choices=sorted(REDIS))
    given.add_argument("--folder", type=Path, default=Path("/var/tmp/furrow-versions"), help="where the other Debian lies")
    given.add_argument("--only", nargs="+", choices=list(CHECKS), default=list(CHECKS), help="the checks to run")
    chosen = given.parse_args()
    if os.geteuid() != 0:
        print("Making another Debian needs root: start this as root.", file=sys.stderr)
        return 1
    for program in ("debootstrap", "unshare"):
        if shutil.which(program) is None:
            print(f"{program} is missing: apt-get install debootstrap util-linux", file=sys.stderr)
            return 1
    there = Debian(chosen.suite, chosen.folder / chosen.suite)
    there.make()
    there.copy(ROOT)
    there.install_python()
    found = {name: there.check(name) for name in chosen.only}
    record(ROOT / "docs" / "versions.md", there.versions(), found, datetime.date.today())
    return int(any(not passed for passed, _ in found.values()))


class Debian:
    """Another Debian, in a folder."""

    def __init__(self, suite: str, folder: Path) -> None:
        self.suite, self.folder = suite, folder

    def make(self) -> None:
        """Make it, unless it is there, with the servers and Python."""
        if not (self.folder / "etc" / "debian_version").exists():
            say(f"making Debian {self.suite} in {self.folder}")
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            command = ["debootstrap", "--variant=minbase", "--include=ca-certificates", self.suite, str(self.folder), mirror()]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        (self.folder / "furrow").mkdir(exist_ok=True)
        policy = self.folder / "usr" / "sbin" / "policy-rc.d"
        policy.write_text("#!/bin/sh\nexit 101\n")  # no server starts by itself
        policy.chmod(0o755)
        for name in ("etc/resolv.conf", "etc/hosts", "etc/ssl/certs/ca-certificates.crt"):
            if Path("/", name).exists():
                shutil.copyfile(Path("/", name), self.folder / name)
        names = " ".join([*PACKAGES, REDIS[self.suite]])
        say("installing the servers and Python")
        apt = "apt-get -q -o Acquire::Check-Valid-Until=false"  # the mirror may be a frozen copy; signatures are checked
        self.run(f"{apt} update && {apt} -y install --no-install-recommends {names}")

    def copy(self, checkout: Path) -> None:
        """The files of a checkout, as they are now."""
        say("copying the checkout")
        target = self.folder / "furrow"
        shutil.rmtree(target)
        listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
        names = subprocess.run(listed, cwd=checkout, capture_output=True, check=True).stdout.decode().split("\0")
        for name in names:
            if name and (checkout / name).is_file():
                (target / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(checkout / name, target / name)
        self.run("git init -q . && git add -A")

    def install_python(self) -> None:
        """The newest release of each package that the requirements name; those become the copy's requirements."""
        say("installing the newest packages")
        lines = (ROOT / "requirements.txt").read_text() + (ROOT / "requirements-dev.txt").read_text()
        names = {line.partition("==")[0].strip() for line in lines.splitlines() if line and not line.startswith("#")}
        names = {name for name in names if not LEFT_OUT.match(name)} | {"celery[redis]"}  # as the shop has it
        (self.folder / "furrow" / "newest.txt").write_text("\n".join(sorted(names)))
        pip = ".venv/bin/python -m pip --disable-pip-version-check"
        self.run(f"python3 -m venv .venv && {pip} install -q -r newest.txt -e . && {pip} check")
        self.run(f"{pip} freeze --exclude-editable > frozen && mv frozen requirements.txt")

    def check(self, name: str) -> tuple[bool, str]:
        """Run a check; whether it passed, and its last line."""
        say(f"check: {name}")
        environment, command = CHECKS[name]
        told = self.run(f"{environment} nice .venv/bin/python -m {command}", check=False)
        (self.folder / f"{name.replace(' ', '-')}.log").write_text(told.stdout)
        last = told.stdout.strip().rpartition("\n")[2].strip("= ")
        last = re.sub(r" in \d.*", "", last)
        say(f"       {last}")
        return told.returncode == 0, last

    def versions(self) -> dict[str, str]:
        """What it has, by the columns of the table."""
        asked = (
            "cat /etc/debian_version; .venv/bin/python -c 'import platform; print(platform.python_version())'; "
            'for one in Django celery kombu redis pydantic psycopg django-unfold; do grep -i "^$one==" requirements.txt; done; '
            "/usr/lib/postgresql/*/bin/postgres --version; dpkg-query -W -f '${Version}\\n' rabbitmq-server; "
            f"dpkg-query -W -f '${{Package}} ${{Version}}\\n' {REDIS[self.suite]}"
        )
        debian, python, *packages, postgres, rabbitmq, redis = self.run(asked).stdout.strip().splitlines()
        return {
            "Debian": f"{debian} ({self.suite})",
            "Python": python,
            "packages": ", ".join(one.replace("==", " ") for one in packages),
            "PostgreSQL": postgres.split()[2],
            "RabbitMQ": rabbitmq.partition("-")[0],
            "Redis": re.sub(r"-server (\d+:)?", " ", redis).partition("-")[0].partition("+")[0],
        }

    def run(self, script: str, *, check: bool = True) -> "subprocess.CompletedProcess[str]":
        """Run a shell script there, with mounts and process numbers of its own.

        Raises:
            SystemExit: it failed, and ``check`` is set; with what it said.
        """
        enter = (
            f"mount --rbind /dev {self.folder}/dev && mount -t proc proc {self.folder}/proc && "
            f'exec chroot {self.folder} /bin/sh -c "$0"'
        )
        command = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "/bin/sh", "-c", enter, _SHELL + script]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, stdin=subprocess.DEVNULL)
        if check and done.returncode:
            raise SystemExit(f"This failed in {self.folder}:\n    {script}\n{done.stdout[-4000:]}")
        return done


def mirror() -> str:
    """Where this machine's apt has Debian from.

    Raises:
        SystemExit: nowhere.
    """
    asked = ["apt-get", "indextargets", "--format", "$(LABEL) $(REPO_URI)", "Created-By: Packages"]
    for line in subprocess.run(asked, capture_output=True, text=True, check=True).stdout.splitlines():
        label, _, address = line.rpartition(" ")
        if label == "Debian":
            return address
    raise SystemExit("apt knows no mirror of Debian: run apt-get update, or add one to its sources.")


def say(what: str) -> None:
    """One line of progress."""
    print(f"{datetime.datetime.now():%H:%M:%S}  {what}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
