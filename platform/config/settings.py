"""Django settings, all from the environment.

``make up`` writes what it generated (addresses, credentials) to ``.run/env``; that file fills in what the environment
does not say, so that a command typed in a fresh shell meets the running stack. Production sets the variables itself.
"""

import logging
import os
from pathlib import Path
from zoneinfo import ZoneInfo

import environ
from django.core.exceptions import ImproperlyConfigured
from furrow.bridge import Bridge
from furrow.partitions import from_text
from furrow.service_urls import unreadable

from config.protection import *  # noqa: F403

BASE_DIR = Path(__file__).resolve().parents[2]
RUN_DIR = Path(os.environ.get("FURROW_RUN") or BASE_DIR / ".run").absolute()

env = environ.Env()
if (RUN_DIR / "env").is_file():
    env.read_env(str(RUN_DIR / "env"))


def _yes(name: str, default: bool = False) -> bool:
    text = os.environ.get(name, "").strip().lower() or str(default).lower()
    if text not in ("true", "false", "yes", "no", "on", "off", "1", "0"):
        raise ImproperlyConfigured(f"{name} is {text!r}: it must be true or false.")
    return text in ("true", "yes", "on", "1")


def _number(name: str, default: float) -> float:
    text = os.environ.get(name, "").strip()
    try:
        return type(default)(text or default)
    except ValueError:
        raise ImproperlyConfigured(f"{name} is {text!r}: it must be a number, such as {default!r}.") from None


def _adopted(given: list[str]) -> str | list[str]:
    """One word is Celery tasks at large; else patterns of their names."""
    return given[0] if given in (["all"], ["none"], ["watch"]) else given


def _counts(name: str) -> dict[str, int]:
    try:
        return {key: int(count) for key, _, count in (pair.rpartition("=") for pair in env.list(name, default=[]))}
    except ValueError:
        raise ImproperlyConfigured(f"{name} is {os.environ[name]!r}: write names and numbers as reports=4,mail=20.") from None


def _secret(name: str) -> str:
    """As it stands: for django-environ a value that begins with $ names another variable."""
    return os.environ.get(name, "")


for _name in ("DATABASE_URL", "BROKER_URL", "REDIS_URL", "FLOWER_URL"):
    if _wrong := unreadable(_name, os.environ.get(_name, "")):
        raise ImproperlyConfigured(_wrong)


def _url(name: str, default: str, schemes: tuple[str, ...]) -> str:
    url = env.str(name, default="") or default
    if not url.startswith(schemes):
        raise ImproperlyConfigured(f"{name} must begin with {' or '.join(schemes)}, such as {default}.")
    return url


DEBUG = _yes("DEBUG")
# The page of an error (with DEBUG) shows no password within a URL.
DEFAULT_EXCEPTION_REPORTER_FILTER = "config.reports.MaskingFilter"
SECRET_KEY = _secret("SECRET_KEY")
if not SECRET_KEY:
    # Without a secret nothing that signs (sessions, forms) may be trusted: a new one for each process.
    from django.core.management.utils import get_random_secret_key

    SECRET_KEY = get_random_secret_key()
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])

# HTTPS=true says that the site is reached through TLS (a proxy sets X-Forwarded-Proto).
HTTPS = _yes("HTTPS")
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if HTTPS else None
SECURE_SSL_REDIRECT = HTTPS
SECURE_REDIRECT_EXEMPT = [r"^health/", r"^metrics$"]
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = HTTPS
X_FRAME_OPTIONS = "DENY"
# Proxies in front, each of which adds to X-Forwarded-For.
TRUSTED_PROXIES = int(_number("TRUSTED_PROXIES", int(HTTPS)))

INSTALLED_APPS = [
    "furrow",
    "unfold",
    "config.admin.AdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "axes",
    "csp",
    "ninja",
    "django_celery_results",
    "tasks",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "furrow.web.bodies.BodyMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "furrow.web.zone.middleware",
    "furrow.web.parameters.middleware",
    "axes.middleware.AxesMiddleware",
]

ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [Path(__file__).parent / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

# --- Stores -----------------------------------------------------------------------------------------------------------

DATABASES = {"default": env.db_url("DATABASE_URL", default=f"sqlite:///{RUN_DIR / 'db.sqlite3'}")}
_database = DATABASES["default"]
_engine = _database.get("ENGINE", "").rpartition(".")[2] or "no database"
if _engine not in ("sqlite3", "postgresql"):
    raise ImproperlyConfigured(
        f"DATABASE_URL names {_engine}, and Furrow runs on PostgreSQL and SQLite: "
        "set DATABASE_URL=postgresql://user:password@host:5432/name or sqlite:////path/to/file."
    )
if _database["ENGINE"] == "django.db.backends.sqlite3":
    try:
        Path(_database["NAME"]).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ImproperlyConfigured(f"SQLite's folder cannot be made ({error}): set DATABASE_URL or FURROW_RUN.") from None
    # A file, since the tests' workers are processes of their own.
    _database["TEST"] = {"NAME": str(RUN_DIR / "test.sqlite3")}
    _database["OPTIONS"] = {
        # A read that turns into a write fails at once under DEFERRED ("database is locked"); IMMEDIATE waits its turn.
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA foreign_keys=ON;",
        **_database.get("OPTIONS", {}),
    }
else:
    _database.setdefault("CONN_MAX_AGE", 600)
    _database.setdefault("CONN_HEALTH_CHECKS", True)
    _database["OPTIONS"] = {
        "connect_timeout": 5,
        # A server that vanished without a word is noticed in seconds, not after the kernel's quarter of an hour.
        "keepalives": 1,
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 20_000,
        **_database.get("OPTIONS", {}),
    }
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

BROKER_URL = env.str("BROKER_URL", default="amqp://127.0.0.1:5672//")
_redis_url = _url("REDIS_URL", "redis://127.0.0.1:6379/0", ("redis://", "rediss://", "unix://"))

# --- Celery (the CELERY_ prefix is cut off) ---------------------------------------------------------------------------

CELERY_BROKER_HEARTBEAT = 20
CELERY_BROKER_CONNECTION_TIMEOUT = 5
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_BROKER_CHANNEL_ERROR_RETRY = True
CELERY_BROKER_TRANSPORT_OPTIONS = {"confirm_publish": True, "read_timeout": 10, "write_timeout": 10}
CELERY_WORKER_DETECT_QUORUM_QUEUES = True
CELERY_WORKER_SEND_TASK_EVENTS = _yes("WORKER_SEND_TASK_EVENTS", default=True)
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = False
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_ENABLE_REMOTE_CONTROL = True
CELERY_TASK_DEFAULT_QUEUE = "celery"
CELERY_TASK_CREATE_MISSING_QUEUES = False  # a queue that nobody declared is a slip of the pen
# As every Celery client declares it that has no settings. An installation that has it as a quorum queue says so.
if _yes("CELERY_QUORUM_QUEUE"):
    CELERY_TASK_DEFAULT_QUEUE_TYPE = "quorum"
    CELERY_TASK_DEFAULT_EXCHANGE_TYPE = "topic"
    CELERY_BROKER_NATIVE_DELAYED_DELIVERY_QUEUE_TYPE = "classic"
CELERY_TASK_TRACK_STARTED = True
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_SERIALIZER = CELERY_RESULT_SERIALIZER = "json"
CELERY_RESULT_BACKEND = "furrow.celery_results:JobResultBackend"
CELERY_RESULT_EXTENDED = True
CELERY_TIMEZONE = "UTC"

# --- Jobs -------------------------------------------------------------------------------------------------------------

FURROW = {
    "QUEUES": [from_text(queue) for queue in env.list("FURROW_QUEUES", default=["default"])],
    "EXTERNAL_QUEUES": env.list("FURROW_EXTERNAL_QUEUES", default=["external"]),
    "EXTERNAL_OVER_AMQP": env.bool("FURROW_EXTERNAL_OVER_AMQP", default=False),
    "QUEUE_LIMITS": _counts("FURROW_QUEUE_LIMITS"),
    "FAIR_WEIGHTS": _counts("FURROW_FAIR_WEIGHTS"),
    # RabbitMQ's tutorial publishes there.
    "BRIDGES": [Bridge("hello", "hello.log_message", durable=False)],
    "EVENTS": env.list("FURROW_EVENTS", default=[]),
    "WEBHOOK_NETWORKS": env.list("FURROW_WEBHOOK_NETWORKS", default=[]),
    "VERSION": env.str("FURROW_VERSION", default=""),
    "EVENT_SOURCE": env.str("FURROW_EVENT_SOURCE", default="") or "furrow",
    "SHORT_NAMES": True,
    "ADOPT": _adopted(env.list("FURROW_ADOPT", default=["none"])),
    "MODULES": env.list("FURROW_MODULES", default=["tasks"]),
    "MIDDLEWARE": env.list("FURROW_MIDDLEWARE", default=[]),
    "MAX_ARGUMENT_BYTES": _number("FURROW_MAX_ARGUMENT_BYTES", 1024 * 1024),
    "MAX_UPLOAD_BYTES": _number("FURROW_MAX_UPLOAD_BYTES", 20 * 1024 * 1024),
    "MAX_REQUEST_BYTES": _number("FURROW_MAX_REQUEST_BYTES", 64 * 1024 * 1024),
    "WORKER_LEASE": _number("FURROW_WORKER_LEASE", 15.0),
    "LEADER_LEASE": _number("FURROW_LEADER_LEASE", 10.0),
    "SHUTDOWN_GRACE": _number("FURROW_SHUTDOWN_GRACE", 20.0),
    "RESEND_AFTER": _number("FURROW_RESEND_AFTER", 60.0),
    "LOCK_LEASE": _number("FURROW_LOCK_LEASE", 15.0),
    "REDIS_URL": _redis_url,
    # Where this process reaches Flower (with its prefix, /flower), and Flower's user:password; people reach it at /flower/.
    "FLOWER_URL": env.str("FLOWER_URL", default=""),
    "FLOWER_BASIC_AUTH": _secret("FLOWER_BASIC_AUTH"),
    "METRICS_TOKEN": _secret("METRICS_TOKEN"),
}

# Django's own tasks framework (Django 6; before it the package django-tasks): each task is a job.
TASKS = {"default": {"BACKEND": "furrow.django_tasks.FurrowBackend"}}

# --- Requests (apps/furrow/web/bodies.py; what else is limited: docs/security.md) ---------------------------------------------

# Texts of a form: arguments as they are typed, quoted for the way.
DATA_UPLOAD_MAX_MEMORY_SIZE = max(4 * 1024 * 1024, 4 * int(FURROW["MAX_ARGUMENT_BYTES"]))
DATA_UPLOAD_MAX_NUMBER_FIELDS = 2_000
DATA_UPLOAD_MAX_NUMBER_FILES = 20

# --- The rest ---------------------------------------------------------------------------------------------------------

LANGUAGE_CODE = "en-us"
TIME_ZONE = env.str("TIME_ZONE", default="") or "UTC"
try:
    ZoneInfo(TIME_ZONE)
except (KeyError, ValueError, OSError):
    raise ImproperlyConfigured(f"TIME_ZONE is {TIME_ZONE!r}: it must be a name such as Europe/Berlin.") from None
USE_I18N = True
USE_TZ = True
STATIC_URL = "static/"
STATIC_ROOT = Path(env.str("STATIC_ROOT", default=str(RUN_DIR / "static")))
WHITENOISE_USE_FINDERS = True
# Where files that were uploaded for jobs are kept. Never served: web, workers and dispatcher must share it.
MEDIA_ROOT = Path(env.str("MEDIA_ROOT", default=str(RUN_DIR / "media")))

LOG_LEVEL = (env.str("LOG_LEVEL", default="") or "INFO").upper()
if LOG_LEVEL not in logging.getLevelNamesMapping():
    raise ImproperlyConfigured(f"LOG_LEVEL is {LOG_LEVEL!r}: it must be DEBUG, INFO, WARNING, ERROR or CRITICAL.")
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{asctime} {levelname:<7} {name}: {message}", "style": "{"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": LOG_LEVEL},
    "loggers": {"django.server": {"level": "WARNING"}},
}

LOGIN_REDIRECT_URL = "admin:index"
UNFOLD = {
    "SITE_TITLE": "Furrow",
    "SITE_HEADER": "Furrow",
    "SITE_SUBHEADER": "Durable jobs",
    "SITE_SYMBOL": "agriculture",
    "SITE_URL": None,
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": "furrow.admin.navigation.icon"}],
    "DASHBOARD_CALLBACK": "furrow.monitoring.home.overview",
    "SIDEBAR": {"navigation": "furrow.admin.navigation.sidebar"},
    "COLORS": {
        # Leaf green instead of the theme's purple.
        "primary": {
            "50": "oklch(97% .02 155)",
            "100": "oklch(94% .045 155)",
            "200": "oklch(89% .08 155)",
            "300": "oklch(82% .12 153)",
            "400": "oklch(73% .15 152)",
            "500": "oklch(63% .14 152)",
            "600": "oklch(50% .115 153)",
            "700": "oklch(44% .1 153)",
            "800": "oklch(38% .08 153)",
            "900": "oklch(33% .065 153)",
            "950": "oklch(24% .05 153)",
        }
    },
}
