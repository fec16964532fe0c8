"""Somebody else's service."""


class Declined(Exception):
    """The bank does not pay."""


def charge(customer: str) -> str:
    """Returns the receipt."""
    return f"receipt for {customer}"
