"""Somebody uses the shop; what was seen is printed as JSON. ``python visit.py own`` or ``python visit.py jobs``."""

import json
import os
import sys
import time
import uuid
from collections.abc import Callable
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")
django.setup()

from apps.orders import tasks  # noqa: E402
from apps.orders.models import Order  # noqa: E402
from django.apps import apps  # noqa: E402
from django.contrib.auth import get_user_model  # noqa: E402
from django.db import connection  # noqa: E402
from django.test import Client  # noqa: E402
from shop.admin import site  # noqa: E402

EMAIL = "ada@shop.example"


def until(condition: Callable[[], Any], what: str) -> Any:
    """What the condition gives once it holds."""
    deadline = time.monotonic() + 60
    while not (found := condition()):
        if time.monotonic() > deadline:
            sys.exit(f"not within a minute: {what}")
        time.sleep(0.05)
    return found


def visitor() -> Client:
    """Somebody who is logged in to the back office with an e-mail address."""
    users = get_user_model().objects
    client = Client()
    client.force_login(users.filter(email=EMAIL).first() or users.create_superuser(EMAIL, "secret"))
    return client


def own() -> dict[str, Any]:
    """What is the shop's alone."""
    client = visitor()
    placed = client.post("/orders/", {"customer": "ada"}).json()
    receipt = until(lambda: Order.objects.get(pk=placed["order"]).receipt, "the receipt")
    refused = client.post("/orders/", {"customer": "thief"})
    return {
        "receipt": receipt,
        "refused": [refused.status_code, Order.objects.filter(customer="thief").count()],
        "result": tasks.add.delay(2, 3).get(timeout=60),
        "later": tasks.add.apply_async([3, 4], countdown=0.5).get(timeout=60),
        "not found": client.get("/nothing/").content.decode(),
        "forbidden": client.get("/staff/").content.decode(),
        "back office": {
            f"{model._meta.label}": [f"{type(shown).__module__}.{type(shown).__qualname__}", page(client, model)]
            for model, shown in sorted(site._registry.items(), key=lambda item: item[0]._meta.label)
            if model._meta.app_label != "furrow"
        },
        "vacancies": apps.get_model("jobs", "Job").objects.count(),
        "logging": __import__("logging").getLogger("apps").handlers[0].formatter._fmt,
    }


def page(client: Client, model: Any, rest: str = "") -> int:
    """The status of a list in the back office."""
    return client.get(f"/back-office/{model._meta.app_label}/{model._meta.model_name}/{rest}").status_code


def jobs() -> dict[str, Any]:
    """What Furrow adds."""
    Job = apps.get_model("furrow", "Job")
    client = visitor()
    Job.objects.all().delete()
    placed = client.post("/orders/", {"customer": "ada"}).json()["order"]
    refused = client.post("/orders/", {"customer": "thief"}).json()["refused"]
    job = Job.objects.get()
    until(lambda: not apps.get_model("furrow", "Job").objects.exclude(state="succeeded").exists(), "the job's end")
    job.refresh_from_db()
    sent = tasks.charge.delay(placed)
    listed = client.get("/back-office/furrow/job/").content.decode()
    shown = client.get(f"/back-office/furrow/job/{job.pk}/change/")
    hook = apps.get_model("furrow", "Webhook").objects.create(name="shop", url="https://shop.example/", active=False)
    buttons = client.get(f"/back-office/furrow/webhook/{hook.pk}/change/").content.decode()
    hook.delete()
    return {
        "kind": job.kind,
        "arguments": job.arguments == {"order_id": placed} and placed != refused,
        "result": job.result == {"charged": placed},
        "delay": sent.get(timeout=60) == {"charged": placed},
        "by send_task": tasks.send_receipt.app.send_task(job.kind, [placed]).get(timeout=60) == {"charged": placed},
        "listed": str(job.pk) in listed or str(job.pk)[:8] in listed,
        "page": [shown.status_code, "charging order" in shown.content.decode()],
        "output": client.get(f"/back-office/furrow/job/{job.pk}/output/").status_code,
        "buttons": "Send a test event" in buttons,
        "lists": {model._meta.model_name: page(client, model) for model in site._registry if model._meta.app_label == "furrow"},
        "submit": [page(client, Job, "submit/"), page(client, Job, f"submit/{job.kind}/")],
        "unknown job": client.get(f"/back-office/furrow/job/{uuid.uuid4()}/change/").status_code,
    }


def tables() -> list[str]:
    """What the database has."""
    return sorted(connection.introspection.table_names())


print("\nSEEN", json.dumps({"own": own, "jobs": jobs, "tables": tables}[sys.argv[1]]()))
