"""A kind whose signature has changed."""

from typing import Any

from furrow import job


def _upgrade(old: dict[str, Any]) -> dict[str, Any]:
    return {"customer": old["user"], "currency": "EUR"}


@job(name="kinds.bills", upgrade=_upgrade)
def bills(customer: int, currency: str) -> str:
    """Took a user once."""
    return f"{customer} {currency}"
