"""Messages that could not be used are kept; and what the dispatcher found where rows, messages and processes disagree."""

from django.db import migrations, models
from django.db.models.functions import Now


class Migration(migrations.Migration):
    dependencies = [("jobs", "0002_queue_table")]

    operations = [
        migrations.CreateModel(
            name="Drift",
            fields=[
                ("name", models.CharField(max_length=50, primary_key=True, serialize=False)),
                ("found", models.IntegerField(default=0)),
                ("repaired", models.BigIntegerField(default=0)),
                ("looked_at", models.DateTimeField()),
                ("found_at", models.DateTimeField(blank=True, null=True)),
                ("repaired_at", models.DateTimeField(blank=True, null=True)),
            ],
            options={"verbose_name_plural": "drift", "ordering": ["name"], "default_permissions": ("view",)},
        ),
        migrations.CreateModel(
            name="DeadMessage",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("received_at", models.DateTimeField(db_default=Now())),
                ("reason", models.TextField()),
                ("worker", models.CharField(blank=True, default="", max_length=255)),
                ("exchange", models.CharField(blank=True, default="", max_length=255)),
                ("routing_key", models.CharField(blank=True, default="", max_length=255)),
                ("properties", models.TextField(default="{}")),
                ("body", models.BinaryField(default=b"")),
                ("size", models.BigIntegerField(default=0)),
            ],
            options={
                "ordering": ["-id"],
                "permissions": [("replay_deadmessage", "Can replay dead messages")],
                "default_permissions": ("view", "delete"),
                "indexes": [models.Index(fields=["received_at"], name="dead_message_received")],
            },
        ),
    ]
