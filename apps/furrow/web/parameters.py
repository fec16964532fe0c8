"""Query parameters (``?level=30``): parsed here, and refused by name.

A parameter that cannot be is answered with 400 and a page that says which one and why. A list or form that can still be shown
notes the problem (:func:`note`) and is shown with it, with the status 400 all the same.
"""

from collections.abc import Callable, Collection
from typing import Any

from django.contrib import messages
from django.contrib.admin.exceptions import DisallowedModelAdminLookup
from django.contrib.admin.options import IncorrectLookupParameters
from django.core.exceptions import BadRequest, RequestDataTooBig, TooManyFieldsSent, TooManyFilesSent
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render

from furrow.errors import did_you_mean
from furrow.web import problems

#: Characters of a wrong value that are said again.
SAID = 60
_TOO_MUCH = (RequestDataTooBig, TooManyFieldsSent, TooManyFilesSent)


#: What the address of any list may have besides its filters.
OF_LISTS = ("q", "p", "o", "e", "all", "_popup", "_to_field", "_facets", "_changelist_filters")


class WrongParameter(BadRequest):
    """A parameter of an address cannot be; the text names it, the reason and the remedy."""

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"{name[:SAID]}: {problem}")


def middleware(get_response: Callable[[HttpRequest], HttpResponseBase]) -> Callable[[HttpRequest], HttpResponseBase]:
    """Refuses U+0000 in an address, which no database takes; gives a page on which something was noted the status 400."""

    def answer(request: HttpRequest) -> HttpResponseBase:
        if "\0" in request.path_info:
            raise WrongParameter("address", "it has the character U+0000: leave it out")
        for name, values in request.GET.lists():
            if "\0" in name or any("\0" in value for value in values):
                raise WrongParameter(name.replace("\0", ""), "it has the character U+0000: leave it out")
        response = get_response(request)
        if getattr(request, "wrong_parameters", None) and response.status_code == 200:
            response.status_code = 400
        return response

    return answer


def note(request: HttpRequest, name: str, problem: str) -> None:
    """Say on the page that this parameter cannot be, once."""
    noted: set[str] = request.__dict__.setdefault("wrong_parameters", set())
    if name not in noted:
        noted.add(name)
        messages.error(request, f"{name}: {problem}.")


def whole(request: HttpRequest, name: str, default: int, *, most: int) -> int:
    """A number from 0 to ``most``; the default where the address has none.

    Raises:
        WrongParameter: it is none.
    """
    text = request.GET.get(name, "")
    if not text:
        return default
    if not (text.isascii() and text.isdecimal() and len(text) < 20 and int(text) <= most):
        raise WrongParameter(name, f"{text[:SAID]!r} is no whole number from 0 to {most}")
    return int(text)


def one_of(request: HttpRequest, name: str, known: Collection[str], default: str = "") -> str:
    """One of the known values; the default where the address has none.

    Raises:
        WrongParameter: it is another one.
    """
    text = request.GET.get(name, "")
    if text and text not in known:
        raise WrongParameter(name, f"{text[:SAID]!r} means nothing here; {did_you_mean(text[:SAID], known)}")
    return text or default


def refuse_unknown(request: HttpRequest, known: Collection[str]) -> None:
    """An address with a parameter that means nothing is not the one that somebody wanted.

    Raises:
        WrongParameter: there is one.
    """
    for name in request.GET:
        if name not in known:
            raise WrongParameter(name, f"this list has no such filter; {did_you_mean(name[:SAID], known)}")


class NamesWrongParameters:
    """A list of Django's own: what it would answer with another page is a 400 that names the parameter."""

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """The list."""
        try:
            return super().get_changelist_instance(request)  # type: ignore[misc]
        except (IncorrectLookupParameters, DisallowedModelAdminLookup):
            names = ", ".join(sorted({*request.GET} - {*OF_LISTS})) or "address"
            raise WrongParameter(names, "this list has no such filter, or not with this value") from None


def bad_request(request: HttpRequest, exception: Any = None) -> HttpResponse:
    """The page of a 400. What Django finds suspicious is not told, or whoever tries would learn from it; sizes are."""
    told = str(exception) if isinstance(exception, (WrongParameter, *_TOO_MUCH)) else "The request is malformed."
    if problems.are_spoken(request):
        return problems.Refused(400, told).answer()
    return render(request, "furrow/refused.html", {"reason": told}, status=400)
