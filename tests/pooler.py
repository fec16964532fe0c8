"""PgBouncer before the tests' database, with fewer server connections than it has clients."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from deploy import packages, ports, processes

from tests.services import MARK, RUN
from tests.stack import database_url, wait_until

#: Server connections: so few that each client's transactions move between them.
SERVERS = 4


@contextmanager
def pooler(mode: str = "transaction") -> Iterator[str]:
    """Runs while the block does; yields the database's URL through it."""
    packages.ensure({"pgbouncer": "pgbouncer"})
    direct = urlsplit(database_url())
    port = ports.choose(ports.spread(26000, RUN))
    user = "postgres" if os.geteuid() == 0 else None  # it refuses to run as root
    folder = Path(tempfile.mkdtemp(prefix="furrow-pgbouncer-"))
    settings = folder / "pgbouncer.ini"
    settings.write_text(
        f"""
[databases]
* = host={direct.hostname} port={direct.port} user={direct.username} password={direct.password}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = {mode}
default_pool_size = {SERVERS}
max_client_conn = 200
ignore_startup_parameters = extra_float_digits
"""
    )
    if user:
        shutil.chown(folder, user)
        shutil.chown(settings, user)
    (RUN / "log").mkdir(exist_ok=True)
    log = (RUN / "log" / "pgbouncer.log").open("wb")
    process = subprocess.Popen(
        [str(packages.find("pgbouncer")), str(settings)],
        env={**os.environ, processes.MARK: MARK},
        stdout=log,
        stderr=log,
        stdin=subprocess.DEVNULL,
        user=user,
        extra_groups=[] if user else None,
    )
    try:
        wait_until(lambda: processes.listens(port, MARK), seconds=20, what=f"PgBouncer listens; log: {log.name}")
        yield f"postgresql://{direct.username}:any@127.0.0.1:{port}{direct.path}"
    finally:
        process.kill()
        process.wait()
        log.close()
        shutil.rmtree(folder)
