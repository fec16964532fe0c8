"""Writes of times and JSON that nobody could read are refused."""

from django.db import migrations

from apps.jobs import guards


def install(apps, schema_editor):
    guards.install(schema_editor.connection, apps.get_models())


def remove(apps, schema_editor):
    guards.remove(schema_editor.connection, apps.get_models())


class Migration(migrations.Migration):
    dependencies = [("jobs", "0011_troubles")]

    operations = [migrations.RunPython(install, remove)]
