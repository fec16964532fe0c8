"""The errors page: failures that are alike, grouped, with their frequency over time."""

from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.http import require_GET

from furrow.actions.permissions import may_act, may_view
from furrow.admin import live
from furrow.diagnosis.error_groups import PERIODS, USUAL, error_groups
from furrow.kinds.kind import all_kinds
from furrow.monitoring.charts import sparkline
from furrow.statements import clock
from furrow.states import State
from furrow.web.parameters import one_of

_BODY = "furrow/monitoring/errors_body.html"


@require_GET
def errors(request: HttpRequest) -> HttpResponse:
    """The page. ``?period=`` is one of ``PERIODS``, ``?kind=`` narrows it."""
    facts = _facts(request)
    address = f"{reverse('furrow:errors_live')}?{urlencode({name: facts[name] for name in ('period', 'kind')})}"
    return live.page(request, _BODY, facts, title="Errors", address=address, around="furrow/monitoring/errors.html", every=4000)


@require_GET
def errors_live(request: HttpRequest) -> HttpResponse:
    """The part that changes."""
    return live.answer(request, _BODY, _facts(request))


def _facts(request: HttpRequest) -> dict[str, Any]:
    if not may_view(request.user):
        raise PermissionDenied
    period, kind = one_of(request, "period", PERIODS, USUAL), request.GET.get("kind", "")
    groups, total = error_groups(clock.now(), PERIODS[period] * 3600, [kind] if kind else ())
    return {
        "period": period,
        "periods": list(PERIODS),
        "kind": kind,
        "kinds": [known.name for known in all_kinds()],
        "groups": [_shown(group) for group in groups],
        "more": total - len(groups),
        "may_act": may_act(request.user),
    }


def _shown(group: dict[str, Any]) -> dict[str, Any]:
    query = urlencode({"state": State.FAILED.value, "kind": group["kind"], "fingerprint": group["fingerprint"]})
    return {**group, "spark": sparkline(group["frequency"]), "query": query}
