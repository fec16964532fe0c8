"""Every address of the site, asked as nobody would: no answer is a 500, and a parameter that cannot be is named."""

import re
from collections.abc import Iterator
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from django.contrib import admin
from django.db import transaction
from django.test import Client
from furrow import submit

from tests import kinds
from tests.integration.test_permission_matrix import address, routes, samples
from tests.permission_matrix import MATRIX
from tests.thorough import first_of

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.filterwarnings("ignore:No directory at"),
    pytest.mark.filterwarnings("ignore:Overriding setting"),
]

#: Values that no parameter can have: not finite, no text, too long, out of every calendar.
VALUES = (
    *("NaN", "9" * 26, "9" * 5_000, "\N{ARABIC-INDIC DIGIT THREE}", "0001-01-01", "9999-12-31T23:59"),
    *("\ud800", "a=NaN", 'a="\\ud800"', "%s\\'"),
)
#: The same as JSON, as bytes of a form, and as what only looks like one.
BODIES = (
    ("application/json", b"[" * 5_000),
    ("application/x-www-form-urlencoded", b"a=%00&text=%ED%A0%80&id=%00&action=%00&minutes=" + b"9" * 5_000),
    ("multipart/form-data", b"--x"),
    ("multipart/form-data; boundary=x", b"--x\r\nContent-Disposition: form-data; name=a; filename=\xff\r\n\r\n"),
    ("\x00/\xff", b"\xff\xfe\x00"),
)
NUL = "/a%00b"
#: Into how many parts the requests to each address are divided: a query, a body and a method in the first.
PARTS = 4


@pytest.mark.parametrize("part", first_of(range(PARTS)))
def test_no_address_breaks(site: Client, samples: dict[str, Any], part: int) -> None:
    site.raise_request_exception = False
    wrong = []
    for route in routes():
        where = address(route, MATRIX[route], samples)
        for what, answer in answers(site, where, part):
            if answer.status_code >= 500 and not where.startswith("/flower"):  # 502: there is no Flower here
                wrong.append(f"{what} {where}: {answer.status_code}")
    assert not wrong, "\n".join(wrong)


def answers(site: Client, where: str, part: int) -> Iterator[tuple[str, Any]]:
    """What this address says to each request of this part; what they change is undone."""
    said = quoted(VALUES)
    requests: list[tuple[str, Any]] = [
        *((f"GET ?{text[:30]}", lambda text=text: site.get(f"{where}?{text}")) for text in ("=&&%zz=%&\xff=%ff", *said[:2])),
        *((f"POST {kind}", lambda kind=kind, body=body: site.generic("POST", where, body, kind)) for kind, body in BODIES),
        *((method, lambda method=method: site.generic(method, where)) for method in ("DELETE", "HEAD")),
        ("cookies", lambda: site.get(where, HTTP_COOKIE="furrow_zone=../../etc/passwd; csrftoken=\x00; messages=x; a=\xff")),
    ]
    for what, send in requests[part::PARTS]:
        cookies = SimpleCookie(site.cookies)
        with transaction.atomic():
            answer: Any = send()
            if answer.streaming:
                b"".join(answer.streaming_content)
            transaction.set_rollback(True)
        site.cookies = cookies
        yield what, answer


def quoted(values: tuple[str, ...]) -> list[str]:
    """Queries, each with one of the values in the names that any page has."""
    names = ("q", "after", "page", "mark", "again", "next", "s", "term", "a", "object_id", "p")
    return [urlencode([(name, value.encode("utf-8", "surrogatepass")) for name in names]) for value in values]


@pytest.mark.parametrize("value", first_of(VALUES[::2]), ids=lambda value: ascii(value[:12]))
def test_each_parameter_of_a_list_with_values_that_cannot_be(site: Client, value: str) -> None:
    submit(kinds.add, {"a": 1})
    site.raise_request_exception = False
    wrong = []
    for list_page, names in parameters().items():
        for name in names:
            answer = site.get(f"{list_page}?{urlencode({name: value.encode('utf-8', 'surrogatepass')})}")
            if answer.status_code not in (200, 302, 400):
                wrong.append(f"{list_page}?{name}: {answer.status_code}")
    assert not wrong, "\n".join(wrong)


def parameters() -> dict[str, list[str]]:
    """The parameters of each page that has some, by its address."""
    found = {}
    for model, own in admin.site._registry.items():
        filters = [getattr(one, "parameter_name", one) for one in own.list_filter]
        names = [str(one) for one in filters if isinstance(one, str)]
        found[f"/admin/{model._meta.app_label}/{model._meta.model_name}/"] = [
            *names,
            "q",
            "after",
            "before",
            "patient",
            "p",
            "o",
        ]
    found["/admin/furrow/worker/all/"] = ["q", "after", "before", "patient"]
    return found


@pytest.mark.parametrize(
    ("path", "name"),
    [
        *(("furrow/job/", name) for name in ("state", "created", "since", "until", "by", "batch", "again_of", "after")),
        ("furrow/job/", "before"),
        *(("furrow/job/", name) for name in ("patient", "nonsense", "arguments__icontains")),
        *(("furrow/attempt/", name) for name in ("outcome", "job", "after")),
        *(("furrow/logline/", name) for name in ("level", "job", "before")),
        *(("furrow/auditentry/", name) for name in ("origin", "at", "job")),
        ("django_celery_results/taskresult/", "status"),
        ("auth/user/", "is_staff__exact"), ("auth/user/", "nonsense"), ("auth/group/", "nonsense"),
        *(("furrow/job/bulk/", name) for name in ("state", "since", "action")),
        *(("{job}change/", name) for name in ("attempt", "level")),
        *(("{job}live/", name) for name in ("attempt", "level", "after")),
        ("{job}log/", "attempt"), ("errors/", "period"), ("errors/live/", "period"),
        ("furrow/job/submit/kinds.add/", "again"), ("furrow/job/submit/kinds.greets/rows/user/", "page"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("value", first_of(["NaN", "9" * 5_000]))
def test_a_parameter_that_cannot_be_is_refused_by_its_name(site: Client, path: str, name: str, value: str) -> None:
    job = submit(kinds.add, {"a": 1})
    answer = site.get(f"/admin/{path.format(job=f'furrow/job/{job.pk}/')}?{urlencode({name: value})}")
    page = re.sub(r"<(input|a|option|select)\b[^>]*>", "", answer.content.decode())
    assert answer.status_code == 400
    assert re.search(rf"\b{name}: ", page), page[-3_000:]


def test_a_path_that_cannot_be(site: Client) -> None:
    for path in ("/\x00", NUL, "/%ff", "/admin/furrow/job/%ED%A0%80/change/", f"/admin/furrow/job/{'9' * 5_000}/change/",
                 f"/admin/auth/user/{'9' * 26}/change/", f"/admin/furrow/attempt/{'9' * 26}/change/",
                 f"/admin/furrow/deadmessage/{'9' * 26}/replay/", "/admin/furrow/queue/%s/",
                 "/admin/furrow/leader/_FF/change/", f"/admin/r/{'9' * 26}/x/", "/admin/furrow/job/submit/%f0/"):  # fmt: skip
        for method in ("GET", "POST"):
            answer = site.generic(method, path if "%" in path else quote(path))
            assert answer.status_code in (301, 302, 400, 403, 404, 405), (method, path, answer.status_code)


__all__ = ["samples"]
