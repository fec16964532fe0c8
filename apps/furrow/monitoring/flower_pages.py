"""Changes to Flower's pages on their way: a link back to the admin, links from tasks to jobs, no buttons for people who may
not press them."""

import re
import uuid

from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import reverse
from django.utils.html import format_html

from furrow.actions.permissions import may_view
from furrow.models import Job

#: The one script that stands in a page of Flower's: it tells the others whether to refresh.
_SCRIPT = re.compile(r"<script type=\"text/javascript\">(?=\s*var autorefresh = \w+;\s*</script>)")
_TASK = re.compile(r"/task/(?P<id>[0-9a-fA-F-]{32,36})/?$")


def rewrite(request: HttpRequest, page: str, *, may_act: bool) -> str:
    """The page's markup with what is said above. What does not look as expected stays as it is."""
    back = format_html('<li class="nav-item"><a class="nav-link" href="{}">Furrow</a></li>', reverse("admin:index"))
    page = page.replace('<ul class="app-nav navbar-nav">', f'<ul class="app-nav navbar-nav">{back}', 1)
    if not may_act:
        look = format_html('<link rel="stylesheet" href="{}">', static("furrow/flower_read_only.css"))
        page = page.replace("</head>", f"{look}</head>", 1)
    nonce = getattr(request, "csp_nonce", None)  # false until it is asked for
    if nonce is not None and _SCRIPT.search(page):
        page = _SCRIPT.sub(lambda _: str(format_html('<script nonce="{}">', nonce)), page, count=1)
    if (match := _TASK.search(request.path)) and may_view(request.user):
        page = _with_link(page, match["id"])
    return page


def _with_link(page: str, id: str) -> str:
    """To the job, also when Flower does not know the task (any more)."""
    try:
        job = Job.objects.filter(pk=uuid.UUID(id)).only("pk").first()
    except ValueError:
        return page
    if job is None:
        return page
    link = format_html(
        '<a class="btn btn-primary" href="{}">Open the job</a>', reverse("admin:furrow_job_change", args=[job.pk])
    )
    for place in ('<div class="detail-actions">', '<main class="app-content" id="main-content">'):
        if place in page:
            return page.replace(place, place + link, 1)
    return page
