"""Hostile texts in arguments, results, errors, logs and names: shown, and harmless."""

import json
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone
from furrow import Attempt, Job, LogLine, State, submit
from furrow.actions.audit import audit
from furrow.diagnosis.wording import plain, traceback
from furrow.kinds.docstrings import first_line

from tests import kinds

pytestmark = [pytest.mark.django_db, pytest.mark.filterwarnings("ignore:No directory at")]

HTML = "</pre></textarea></script><script>alert(1)</script><img src=x onerror=alert(1)>"
ANSI = "\x1b[31mred\x1b[0m \x1b]0;title\x07\x1b[2J\x9b1m bell\x07"
BIDI = "user\u202egpj.exe \u2066x\u2069 \u200f\ufeff"
HUGE = "x" * 1024 * 1024
HOSTILE = f"{HTML}{ANSI}{BIDI}"
UNSEEN = ("\x1b", "\x07", "\x9b", "\u202e", "\u2066", "\u2069", "\u200f", "\x00")


def hostile_job(**columns: Any) -> Job:
    job, now = submit(kinds.noop), timezone.now()
    given = {
        "kind": HTML[:50] + BIDI, "queue": HTML[:40], "state": State.FAILED, "finished_at": now, "started_at": now,
        "attempt": 1,
        "error": HOSTILE, "progress_note": HOSTILE[:200], "arguments": {HTML: [HOSTILE, {"deep": BIDI}]}, "tags": [HTML, BIDI],
        "fingerprint": "0" * 16,
    }  # fmt: skip
    Job.objects.filter(pk=job.pk).update(**{**given, **columns})
    Attempt.objects.create(
        job=job, number=1, outcome="failed", started_at=now, finished_at=now, error_type=HTML, error=HOSTILE, traceback=HOSTILE
    )
    LogLine.objects.create(job=job, attempt=1, at=now, level=20, logger=HOSTILE, message=HOSTILE)
    audit("cancel", by=HOSTILE[:100], origin="admin", target=HOSTILE, job=job.pk, criteria={"q": HOSTILE}, detail=HOSTILE)
    return job


def test_nothing_hostile_reaches_a_page(admin_client: Client) -> None:
    job = hostile_job()
    second = hostile_job()
    assert first_line(f"{HOSTILE}\n\nmore")
    for path in (
        "furrow/job/", f"furrow/job/{job.pk}/change/", "furrow/attempt/", "furrow/logline/", "furrow/auditentry/",
        f"furrow/job/{job.pk}/change/?find=alert&level=10", f"furrow/job/bulk/?kind={HTML}&action=cancel&q={HTML}",
        f"furrow/job/?q={HTML}", f"furrow/job/?tag={HTML}", f"furrow/attempt/{Attempt.objects.all()[0].pk}/change/",
        f"furrow/logline/{LogLine.objects.all()[0].pk}/change/",
    ):  # fmt: skip
        answer = admin_client.get(f"/admin/{path}")
        text = answer.content.decode()
        assert answer.status_code == 200, path
        assert "<script>alert(1)" not in text, path
        assert "<img src=x" not in text, path
        for character in UNSEEN:
            assert character not in text, (path, character)
    page = admin_client.get(f"/admin/furrow/job/{job.pk}/change/").content.decode()
    assert "⟨U+202E⟩" in page
    assert f"fingerprint={'0' * 16}" in page
    assert second.pk
    live = json.loads(admin_client.get(f"/admin/furrow/job/{job.pk}/live/").content)
    assert "<script>" not in live["body"] + live["lines"]
    assert not any(character in live["body"] + live["lines"] for character in UNSEEN)


def test_files_are_downloads_and_no_pages(admin_client: Client) -> None:
    job = hostile_job()
    for path in ("json/arguments/", "json/result/", "log/"):
        answer = admin_client.get(f"/admin/furrow/job/{job.pk}/{path}")
        assert answer["Content-Disposition"].startswith("attachment")
        assert answer["X-Content-Type-Options"] == "nosniff"
        assert not answer["Content-Type"].startswith("text/html")
    text = b"".join(answer.streaming_content).decode()  # type: ignore[attr-defined]
    assert not any(character in text for character in UNSEEN), "a terminal would do what it says"


def test_a_megabyte_is_cut(admin_client: Client) -> None:
    job = hostile_job(arguments={"text": HUGE, "more": HTML}, error=HUGE, progress_note="x" * 200)
    Attempt.objects.filter(job=job.pk).update(error=HUGE, traceback=HUGE)
    LogLine.objects.create(job=job, attempt=1, at=timezone.now(), level=20, message=HUGE[:8_000])
    for path in ("furrow/job/", f"furrow/job/{job.pk}/change/", "furrow/attempt/", "furrow/logline/", "furrow/job/?q=xxxxxxxx"):
        assert len(admin_client.get(f"/admin/{path}").content) < 250_000, path


def test_secrets_are_nowhere(admin_client: Client) -> None:
    job = submit(kinds.keeps, {"word": "hunter2", "text": "y" * 200_000})
    assert job.arguments["word"] == {"$secret": "hunter2"}
    other = submit(kinds.keeps, {"word": "hunter2" * 20_000})
    for one in (job, other):
        for path in ("change/", "live/", "json/arguments/"):
            assert b"hunter2" not in admin_client.get(f"/admin/furrow/job/{one.pk}/{path}").content
    assert b"hunter2" not in admin_client.get(f"/admin/furrow/job/submit/kinds.keeps/?again={job.pk}").content
    assert admin_client.get("/admin/furrow/job/?q=hunter2").context["cl"].result_list == []


def test_no_column_is_compared_from_an_address(admin_client: Client) -> None:
    submit(kinds.keeps, {"word": "hunter2"})
    for query in (
        "arguments__icontains=hunter2",
        "arguments__word__contains=hunter2",
        "error__startswith=x",
        "submitted_by__password=x",
    ):
        for table in ("job", "attempt", "logline"):
            answer = admin_client.get(f"/admin/furrow/{table}/?{query}")
            assert answer.status_code in (302, 400), query
    assert admin_client.get("/admin/furrow/logline/?job__arguments__icontains=hunter2").status_code in (302, 400)


def test_numbers_with_too_many_digits_are_no_error(admin_client: Client) -> None:
    job = submit(kinds.noop)
    for page in ("job", "attempt", "logline"):
        for digits in (26, 5_000):
            assert admin_client.get(f"/admin/furrow/{page}/?after={'9' * digits}").status_code == 400
            assert admin_client.get(f"/admin/furrow/{page}/?before={'9' * digits}").status_code == 400
    assert admin_client.post(f"/admin/furrow/job/{job.pk}/snooze/", {"minutes": "9" * 5_000}).status_code == 302
    assert admin_client.post(f"/admin/furrow/job/{job.pk}/snooze/", {"until": "0001-01-01"}).status_code == 302
    assert admin_client.post("/admin/furrow/lock/break/", {"lock": "x", "token": "9" * 5_000}).status_code == 302
    assert admin_client.get("/admin/furrow/job/?since=0001-01-01").status_code == 400


def test_texts_are_made_plain() -> None:
    assert plain("a\x1b[1;31mb\x1b[0m\tc\r\nd") == "ab\tc\nd"
    assert plain("\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\") == "link"
    assert plain("\x00\x08") == "⟨U+0000⟩⟨U+0008⟩"
    assert plain("naïve 日本 עברית 👍🏽") == "naïve 日本 עברית 👍🏽"
    text = traceback(
        'Traceback:\n  File "/x/site-packages/lib.py", line 1\n    <b>\n  File "/app/own.py"\n    mine()\nError: x'
    )
    assert '<span class="fw-foreign">    &lt;b&gt;\n</span>' in text
    assert '<span class="fw-own">    mine()\n</span>' in text


def test_a_nul_in_an_address_is_refused_by_the_parameters_name(admin_client: Client) -> None:
    page = f"/admin/furrow/job/{submit(kinds.noop).pk}/change/"
    for path, name in (
        *(("/admin/furrow/job/", name) for name in ("q", "kind", "tag", "worker", "by", "since", "queue", "after", "nonsense")),
        *((page, name) for name in ("find", "level")),
        *(("/admin/furrow/auditentry/", name) for name in ("who", "action", "q")),
        ("/admin/auth/user/", "username"),
        ("/admin/search/", "s"),
    ):
        answer = admin_client.get(f"{path}?{name}=a%00b")
        assert (answer.status_code, f"{name}: it has the character U+0000" in answer.content.decode()) == (400, True), (
            path,
            name,
        )
    assert admin_client.get("/admin/furrow/queue/a%00b/change/").status_code == 400
    assert connection.vendor
