from django.conf import settings
from django.db import migrations, models

import furrow.models.users
from furrow.statements import guards


def guard(apps, schema_editor):
    """Writes of times that nobody could read are refused, in the new column too."""
    guards.install(schema_editor.connection, [apps.get_model("furrow", "schedule")])


def unguard(apps, schema_editor):
    """Before the columns go: on SQLite triggers that name them keep them from going."""
    guards.remove(schema_editor.connection, [apps.get_model("furrow", "schedule")])


class Migration(migrations.Migration):
    dependencies = [
        ("furrow", "0009_backfill"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name="schedule",
            name="declared_at",
            field=models.DateTimeField(blank=True, editable=False, null=True),
        ),
        migrations.AddField(
            model_name="schedule",
            name="submitted_by",
            field=models.ForeignKey(
                blank=True,
                db_constraint=False,
                db_index=False,
                null=True,
                on_delete=furrow.models.users.forget_user,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.RunPython(guard, unguard),
    ]
