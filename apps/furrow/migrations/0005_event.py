import django.db.models.functions.datetime
from django.db import migrations, models

from furrow.statements import guards


def guard(apps, schema_editor):
    """Writes of values that nobody could read are refused."""
    guards.install(schema_editor.connection, [apps.get_model("furrow", "event")])


def unguard(apps, schema_editor):
    guards.remove(schema_editor.connection, [apps.get_model("furrow", "event")])


class Migration(migrations.Migration):

    dependencies = [
        ('furrow', '0004_assistant_origin'),
    ]

    operations = [
        migrations.CreateModel(
            name='Event',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=255)),
                ('job', models.UUIDField(blank=True, null=True)),
                ('number', models.IntegerField(blank=True, null=True)),
                ('data', models.JSONField(db_default={}, default=dict)),
                ('depth', models.SmallIntegerField(db_default=0, default=0)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('published_at', models.DateTimeField(blank=True, editable=False, null=True)),
            ],
            options={
                'ordering': ['-id'],
                'default_permissions': ('view',),
                'indexes': [models.Index(condition=models.Q(('published_at__isnull', True)), fields=['id'], name='furrow_event_unpublished')],
                'constraints': [models.UniqueConstraint(condition=models.Q(('job__isnull', False)), fields=('job', 'number'), name='furrow_event_number')],
            },
        ),
        migrations.RunPython(guard, unguard),
    ]
