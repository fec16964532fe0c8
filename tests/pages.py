"""Pages of the admin, as text."""

import re

from django.test import Client


def page(client: Client, path: str = "") -> str:
    """A page of the admin, its times without their tags, its white space folded."""
    answer = client.get(f"/admin/{path}")
    assert answer.status_code == 200
    return re.sub(r"\s+", " ", re.sub(r"<time[^>]*>|</time>", "", answer.content.decode()))
