from django.conf import settings
from django.db import migrations, models

from furrow.statements import guards


def guard(apps, schema_editor):
    """Writes of times that nobody could read are refused, in the new columns too."""
    guards.install(schema_editor.connection, [apps.get_model("furrow", "workflow")])


def unguard(apps, schema_editor):
    """Before the columns go: on SQLite triggers that name them keep them from going."""
    guards.remove(schema_editor.connection, [apps.get_model("furrow", "workflow")])


class Migration(migrations.Migration):
    dependencies = [
        ("furrow", "0004_step"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AlterModelOptions(
            name="workflow",
            options={
                "ordering": ["-id"],
                "permissions": [("act_on_workflow", "Can cancel, pause, restart and fork workflows")],
            },
        ),
        migrations.AddField(
            model_name="workflow",
            name="cancel_requested_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="workflow",
            name="expires_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="workflow",
            name="reason",
            field=models.CharField(blank=True, db_default="", default="", max_length=500),
        ),
        migrations.AddIndex(
            model_name="workflow",
            index=models.Index(
                condition=models.Q(("cancel_requested_at__isnull", True), ("expires_at__isnull", False), ("state", "running")),
                fields=["expires_at"],
                name="furrow_workflow_expiring",
            ),
        ),
        migrations.RunPython(guard, unguard),
    ]
