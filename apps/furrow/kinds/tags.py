"""Tags: short texts to find jobs by."""

import re
from collections.abc import Collection

#: A job has at most so many.
MOST = 10
_TAG = re.compile(r"[^\W_][\w .:/@+-]{0,49}")


def as_tags(text: str) -> list[str]:
    """The beginning of this text as a tag, if it can be one."""
    tag = text[:50]
    return [] if tags_problem([tag]) else [tag]


def tags_problem(tags: object) -> str:
    """What is wrong with these tags, and the remedy; empty when nothing is."""
    if isinstance(tags, str) or not isinstance(tags, Collection):
        return f"{tags!r} must be a list of texts, such as ['nightly']"
    if len(tags) > MOST:
        return f"there are {len(tags)}: give at most {MOST}"
    for tag in tags:
        if not isinstance(tag, str) or not _TAG.fullmatch(tag):
            return f"{tag!r:.80} is no tag: use 1 to 50 letters, digits, spaces and _ . : / @ + -, with a letter or digit first"
    return ""
