"""Since when the leader has trouble; the audit log's name."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("jobs", "0009_sessions")]

    operations = [
        migrations.AddField("leader", "troubled_since", models.DateTimeField(blank=True, null=True)),
        migrations.AlterModelOptions(
            "auditentry",
            {"ordering": ["-id"], "verbose_name": "audit log entry", "verbose_name_plural": "audit log entries"},
        ),
    ]
