"""Health for load balancers and supervisors: plain, unauthenticated, without details for outsiders; and the sidebar's
search."""

from typing import Any

from django.contrib import admin
from django.db import DatabaseError
from django.http import HttpRequest, JsonResponse

from furrow.models.database import connection
from furrow.web.parameters import whole


def live(request: HttpRequest) -> JsonResponse:
    """The process answers."""
    return JsonResponse({"status": "ok"})


def ready(request: HttpRequest) -> JsonResponse:
    """The process can do its work: the database answers. 503 when it does not."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        return JsonResponse({"status": "the database does not answer"}, status=503)
    return JsonResponse({"status": "ok"})


def search(request: HttpRequest) -> Any:
    """The theme's search, which takes any page for a number."""
    whole(request, "page", 1, most=1_000)
    return admin.site.search(request)  # type: ignore[attr-defined]
