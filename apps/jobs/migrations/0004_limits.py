"""Locks, limits, uniqueness and order, declared by kinds."""

from django.db import migrations, models
from django.db.models import Q

from apps.jobs.states import FINAL, State

DUE = ["queue", "priority", "run_at", "id"]

COLUMNS = {
    "limits": models.JSONField(blank=True, null=True),
    "held": models.CharField(blank=True, db_default="", default="", max_length=210),
    "order_key": models.CharField(blank=True, max_length=210, null=True),
    "fair_key": models.CharField(blank=True, max_length=210, null=True),
    "unique_key": models.CharField(blank=True, max_length=210, null=True),
    "unique_until": models.CharField(blank=True, db_default="", default="", max_length=7),
    "unique_expires_at": models.DateTimeField(blank=True, null=True),
}
INDEXES = [
    models.Index(fields=DUE, name="job_due", condition=Q(state=State.PENDING, limits__isnull=True)),
    models.Index(fields=DUE, name="job_limited", condition=Q(state=State.PENDING, limits__isnull=False, held="")),
    models.Index(fields=["held", "priority", "run_at", "id"], name="job_held", condition=Q(state=State.PENDING) & ~Q(held="")),
    models.Index(fields=["queue", "fair_key", "priority", "run_at", "id"], name="job_fair", condition=Q(state=State.PENDING, held="fair")),
    models.Index(
        fields=["order_key", "id"],
        name="job_order",
        condition=Q(order_key__isnull=False, state__in=sorted(set(State) - FINAL)),
    ),
]


class Migration(migrations.Migration):
    dependencies = [("jobs", "0003_dead_messages")]

    operations = [
        migrations.CreateModel(
            name="Hold",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "key", "slot", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("key", models.CharField(max_length=210)),
                ("slot", models.IntegerField()),
                ("job", models.UUIDField(null=True)),
                ("period", models.FloatField(null=True)),
                ("free_at", models.DateTimeField(null=True)),
                ("ordered", models.BooleanField(default=False)),
            ],
            options={
                "indexes": [
                    models.Index(fields=["job"], name="hold_job"),
                    models.Index(fields=["free_at"], name="hold_free", condition=Q(free_at__isnull=False)),
                ],
            },
        ),
        migrations.RemoveIndex("job", "job_due"),
        *(migrations.AddField("job", name, field) for name, field in COLUMNS.items()),
        *(migrations.AddIndex("job", index) for index in INDEXES),
        migrations.AddConstraint(
            "job", models.UniqueConstraint(fields=["unique_key"], name="job_unique", condition=Q(unique_key__isnull=False))
        ),
    ]
