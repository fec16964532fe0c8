"""Wording of pages: labels of states, moments, spans, numbers. The only place with markup in Python."""

import datetime as dt
import json
import re
from typing import Any

from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from furrow.states import MEANINGS, State

#: The colour of a state's or an outcome's label, in the admin theme's names.
COLOURS: dict[str, str] = {
    State.WAITING: "default",
    State.PENDING: "default",
    State.QUEUED: "info",
    State.RUNNING: "primary",
    **{outcome: meaning.colour for outcome, meaning in MEANINGS.items()},  # the final states are among these
    "living": "success",
    "valid": "success",
    "expired": "warning",
    "lost": "danger",
    "stopped": "default",
    "open": "success",
    "consumed": "success",
    "not consumed": "warning",
    "done": "success",
    "approved": "success",
    "rejected": "danger",
    "refused": "danger",
    "paused": "warning",
    "draining": "info",
    "drained": "warning",
    "on": "success",
    "held": "danger",
    "orphaned": "warning",
    "skipped": "warning",
    "missed": "danger",
}
#: Stands where nothing is known.
NOTHING = "—"
#: Characters of a JSON text or a traceback that a page shows.
SHOWN = 20_000
#: Jobs are counted up to this number; pages say "10,000+" beyond it.
COUNTED = 10_000
_STEPS = ((86400, "d"), (3600, "h"), (60, "min"))


def colour(text: str) -> str:
    """The colour of a state, an outcome or a condition; of another word that word."""
    return COLOURS.get(text, text)


def label(text: str) -> SafeString:
    """A coloured label for a state, an outcome or a worker's condition."""
    return format_html('<span class="fw-label fw-{}">{}</span>', COLOURS.get(text, "default"), text)


def span(seconds: float | None) -> str:
    """A span of time for people: ``12 ms``, ``3.4 s``, ``2 min 5 s``, ``3 h``, ``2 d 4 h``."""
    if seconds is None:
        return NOTHING
    seconds = max(0.0, seconds)
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f}".removesuffix(".0") + " s"
    seconds = max(60.0, seconds)
    for position, (size, unit) in enumerate(_STEPS):
        if seconds >= size:
            next_size, next_unit = _STEPS[position + 1] if position + 1 < len(_STEPS) else (1, "s")
            whole, rest = divmod(int(seconds), size)
            rest //= next_size
            return f"{whole:,} {unit} {rest} {next_unit}" if rest and whole < 100 else f"{whole:,} {unit}"
    raise AssertionError("the steps begin at a minute")


def size(count: int | None) -> str:
    """Bytes for people: ``812 KiB``, ``84 MiB``, ``1.5 GiB``."""
    if count is None:
        return NOTHING
    for unit, power in (("GiB", 30), ("MiB", 20)):
        if count >= 1 << power:
            amount = count / (1 << power)
            return f"{amount:,.1f} {unit}" if amount < 10 else f"{amount:,.0f} {unit}"
    return f"{count / 1024:,.0f} KiB"


def relative(when: dt.datetime, now: dt.datetime) -> str:
    """``3 min ago``, ``in 2 h``, ``just now``; rounded to one unit. The script ``relative.js`` says the same."""
    seconds = (now - when).total_seconds()
    distance = abs(seconds)
    if distance < 1:
        return "just now"
    size, unit = next(((s, u) for s, u in _STEPS if distance >= s), (1, "s"))
    text = f"{int(distance // size):,} {unit}"
    return f"{text} ago" if seconds > 0 else f"in {text}"


def moment(when: dt.datetime | None, now: dt.datetime | None = None) -> str:
    """A time as a distance from now, with the exact time on hover; the script keeps it true."""
    if when is None:
        return NOTHING
    local = timezone.localtime(when)
    return format_html(
        '<time class="fw-moment" datetime="{}" title="{}">{}</time>',
        when.astimezone(dt.UTC).isoformat(),
        exact(local),
        relative(when, now or dt.datetime.now(dt.UTC)),
    )


def exact(when: dt.datetime | None) -> str:
    """A time to the millisecond, in the current time zone, with the zone's name."""
    if when is None:
        return NOTHING
    return in_its_zone(timezone.localtime(when))


def in_its_zone(when: dt.datetime) -> str:
    """A time to the millisecond, with the name of its zone."""
    return f"{when:%Y-%m-%d %H:%M:%S}.{when.microsecond // 1000:03d} {when.tzname()}"


def progress_bar(fraction: float, note: str = "") -> SafeString:
    """A bar with its percentage, and the handler's note."""
    percent = round(max(0.0, min(1.0, fraction)) * 100)
    return format_html(
        '<span class="fw-progress" role="progressbar" aria-valuenow="{0}" aria-valuemin="0" aria-valuemax="100" title="{1}">'
        '<progress value="{0}" max="100"></progress><span>{0}&nbsp;%</span></span>',
        percent,
        note,
    )


def pretty_json(text: str | None) -> str:
    """A JSON text with indentation; as it is when it is too large to be worth it or cannot be read."""
    if text is None:
        return ""
    if len(text) > 4 * SHOWN:
        return text
    try:
        return indented(json.loads(text))
    except (ValueError, RecursionError):
        return text


def indented(value: Any) -> str:
    """A JSON value with indentation; it ends a little behind what a page shows, for deep nesting indents without measure."""
    pieces, length = [], 0
    for piece in json.JSONEncoder(indent=2, ensure_ascii=False).iterencode(value):
        pieces.append(piece)
        length += len(piece)
        if length > SHOWN:
            break
    return "".join(pieces)


#: Terminals' escape sequences (colours, titles); and what has no place in a page: other control characters, and those that
#: change the direction of the text around them.
_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\^_])|\x9b[0-?]*[ -/]*[@-~]")
_UNSHOWN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]")


def plain(text: Any) -> str:
    """Text from outside, as it may stand in a page: terminals' escape sequences are left out, other characters that are not
    seen but do something are named. Escaping HTML is the template's."""
    found = _ANSI.sub("", str(text).replace("\r\n", "\n"))
    return _UNSHOWN.sub(lambda match: f"⟨U+{ord(match[0]):04X}⟩", found) if _UNSHOWN.search(found) else found


def error_line(error_type: str, error: str) -> SafeString:
    """An error on one line, its type standing out; the text begins with the type already, or not."""
    rest = error.removeprefix(error_type) if error_type else error
    gap = "" if rest != error or not error_type else " "
    return format_html("<b>{}</b>{}{}", plain(error_type), gap, shorten(rest, 1_000))


def traceback(text: str) -> SafeString:
    """A traceback in which the frames of libraries stand back, the middle left out when it is long."""
    if len(text) > SHOWN:
        text = f"{text[: SHOWN // 2]}\n[…]\n{text[-SHOWN // 2 :]}"
    lines, foreign = [], False
    for line in plain(text.rstrip()).split("\n"):
        if line.startswith("  File "):
            foreign = "site-packages" in line or "/lib/python" in line
        elif not line.startswith("    "):
            foreign = False
        lines.append(("fw-foreign" if foreign else "fw-own", line + "\n"))
    return format_html_join("", '<span class="{}">{}</span>', lines)


def shorten(text: str, length: int = 120) -> str:
    """The beginning of a text, on one line."""
    line = " ".join(plain(text[: length * 2]).split())
    return line if len(line) <= length and len(text) <= length * 2 else line[: length - 1] + "…"
