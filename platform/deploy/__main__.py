"""The command line of the local stack: `python -m deploy up | down | status | logs | demo | hello | install | exec`."""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NoReturn

from deploy import ROOT, environment, packages
from deploy.errors import DeployError, StackFailed
from deploy.hello import say_hello
from deploy.processes import until
from deploy.stack import Stack

#: The exit code of `status` for it, as of init scripts.
NOTHING_RUNS = 3
#: Messages of `make hello`.
HELLOS = 10


def main() -> int:
    """Run one command; returns its exit code."""
    arguments = _parser().parse_args()
    stack = Stack(environment.run_folder())
    try:
        return _run(arguments, stack)
    except DeployError as error:
        print(f"\n{error}", file=sys.stderr)
    except KeyboardInterrupt:
        print("\nInterrupted; `make down` stops what was started.", file=sys.stderr)
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="deploy", description="The local stack, in $FURROW_RUN or .run.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("up", help="start what is not running, and wait until it works")
    commands.add_parser("down", help="stop what was started here")
    commands.add_parser("status", help="say what runs, and where; exits with 1 if a part does not, with 3 if nothing runs")
    commands.add_parser("logs", help="follow the logs; without a terminal, print their last lines")
    commands.add_parser("demo", help="up, and submit the demo workload")
    commands.add_parser("hello", help="up, and publish Hello to the queue hello, whose messages become jobs")
    install = commands.add_parser("install", help="install Debian packages that are missing")
    install.add_argument("packages", nargs="+")
    run = commands.add_parser("exec", help="run a command with the stack's settings: exec -- celery -A config status")
    run.add_argument("words", nargs=argparse.REMAINDER)
    return parser


def _run(arguments: argparse.Namespace, stack: Stack) -> int:
    match arguments.command:
        case "up":
            stack.up()
            print("\n" + "\n".join(stack.addresses()))
        case "down":
            stack.down()
        case "status":
            return _status(stack)
        case "logs":
            return _logs(stack.run)
        case "demo":
            return _demo(stack)
        case "hello":
            return _hello(stack)
        case "install":
            packages.install(packages.missing(arguments.packages))
        case "exec":
            _exec(arguments.words, stack)
    return 0


def _status(stack: Stack) -> int:
    """0: all runs; 1: a part of it does not; 3: nothing runs."""
    running, stopped = stack.status()
    if not running:
        print("\nNothing runs; `make up` starts it.")
        return NOTHING_RUNS
    if stopped:
        print(f"\nNot running: {', '.join(stopped)}; `make up` starts what is missing, `make logs` shows why.")
        return 1
    print("\n" + "\n".join(stack.addresses()))
    return 0


def _demo(stack: Stack) -> int:
    stack.up()
    print(flush=True)
    census = subprocess.run([sys.executable, "manage.py", "census"], cwd=ROOT, env=stack.told())
    print("\n" + "\n".join(stack.addresses()))
    print("The stack stays up: `make logs` shows what it does, `make down` stops it.")
    return census.returncode


def _hello(stack: Stack) -> int:
    """Ten messages, processed side by side; then one job's log, as `furrow jobs tail` prints it."""
    stack.up()
    told = stack.told()
    listing = [sys.executable, "manage.py", "furrow", "jobs", "list", "--kind", "hello.log_message"]

    def jobs() -> list[dict[str, Any]]:
        done = subprocess.run([*listing, "--json", "--limit", "1000"], cwd=ROOT, env=told, capture_output=True, text=True)
        return list(json.loads(done.stdout)) if done.returncode == 0 else []

    before = {job["id"] for job in jobs()}
    say_hello(told["BROKER_URL"], HELLOS)
    print(f"\nPublished Hello {HELLOS} times to the queue hello. Each message becomes a job:\n", flush=True)
    came = until(lambda: len([job for job in jobs() if job["id"] not in before]) >= HELLOS, timeout=60)
    new = [job["id"] for job in jobs() if job["id"] not in before]
    subprocess.run([*listing, "--limit", str(HELLOS)], cwd=ROOT, env=told)
    if not came:
        raise StackFailed(f"{len(new)} of {HELLOS} messages became jobs within a minute; `make logs` shows why.")
    print("\nThe log of the last one:\n", flush=True)
    tail = subprocess.run([sys.executable, "manage.py", "furrow", "jobs", "tail", new[0]], cwd=ROOT, env=told)
    print("\n" + "\n".join(stack.addresses()))
    return tail.returncode


def _logs(run: Path) -> int:
    found = sorted([*run.glob("log/*.log"), *run.glob("*/log"), *run.glob("rabbitmq/logs/*.log")])
    logs = [str(path) for path in found if path.is_file()]
    if not logs:
        print("There are no logs yet; `make up` starts the stack.")
        return 0
    if sys.stdout.isatty():
        os.execvp("tail", ["tail", "-n", "20", "-F", *logs])
    return subprocess.run(["tail", "-n", "50", "-v", *logs]).returncode


def _exec(words: list[str], stack: Stack) -> NoReturn:
    command = words[1:] if words[:1] == ["--"] else words
    if not command:
        sys.exit("exec: which command? For example: exec -- celery -A config status")
    told = stack.told()
    told["PATH"] = os.pathsep.join((str(Path(sys.executable).parent), told.get("PATH", os.defpath)))
    os.execvpe(command[0], command, told)


if __name__ == "__main__":
    sys.exit(main())
