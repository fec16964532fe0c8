"""Counts by minute, and signatures of errors."""

import django.db.models.functions.datetime
from django.db import migrations, models

from apps.jobs.states import State

#: Each commit makes new versions of a few rows: with room beside them they stay in their page, and no index changes.
STORAGE = {"jobs_rollup": "fillfactor = 50", "jobs_errorcount": "fillfactor = 50"}


def set_storage(apps, schema_editor):
    """On PostgreSQL; SQLite has nothing of the kind."""
    if schema_editor.connection.vendor == "postgresql":
        for table, parameters in STORAGE.items():
            schema_editor.execute(f"ALTER TABLE {table} SET ({parameters})")


class Migration(migrations.Migration):
    dependencies = [("jobs", "0004_limits")]

    operations = [
        migrations.CreateModel(
            name="Rollup",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        *("at", "seconds", "kind", "queue", "worker", "writer", "measure", "bucket"),
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("at", models.BigIntegerField()),
                ("seconds", models.IntegerField()),
                ("kind", models.CharField(max_length=200)),
                ("queue", models.CharField(max_length=100)),
                ("worker", models.UUIDField()),
                ("writer", models.IntegerField()),
                ("measure", models.CharField(max_length=10)),
                ("bucket", models.SmallIntegerField()),
                ("count", models.BigIntegerField()),
                ("total", models.FloatField()),
            ],
            options={"default_permissions": ()},
        ),
        migrations.CreateModel(
            name="ErrorGroup",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "kind", "signature", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("kind", models.CharField(max_length=200)),
                ("signature", models.CharField(max_length=16)),
                ("error_type", models.CharField(max_length=200)),
                ("message", models.CharField(max_length=500)),
                ("first_seen", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
            options={"default_permissions": ()},
        ),
        migrations.CreateModel(
            name="ErrorCount",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        *("at", "seconds", "kind", "signature", "writer"),
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("at", models.BigIntegerField()),
                ("seconds", models.IntegerField()),
                ("kind", models.CharField(max_length=200)),
                ("signature", models.CharField(max_length=16)),
                ("writer", models.IntegerField()),
                ("runs", models.BigIntegerField()),
                ("jobs", models.BigIntegerField()),
            ],
            options={"default_permissions": ()},
        ),
        migrations.AddField(
            model_name="job",
            name="signature",
            field=models.CharField(blank=True, db_default="", default="", editable=False, max_length=16),
        ),
        migrations.AddIndex(
            model_name="job",
            index=models.Index(fields=["signature", "-id"], name="job_signature", condition=models.Q(state=State.FAILED)),
        ),
        migrations.RunPython(set_storage, migrations.RunPython.noop),
    ]
