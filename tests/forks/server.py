"""``python -m tests.forks.server FD``: loads the libraries, then forks a process for each order that comes through the socket.

An order is a message of JSON (``args``, ``env``, ``cwd``) with three descriptors: standard output, standard error, and a pipe
to which go the process's number at once and its exit code when it has ended. The server has one thread, and ends when nobody
can order any more.
"""

import atexit
import contextlib
import faulthandler
import gc
import importlib
import json
import os
import runpy
import selectors
import signal
import socket
import sys
import threading
import traceback
from pathlib import Path
from typing import Any, NoReturn

#: What dispatcher, worker, web and Flower load of other people's code, and can be loaded before there are settings.
LIBRARIES = (
    "asgiref.sync",
    "celery.apps.worker",
    "celery.bin.celery",
    "celery.concurrency.prefork",
    "celery.fixups.django",
    "celery.worker.consumer",
    "django.contrib.admin.views.main",
    "django.contrib.admin.templatetags.admin_list",
    "django.contrib.messages.storage.fallback",
    "django.contrib.staticfiles.storage",
    "django.core.cache.backends.redis",
    "django.core.handlers.wsgi",
    "django.core.management.commands.check",
    "django.db.backends.postgresql.base",
    "django.db.backends.sqlite3.base",
    "django.db.migrations.operations",
    "django.middleware.http",
    "django.template.loader_tags",
    "django.template.loaders.app_directories",
    "django.template.loaders.cached",
    "django.views.defaults",
    "environ",
    "flower.command",
    "gunicorn.app.wsgiapp",
    "gunicorn.workers.gthread",
    "kombu.transport.pyamqp",
    "prometheus_client.core",
    "psutil",
    "psycopg",
    "pydantic.deprecated.class_validators",
    "pydantic.json_schema",
    "pydantic.type_adapter",
    "redis",
    "whitenoise.middleware",
)
_LONGEST_ORDER = 1 << 20


def main() -> None:
    """Serve until the other end of the socket is closed."""
    os.environ.pop("DJANGO_SETTINGS_MODULE", None)  # what wants settings fails here and is no library for this list
    for name in LIBRARIES:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()
    orders = socket.socket(fileno=int(sys.argv[1]))
    pipes: dict[int, int] = {}
    ended, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    selector = selectors.DefaultSelector()
    selector.register(orders, selectors.EVENT_READ)
    selector.register(ended, selectors.EVENT_READ)
    while True:
        ready = {key.fd for key, _ in selector.select()}
        if ended in ready:
            os.read(ended, 1024)
            _report(pipes)
        if orders.fileno() in ready:
            message, (out, err, pipe, *_), _, _ = _receive(orders)
            pid = os.fork()
            if not pid:
                selector.close()
                for other in (orders.detach(), ended, wake, pipe, *pipes.values()):
                    os.close(other)
                _become(json.loads(message), out, err)
            os.write(pipe, b"%d\n" % pid)
            os.close(out)
            os.close(err)
            pipes[pid] = pipe


def _receive(orders: socket.socket) -> tuple[bytes, list[int], int, Any]:
    received = socket.recv_fds(orders, _LONGEST_ORDER, 3)
    if not received[0]:
        os._exit(0)
    return received


def _report(pipes: dict[int, int]) -> None:
    """Say of all that have ended how they did."""
    with contextlib.suppress(ChildProcessError):
        while (found := os.waitpid(-1, os.WNOHANG))[0]:
            pipe = pipes.pop(found[0])
            with contextlib.suppress(BrokenPipeError):
                os.write(pipe, b"%d\n" % os.waitstatus_to_exitcode(found[1]))
            os.close(pipe)


def _become(order: dict[str, Any], out: int, err: int) -> NoReturn:
    """In the fork: be what was ordered, to the end."""
    code = 1
    try:
        os.setsid()
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for ordered, descriptor in ((out, 1), (err, 2)):
            os.dup2(ordered, descriptor)
            os.close(ordered)
        _look_in(order["env"].get("PYTHONPATH", ""), order["cwd"])
        os.chdir(order["cwd"])
        os.environ.clear()
        os.environ.update(order["env"])
        for stream in (sys.stdout, sys.stderr):
            stream.reconfigure(write_through=bool(os.environ.get("PYTHONUNBUFFERED")))  # type: ignore[union-attr]
        if os.environ.get("PYTHONFAULTHANDLER"):
            faulthandler.enable()
        gc.unfreeze()
        _run(order["args"])
        code = 0
    except SystemExit as end:
        code = _exit_code(end)
    except KeyboardInterrupt:
        traceback.print_exc()
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    except BaseException:
        traceback.print_exc()
    finally:
        _leave(code)


def _look_in(path: str, cwd: str) -> None:
    """Search for modules in these folders instead of the server's, and know nothing of the tests' own package."""
    before = {os.path.abspath(one) for one in os.environ.get("PYTHONPATH", "").split(os.pathsep) if one}
    after = [os.path.abspath(os.path.join(cwd, one)) for one in (path.split(os.pathsep) if path else [])]
    sys.path[1:] = after + [one for one in sys.path[1:] if one not in {*before, *after}]
    for name in [name for name in sys.modules if name.partition(".")[0] == "tests"]:
        del sys.modules[name]


def _run(args: list[str]) -> None:
    """As ``python ARGS`` does."""
    if args[0] == "-m":
        sys.argv, sys.path[0] = args[1:], str(Path.cwd())
        runpy.run_module(args[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv, sys.path[0] = args, str(Path(args[0]).absolute().parent)
        runpy.run_path(args[0], run_name="__main__")


def _exit_code(end: SystemExit) -> int:
    if end.code is None or isinstance(end.code, int):
        return end.code or 0
    print(end.code, file=sys.stderr)
    return 1


def _leave(code: int) -> NoReturn:
    """As an interpreter ends: wait for the threads, call what asked for it. The system takes the memory back."""
    try:
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
    finally:
        os._exit(code & 0xFF)


if __name__ == "__main__":
    main()
