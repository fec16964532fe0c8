import django.db.models.functions.datetime
from django.db import migrations, models

from furrow.statements import guards


def guard(apps, schema_editor):
    """Writes of times that nobody could read are refused."""
    guards.install(schema_editor.connection, [apps.get_model("furrow", "bridgedmessage")])


def unguard(apps, schema_editor):
    guards.remove(schema_editor.connection, [apps.get_model("furrow", "bridgedmessage")])


class Migration(migrations.Migration):

    dependencies = [
        ('furrow', '0001_initial'),
    ]

    operations = [
        migrations.CreateModel(
            name='BridgedMessage',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('queue', models.CharField(max_length=255)),
                ('key', models.CharField(max_length=64)),
                ('job', models.UUIDField()),
                ('at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
            options={
                'default_permissions': (),
                'indexes': [models.Index(fields=['at'], name='furrow_bridged_at')],
                'constraints': [models.UniqueConstraint(fields=('queue', 'key'), name='furrow_bridged_once')],
            },
        ),
        migrations.RunPython(guard, unguard),
    ]
