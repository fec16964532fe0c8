"""``{{ job.created_at|moment }}``, ``{{ seconds|span }}``, ``{{ job.state|label }}``: :mod:`furrow.diagnosis.wording`."""

import datetime as dt
import logging
import re
from typing import Any

from django import template
from django.contrib.admin.views.main import ChangeList
from django.templatetags.static import static
from django.urls import reverse
from django.utils import timezone
from django.utils.html import escape, format_html
from django.utils.safestring import SafeString, mark_safe

from furrow.diagnosis import titles, wording
from furrow.diagnosis.commands import flower_command, worker_command
from furrow.diagnosis.reason import Reason
from furrow.models import Job
from furrow.streaming.tokens import USUAL, output_url

register = template.Library()
register.simple_tag(worker_command)
register.simple_tag(flower_command)
register.filter("moment", wording.moment)
register.filter("exact", wording.exact)
register.filter("span", wording.span)
register.filter("size", wording.size)
register.filter("label", wording.label)
register.filter("colour", wording.colour)
register.filter("progress_bar", wording.progress_bar)
register.filter("plain", wording.plain)
register.filter("traceback", wording.traceback)
register.filter("error_line", wording.error_line)


@register.simple_tag
def job_output(job: Job, seconds: int = USUAL) -> SafeString:
    """``{% job_output job %}``: the job's progress and output, live, on a page of the application. Who gets the page may read
    them for so many seconds."""
    return format_html('<script src="{}" data-url="{}" async></script>', static("furrow/output.js"), output_url(job, seconds))


@register.filter
def number(value: int) -> str:
    """A number with separators between thousands."""
    return f"{value:,}"


register.filter("title_of", titles.title)


@register.filter
def dotted(name: str) -> SafeString:
    """A dotted name, which may go on in the next line after a dot or an underscore."""
    return mark_safe(re.sub(r"([._])", r"\1<wbr>", escape(name)))  # noqa: S308 - escaped


@register.filter
def state_links(changelist: ChangeList) -> list[dict[str, Any]]:
    """The list of jobs (or workflows) narrowed to each state, keeping its other filters."""
    chosen = changelist.params.get("state") or changelist.filter_params.get("state", [""])[0]
    links = [{"text": "all", "link": changelist.get_query_string(remove=["state"]), "selected": not chosen}]
    of_model: Any = changelist.model._meta.get_field("state")
    for state, _text in of_model.choices:
        link = changelist.get_query_string({"state": state})
        links.append({"text": state, "link": link, "selected": chosen == state})
    return links


@register.filter
def criteria_query(changelist: ChangeList) -> str:
    """The list's filters and search, as an address has them."""
    return changelist.get_query_string()


@register.filter
def short(text: str) -> str:
    """The beginning of a text."""
    return wording.shorten(text, 80)


@register.filter
def json_text(text: str) -> str:
    """A JSON text with indentation, the beginning of a long one."""
    return wording.plain(wording.pretty_json(text))[: wording.SHOWN]


@register.filter
def clock(when: dt.datetime) -> str:
    """The time of day to the millisecond, in the current time zone."""
    local = timezone.localtime(when)
    return f"{local:%H:%M:%S}.{local.microsecond // 1000:03d}"


@register.filter
def level_class(level: int) -> int:
    """The level of logging at or below this one."""
    return min(50, max(0, level // 10 * 10))


@register.filter
def level_name(level: int) -> str:
    """The level in words."""
    return logging.getLevelName(level_class(level)).lower()


@register.filter
def with_links(reason: Reason) -> SafeString:
    """Why a job waits; the jobs that it names lead to their pages, and those that it does not name follow."""
    text = SafeString(escape(wording.plain(reason.text)))
    for id in reason.jobs:
        link = format_html('<a href="{}">{}</a>', reverse("admin:furrow_job_change", args=[id]), f"…{str(id)[-6:]}")
        text = SafeString(text.replace(str(id), link)) if str(id) in text else format_html("{}, {}", text, link)
    return text
