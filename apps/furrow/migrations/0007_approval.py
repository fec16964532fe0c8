import django.db.models.deletion
import django.db.models.functions.datetime
import furrow.models.users
import uuid_utils.compat
from django.conf import settings
from django.db import migrations, models

from furrow.statements import guards


def guard(apps, schema_editor):
    """Writes of times and JSON that nobody could read are refused."""
    guards.install(schema_editor.connection, [apps.get_model('furrow', 'approval')])


def unguard(apps, schema_editor):
    guards.remove(schema_editor.connection, [apps.get_model('furrow', 'approval')])


class Migration(migrations.Migration):

    dependencies = [
        ('furrow', '0006_worker_code_version'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Approval',
            fields=[
                ('id', models.UUIDField(default=uuid_utils.compat.uuid7, editable=False, primary_key=True, serialize=False)),
                ('step', models.CharField(max_length=200)),
                ('workflow', models.UUIDField(blank=True, null=True)),
                ('node', models.UUIDField(blank=True, null=True)),
                ('title', models.CharField(max_length=200)),
                ('description', models.TextField(blank=True, db_default='', default='')),
                ('permission', models.CharField(max_length=200)),
                ('form', models.CharField(blank=True, db_default='', default='', max_length=300)),
                ('schema', models.JSONField(blank=True, null=True)),
                ('second_person', models.BooleanField(db_default=False, default=False)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('timeout_at', models.DateTimeField(blank=True, null=True)),
                ('approved', models.BooleanField(blank=True, null=True)),
                ('decided_at', models.DateTimeField(blank=True, null=True)),
                ('decider', models.CharField(blank=True, db_default='', default='', max_length=200)),
                ('note', models.TextField(blank=True, db_default='', default='')),
                ('answers', models.JSONField(blank=True, null=True)),
                ('asked_by', models.ForeignKey(blank=True, db_constraint=False, db_index=False, null=True, on_delete=furrow.models.users.forget_user, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('decided_by', models.ForeignKey(blank=True, db_constraint=False, db_index=False, null=True, on_delete=furrow.models.users.forget_user, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('job', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='approvals', to='furrow.job')),
            ],
            options={
                'ordering': ['-id'],
                'default_permissions': ('view',),
                'indexes': [models.Index(fields=['job'], name='furrow_approval_job'), models.Index(condition=models.Q(('decided_at__isnull', True)), fields=['permission', '-id'], name='furrow_approval_open')],
                'constraints': [models.CheckConstraint(condition=models.Q(models.Q(('approved__isnull', True), ('decided_at__isnull', True)), models.Q(('approved__isnull', False), ('decided_at__isnull', False)), _connector='OR'), name='furrow_approval_decided')],
            },
        ),
        migrations.RunPython(guard, unguard),
    ]
