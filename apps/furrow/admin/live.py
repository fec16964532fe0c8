"""Live pages: a script (``live.js``) fetches a part of the page, with a mark that changes only when the part would look
different."""

import hashlib
import re
from typing import Any

from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.utils.safestring import SafeString

from furrow.admin import site

#: What differs between two drawings of the same facts: "3 s ago", which another script keeps true, and the forms' tokens.
_PASSING = re.compile(r"(?<=\">)[^<]*(?=</time>)|name=\"csrfmiddlewaretoken\" value=\"\w+\"")


def part(request: HttpRequest, template: str, context: dict[str, Any]) -> tuple[SafeString, str]:
    """The part's markup and its mark: of the facts, where the context has a ``version`` of them, else of the markup."""
    markup = render_to_string(template, context, request)
    seen = context.get("version") or _PASSING.sub("", markup)
    return markup, hashlib.sha256(str(seen).encode()).hexdigest()[:16]


def page(
    request: HttpRequest,
    template: str,
    facts: dict[str, Any],
    *,
    title: str,
    address: str,
    model: type[Model] | None = None,
    around: str = "admin/furrow/live_page.html",
    every: int = 0,
) -> TemplateResponse:
    """The whole page.

    Args:
        template: of the part that changes.
        address: where the part is asked for; empty when it changes no more.
        model: whose page it is, for the crumbs above.
        around: the template around the part, an extension of ``live_page.html``.
        every: milliseconds between looks; 0 is the usual time.
    """
    markup, mark = part(request, template, facts)
    context = {**site.context(request, model), **facts, "title": title, "part": markup, "mark": mark}
    context |= {"address": address, "every": every}
    return TemplateResponse(request, around, context)


def answer(request: HttpRequest, template: str, context: dict[str, Any], *, last: bool = False) -> HttpResponse:
    """The part, or 204 when it looks as the page has it (``?mark=``); ``last``: it changes no more."""
    markup, mark = part(request, template, context)
    if request.GET.get("mark") == mark:
        return HttpResponse(status=204)
    headers = {"X-Mark": mark, "Cache-Control": "no-store", **({"X-Last": "yes"} if last else {})}
    return HttpResponse(markup, headers=headers)
