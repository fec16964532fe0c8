import django.db.models.functions.datetime
from django.db import migrations, models

from furrow.statements import guards

MODELS = ('reply', 'streamplace')


def guard(apps, schema_editor):
    """Writes of times that nobody could read are refused."""
    guards.install(schema_editor.connection, [apps.get_model('furrow', name) for name in MODELS])


def unguard(apps, schema_editor):
    guards.remove(schema_editor.connection, [apps.get_model('furrow', name) for name in MODELS])


class Migration(migrations.Migration):

    dependencies = [
        ('furrow', '0002_bridged_message'),
    ]

    operations = [
        migrations.CreateModel(
            name='StreamPlace',
            fields=[
                ('queue', models.CharField(max_length=255, primary_key=True, serialize=False)),
                ('next_offset', models.BigIntegerField(db_default=0, default=0)),
            ],
            options={
                'default_permissions': (),
            },
        ),
        migrations.CreateModel(
            name='Reply',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('job', models.UUIDField(null=True)),
                ('refused', models.TextField(blank=True, default='')),
                ('reply_to', models.CharField(max_length=255)),
                ('correlation_id', models.CharField(blank=True, default='', max_length=255)),
                ('at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
            options={
                'default_permissions': (),
                'constraints': [models.UniqueConstraint(fields=('job', 'reply_to', 'correlation_id'), name='furrow_reply_once')],
            },
        ),
        migrations.RunPython(guard, unguard),
    ]
