"""Fingerprints: group errors that are alike by type, message without its variable parts, and the innermost frames of own
code.

Line numbers are left out, so that an edit elsewhere in the file does not make an old error a new one.
"""

import hashlib
import re

#: Innermost frames that count, and characters of a message and of a traceback's end that are looked at.
FRAMES, MESSAGE, TRACEBACK = 3, 500, 20_000

_FRAME = re.compile(r'^ +File "([^"\n]+)", line \d+, in (.+)$', re.MULTILINE)
_BEGIN = "Traceback (most recent call last)"
#: Code that others wrote.
_FOREIGN = re.compile(r"[/\\](?:site-packages|dist-packages|python3\.\d+)[/\\]|^<frozen ")
#: What differs from one occurrence to the next: quoted texts, ids, numbers (also in words and with units).
_VARIES = re.compile(
    r"""'[^']*'|"[^"]*"|\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b|0x[0-9a-fA-F]+
                         |\b(?=[a-fA-F]*\d)[0-9a-fA-F]{8,}\b|\d+(?:[.,:-]\d+)*""",
    re.VERBOSE,
)


def fingerprint(error_type: str, error: str, traceback: str = "") -> str:
    """16 hexadecimal digits, the same for errors of one sort.

    Args:
        error: the message, or the line that the job page shows.
        traceback: as Python prints it; of a chain the last part counts.
    """
    message = " ".join(_VARIES.sub("#", error[:MESSAGE]).split())
    parts = (error_type, message, *_own_frames(traceback))
    return hashlib.blake2b("\0".join(parts).encode(errors="replace"), digest_size=8).hexdigest()


def place(traceback: str) -> str:
    """Where it happened: ``file in function`` of the innermost frame of own code; empty when the traceback has none."""
    return "".join(_own_frames(traceback)[-1:])


def _own_frames(traceback: str) -> list[str]:
    """``file in function`` of the innermost frames of own code, or of all code if none is own. Of a path the last two parts:
    the same code may lie elsewhere tomorrow."""
    found = _FRAME.findall(traceback[-TRACEBACK:].rpartition(_BEGIN)[2])
    frames = [frame for frame in found if not _FOREIGN.search(frame[0])] or found
    return ["/".join(re.split(r"[/\\]", file)[-2:]) + f" in {function}" for file, function in frames[-FRAMES:]]
