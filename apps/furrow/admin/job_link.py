"""A job in a cell of a list."""

from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from furrow.diagnosis.titles import title
from furrow.diagnosis.wording import plain
from furrow.models import Job


def job_link(job: Job) -> SafeString:
    """Kind, title and id, leading to its page."""
    about = title(job)
    return format_html(
        '<a class="fw-job" href="{}"><b>{}</b>{}<code>{}</code></a>',
        reverse("admin:furrow_job_change", args=[job.pk]),
        plain(job.kind),
        format_html('<span class="fw-about" title="{0}">{0}</span>', about) if about else "",
        job.pk,
    )
