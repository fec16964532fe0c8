"""Counts in sentences (``1 job``, ``2 jobs``). Pure."""


def counted(number: int, noun: str, plural: str = "") -> str:
    """A number with its noun: ``1 job``, ``6,037 jobs``. ``plural``: where it is not the noun and an s."""
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"
