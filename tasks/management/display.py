"""Show how a census goes: a bar in a terminal, a line now and then anywhere else."""

from collections.abc import Iterable
from types import TracebackType
from typing import Protocol, Self

from furrow import State
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from tasks.management.following import Look


class Display(Protocol):
    """Takes each look at a census."""

    def __enter__(self) -> Self: ...
    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None: ...
    def show(self, look: Look, elapsed: float) -> None:
        """Show where it stands, ``elapsed`` seconds after the first look."""


def display_on(console: Console) -> Display:
    """The display that suits the console."""
    return Bar(console) if console.is_terminal else Lines(console)


class Bar:
    """A progress bar that stays in its place; troubles are written above it when they change."""

    def __init__(self, console: Console) -> None:
        self._console = console
        columns = (BarColumn(bar_width=18), TextColumn("{task.fields[text]}"))
        self._progress = Progress(*columns, console=console, refresh_per_second=4)
        self._task = self._progress.add_task("census", total=None, text="")
        self._trouble: tuple[str, ...] = ()

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._progress.stop()

    def show(self, look: Look, elapsed: float) -> None:
        """Move the bar."""
        files = look.standing.files or None
        self._progress.update(self._task, completed=look.standing.ended, total=files, text=describe(look))
        if look.trouble != self._trouble:
            self._trouble = look.trouble
            write(self._console, look.trouble)


class Lines:
    """A plain line at most every ``every`` seconds, and at once when the trouble changes or the end is reached."""

    def __init__(self, console: Console, every: float = 5.0) -> None:
        self._console, self._every = console, every
        self._next = 0.0
        self._trouble: tuple[str, ...] = ()
        self._ended = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def show(self, look: Look, elapsed: float) -> None:
        """Write a line if it is time."""
        ended = look.standing.ended == look.standing.files > 0
        if elapsed >= self._next or look.trouble != self._trouble or ended != self._ended:
            write(self._console, [f"{elapsed:4.0f} s  {describe(look)}", *look.trouble])
            self._next, self._trouble, self._ended = elapsed + self._every, look.trouble, ended


def describe(look: Look) -> str:
    """One line: how many are done, running and failed, the pace, the time to go."""
    now = look.standing
    parts = [f"{now.ended:,}/{now.files:,} done"]
    if failed := now.count(State.FAILED) + now.count(State.CANCELLED):
        parts.append(f"{failed:,} failed")
    if now.ended < now.files:
        parts += [f"{now.count(State.RUNNING):,} running", f"{look.rate:,.0f}/s"]
        if look.rate > 0:
            parts.append(f"{duration((now.files - now.ended) / look.rate)} to go")
    else:
        parts.append(f"report {now.report}")
    return ", ".join(parts)


def duration(seconds: float) -> str:
    """A time span for people: ``35 ms``, ``4.2 s``, ``42 s``, ``3 min 20 s``, ``2 h 5 min``."""
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def write(console: Console, lines: Iterable[str]) -> None:
    """Write lines as they are: paths and errors may hold what looks like markup."""
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
