"""System checks for ``manage.py check``."""

from typing import Any
from urllib.parse import urlsplit

from django.apps import apps
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.core.exceptions import ImproperlyConfigured
from django.urls import NoReverseMatch, reverse


@register(Tags.compatibility)
def check_broker_url(**kwargs: Any) -> list[CheckMessage]:
    """The broker must be RabbitMQ, with a URL that can be read."""
    from furrow.rabbitmq.queues import broker_setting, broker_urls, explain_url

    hint = f"Set {broker_setting()} to amqp://user:password@host:5672/vhost: the broker of the project's Celery application."
    problems = [problem for url in broker_urls() if (problem := explain_url(url))]
    return [Error(problem, hint=hint, id="furrow.E001") for problem in problems[:1]]


@register(Tags.compatibility)
def check_celery_application(**kwargs: Any) -> list[CheckMessage]:
    """The project's Celery application is ours, or no worker runs a job; no queue is both of tasks and of jobs."""
    from furrow.celery import REMEDY, Celery
    from furrow.rabbitmq.queues import project_app, shared_queues

    app = project_app()
    if not isinstance(app, Celery):
        return [
            Error(
                f"The project's Celery application ({app.main or 'none of its own'}) is Celery's own: its workers run no jobs.",
                hint=f"{REMEDY}; and import it in the project's __init__.py, as Celery's guide for Django says.",
                id="furrow.E004",
            )
        ]
    problem = shared_queues(app)
    return [Error(problem, id="furrow.E005")] if problem else []


@register(Tags.compatibility)
def check_middleware(**kwargs: Any) -> list[CheckMessage]:
    """Every middleware can be imported and made, and wraps something."""
    from furrow.middleware import chains

    try:
        chains()
    except ImproperlyConfigured as error:
        return [Error(str(error), id="furrow.E007")]
    return []


@register(Tags.compatibility)
def check_databases(**kwargs: Any) -> list[CheckMessage]:
    """All of Furrow's tables are in one database, which is read where it is written."""
    from django.db import router

    models = [model for model in apps.get_models() if model._meta.app_label == "furrow" and model._meta.managed]
    found = {(model.__name__, way(model)) for model in models for way in (router.db_for_write, router.db_for_read)}
    aliases = {alias: min(name for name, other in found if other == alias) for _, alias in found}
    if len(aliases) < 2:
        return []
    named = " and ".join(f"{name} in {alias!r}" for alias, name in sorted(aliases.items()))
    return [
        Error(
            f"DATABASE_ROUTERS send Furrow to several databases: {named}.",
            hint="Return one alias for all models of the app label 'furrow', from db_for_read and from db_for_write: a replica "
            "is behind, and a job that is not there yet would be taken for lost.",
            id="furrow.E008",
        )
    ]


@register(Tags.compatibility)
def check_theme(**kwargs: Any) -> list[CheckMessage]:
    """The theme puts an admin site of its own in the place of Django's: what was registered before that is on no page. Its
    ``BasicAppConfig`` leaves Django's alone."""
    names = [config.name for config in apps.get_app_configs() if config.name != "unfold" or getattr(config, "default", False)]
    if not {"unfold", "django.contrib.admin"} <= {*names} or names.index("unfold") < names.index("django.contrib.admin"):
        return []
    return [
        Error(
            "'unfold' comes after 'django.contrib.admin' in INSTALLED_APPS: the admin's pages would not be found.",
            hint="Put 'unfold' before 'django.contrib.admin'; where 'furrow' stands does not matter.",
            id="furrow.E006",
        )
    ]


@register(Tags.security, deploy=True)
def check_broker_credentials(**kwargs: Any) -> list[CheckMessage]:
    """RabbitMQ's default account is for trying out."""
    from furrow.rabbitmq.queues import broker_setting, broker_urls

    try:
        user = urlsplit(broker_urls()[0]).username
    except ValueError:
        return []
    if user in (None, "guest"):
        return [
            Warning(
                f"{broker_setting()} uses RabbitMQ's default account, guest.",
                hint="Create a RabbitMQ user for this site and delete guest.",
                id="furrow.W001",
            )
        ]
    return []


@register(Tags.models)
def check_kind_permissions(**kwargs: Any) -> list[CheckMessage]:
    """A permission that a kind asks for should exist: nobody but superusers could have one that does not."""
    from furrow.kinds.kind import all_kinds

    return [
        Warning(
            f"The kind {kind.name} requires the permission {kind.permission!r}, which no model declares.",
            hint="Correct the name, declare it in a model's Meta.permissions, or create the Permission row by hand.",
            obj=kind.name,
            id="furrow.W002",
        )
        for kind in all_kinds()
        if kind.permission and kind.permission not in _declared_permissions()
    ]


@register(Tags.compatibility)
def check_kind_queues(**kwargs: Any) -> list[CheckMessage]:
    """A kind's queue should be configured: nothing of another is sent, and its submits are refused."""
    from furrow.conf import conf
    from furrow.kinds.kind import all_kinds

    return [
        Warning(
            f"The kind {kind.name} goes to queue {kind.queue!r}, which FURROW['QUEUES'] does not name: no worker serves it.",
            hint=f"Add {kind.queue!r} to FURROW['QUEUES'] (FURROW_QUEUES), or give the kind another queue.",
            obj=kind.name,
            id="furrow.W003",
        )
        for kind in all_kinds()
        if kind.queue not in conf().all_queues
    ]


@register(Tags.compatibility)
def check_schedules(**kwargs: Any) -> list[CheckMessage]:
    """What the code declares can submit; else the schedule is held."""
    from furrow.errors import FurrowError
    from furrow.kinds.kind import get_kind
    from furrow.schedules.declared import declared
    from furrow.schedules.rows import check_options

    found, refused = declared()
    problems = dict(refused)
    for name, one in found.items():
        try:
            kind = get_kind(one.kind)
            kind.arguments.to_json(one.arguments)
            check_options(kind, one.options)
        except FurrowError as error:
            problems.setdefault(name, str(error))
    hint = "Correct it at @job(schedule=…) or in FURROW['SCHEDULES']: until then it submits nothing."
    return [
        Warning(f"The schedule {name!r} cannot submit: {problem.rstrip('.')}.", hint=hint, obj=name, id="furrow.W005")
        for name, problem in problems.items()
    ]


@register(Tags.urls)
def check_external_kinds(**kwargs: Any) -> list[CheckMessage]:
    """Workers in other languages have an address where they get their jobs."""
    from furrow.kinds.kind import all_kinds

    external = next((kind for kind in all_kinds() if kind.external), None)
    if external is None or not getattr(settings, "ROOT_URLCONF", None):
        return []
    try:
        reverse("furrow-api:api-root")
    except NoReverseMatch:
        text = (
            f"The kind {external.name} is run by workers in other languages, and the project's URLs have no HTTP API for them."
        )
        hint = 'pip install "furrow-jobs[api]", and add path("api/", include("furrow.api.urls")) to urlpatterns.'
        return [Warning(text, hint=hint, obj=external.name, id="furrow.W004")]
    return []


def _declared_permissions() -> set[str]:
    """The full names of all permissions that models declare."""
    names = set()
    for model in apps.get_models():
        meta = model._meta
        names |= {f"{meta.app_label}.{action}_{meta.model_name}" for action in meta.default_permissions}
        names |= {f"{meta.app_label}.{codename}" for codename, _name in meta.permissions}
    return names


@register(Tags.models)
def check_hints(**kwargs: Any) -> list[CheckMessage]:
    """An argument that names a row names a model that there is; one that is a file is a text."""
    from furrow.errors import KindError
    from furrow.kinds.hints import File, ForeignKey, find_hint
    from furrow.kinds.kind import all_kinds

    found: list[CheckMessage] = []
    for kind in all_kinds():
        for name in kind.arguments.names:
            field = kind.arguments.model.model_fields[f"a_{name}"]
            row = find_hint(field.annotation, field.metadata, ForeignKey)
            try:
                if row is not None:
                    row.resolve()
            except KindError as error:
                found.append(Error(f"{kind.name}: argument {name!r}: {error}", obj=kind.name, id="furrow.E002"))
            schema = kind.arguments.schema["properties"][name]
            types = {part.get("type") for part in [schema, *schema.get("anyOf", [])]}
            if find_hint(field.annotation, field.metadata, File) and "string" not in types:
                text = f"{kind.name}: argument {name!r} is a File and no text: write UploadedPath or Annotated[str, File(…)]."
                found.append(Error(text, obj=kind.name, id="furrow.E003"))
    return found
