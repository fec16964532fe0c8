"""Tags, actions on many jobs, and who did what."""

import django.db.models.deletion
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models

from apps.jobs.models.audit_entry import Origin
from apps.jobs.states import State


def index_tags(apps, schema_editor):
    """Only jobs that have tags are in it. SQLite looks through the rows."""
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("CREATE INDEX job_tags ON jobs_job USING gin (tags jsonb_path_ops) WHERE tags IS NOT NULL")


def drop_index(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("DROP INDEX job_tags")


class Migration(migrations.Migration):
    dependencies = [("jobs", "0006_queues"), migrations.swappable_dependency(settings.AUTH_USER_MODEL)]

    operations = [
        migrations.AddField("job", "tags", models.JSONField(blank=True, null=True)),
        migrations.AddField("job", "again_of", models.UUIDField(blank=True, null=True)),
        migrations.AddIndex(
            "job",
            models.Index(
                fields=["state", "-id"],
                name="job_unwell",
                condition=models.Q(state__in=[State.FAILED, State.CANCELLED, State.WAITING]),
            ),
        ),
        migrations.AddIndex(
            "job", models.Index(fields=["again_of"], name="job_again", condition=models.Q(again_of__isnull=False))
        ),
        migrations.AddIndex(
            "job",
            models.Index(
                fields=["submitted_by", "-id"], name="job_submitter", condition=models.Q(submitted_by__isnull=False)
            ),
        ),
        migrations.RunPython(index_tags, drop_index),
        migrations.CreateModel(
            "AuditEntry",
            [
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ("who", models.CharField(blank=True, default="", max_length=200)),
                (
                    "user",
                    models.ForeignKey(
                        blank=True,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                ("origin", models.CharField(choices=[(o.value, o.value) for o in Origin], max_length=12)),
                ("action", models.CharField(max_length=40)),
                ("target", models.CharField(blank=True, default="", max_length=300)),
                ("job", models.UUIDField(blank=True, null=True)),
                ("selection", models.JSONField(blank=True, default=dict)),
                ("count", models.BigIntegerField(default=1)),
                ("detail", models.CharField(blank=True, default="", max_length=500)),
                ("reached", models.UUIDField(blank=True, editable=False, null=True)),
            ],
            {
                "verbose_name": "audit entry",
                "verbose_name_plural": "audit entries",
                "ordering": ["-id"],
                "indexes": [models.Index(fields=["job"], name="audit_job", condition=models.Q(job__isnull=False))],
            },
        ),
    ]
