import django.db.models.functions.datetime
import furrow.models.users
from django.conf import settings
from django.db import migrations, models

from furrow.statements import guards

#: SQLite makes the first table anew for its new column, without its guards.
GUARDED = ("auditentry", "apianswer", "apitoken")


def guard(apps, schema_editor):
    """Writes of times and JSON that nobody could read are refused."""
    models = [apps.get_model("furrow", name) for name in GUARDED]
    guards.remove(schema_editor.connection, models)
    guards.install(schema_editor.connection, models)


def unguard(apps, schema_editor):
    guards.remove(schema_editor.connection, [apps.get_model("furrow", name) for name in GUARDED[1:]])


class Migration(migrations.Migration):

    dependencies = [
        ('furrow', '0005_event'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name='auditentry',
            name='token',
            field=models.CharField(blank=True, db_default='', default='', max_length=120),
        ),
        migrations.CreateModel(
            name='ApiAnswer',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('user', models.CharField(max_length=64)),
                ('key', models.CharField(max_length=255)),
                ('request', models.CharField(max_length=64)),
                ('status', models.SmallIntegerField(default=0)),
                ('body', models.TextField(default='')),
                ('at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
            options={
                'default_permissions': (),
                'indexes': [models.Index(fields=['at'], name='furrow_api_answer_at')],
                'constraints': [models.UniqueConstraint(fields=('user', 'key'), name='furrow_api_answer_once')],
            },
        ),
        migrations.CreateModel(
            name='ApiToken',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=100)),
                ('hash', models.CharField(editable=False, max_length=64, unique=True)),
                ('beginning', models.CharField(editable=False, max_length=9)),
                ('scopes', models.JSONField(default=list)),
                ('kinds', models.JSONField(blank=True, default=list)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('expires_at', models.DateTimeField(blank=True, null=True)),
                ('last_used_at', models.DateTimeField(blank=True, null=True)),
                ('revoked_at', models.DateTimeField(blank=True, null=True)),
                ('created_by', models.ForeignKey(blank=True, db_constraint=False, db_index=False, null=True, on_delete=furrow.models.users.forget_user, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('user', models.ForeignKey(blank=True, db_constraint=False, db_index=False, null=True, on_delete=furrow.models.users.forget_user, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'verbose_name': 'API token',
                'ordering': ['-id'],
                'permissions': [('revoke_apitoken', 'Can revoke API tokens')],
                'default_permissions': ('view', 'add'),
                'constraints': [models.UniqueConstraint(condition=models.Q(('revoked_at__isnull', True)), fields=('user', 'name'), name='furrow_api_token_name')],
            },
        ),
        migrations.RunPython(guard, unguard),
    ]
