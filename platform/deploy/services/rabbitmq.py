"""A private RabbitMQ node, with an Erlang port mapper (epmd) of its own; all of it on loopback.

The node's Erlang VM is the daemon itself: the script that starts it is told to `exec`, so a signal reaches the VM
and no shell stands between. Nothing of the machine's own RabbitMQ is read: not /etc/rabbitmq, not its cookie, not
its port mapper.
"""

import contextlib
import os
import secrets
import shutil
import subprocess
from pathlib import Path

import amqp

from deploy import files, packages, ports
from deploy.processes import Daemon, until
from deploy.services.base import PORTS_TRIED, Service

_USER = "furrow"
_LOOPBACK = "{127,0,0,1}"

# The write-ahead log of quorum queues is kept in memory up to its limit: 512 MiB by default. A message of a queue with
# partitions is acknowledged when its job has ended: that may take longer than half an hour.
_CONFIG = """\
listeners.tcp.1 = 127.0.0.1:{port}
default_user = {user}
default_pass = {password}
raft.wal_max_size_bytes = 67108864
consumer_timeout = 86400000
log.console = false
log.file = rabbit.log
log.file.level = info
log.file.rotation.size = 10485760
log.file.rotation.count = 2
"""


class RabbitMQ(Service):
    """A private RabbitMQ."""

    name = "RabbitMQ"
    package = "rabbitmq-server"
    first_port = 21000

    def __init__(self, folder: Path | str) -> None:
        super().__init__(folder)
        self.mapper = Daemon(self.folder / "epmd.pid.json")

    @property
    def url(self) -> str:
        return f"amqp://{_USER}:{self.password}@127.0.0.1:{self.port}//"

    @property
    def ports(self) -> list[int]:
        return [self.port, self._state["distribution_port"]]

    @property
    def node(self) -> str:
        """The Erlang node's name."""
        return f"furrow-{self._state['mark']}@localhost"

    @classmethod
    def binary(cls) -> Path | None:
        """The server's own script: Debian's /usr/sbin/rabbitmq-server refuses ordinary users."""
        return _script("rabbitmq-server")

    def ctl(self, *arguments: str, timeout: float = 60) -> str:
        """What `rabbitmqctl <arguments>` prints. Raises CalledProcessError if it fails."""
        return subprocess.run(
            [str(_script("rabbitmqctl")), "--node", self.node, *arguments],
            env=self.environ(),
            cwd="/",
            capture_output=True,
            text=True,
            check=True,
            timeout=timeout,
        ).stdout

    def command(self) -> list[str]:
        for name in ("etc", "logs"):
            (self.folder / name).mkdir(exist_ok=True)
        config = _CONFIG.format(port=self.port, user=_USER, password=self.password)
        files.write(self.folder / "etc" / "rabbitmq.conf", config)
        files.write(self.folder / "etc" / "advanced.config", "[].\n")
        files.write(self.folder / "etc" / "enabled_plugins", "[rabbitmq_consistent_hash_exchange].\n")
        cookie = self.folder / ".erlang.cookie"
        if not cookie.exists():
            files.write(cookie, secrets.token_hex(16))
            cookie.chmod(0o400)
        schedulers = min(os.cpu_count() or 1, 4)
        return [
            str(self.binary()),
            "-noinput",
            "-kernel",
            "inet_dist_use_interface",
            _LOOPBACK,
            "+S",
            f"{schedulers}:{schedulers}",
            "+SDio",
            "4",
            "+sbwt",
            "none",
            "+sbwtdcpu",
            "none",
            "+sbwtdio",
            "none",
        ]

    def launch(self, command: list[str]) -> None:
        """Start epmd and the node. What a first start that was cut short has left is removed.

        The node writes its accounts and queues to disk up to two seconds late. One that was killed in its first
        moments would come up again with nobody allowed in, for ever.
        """
        if not self._state.get("settled"):
            shutil.rmtree(self.folder / "data", ignore_errors=True)
        distribution = ports.choose(ports.spread(22000, self.folder), remembered=self._state.get("distribution_port"))
        self._remember(distribution_port=distribution)
        self._start_mapper()
        super().launch(command)

    def settle(self) -> None:
        """Write the accounts to disk after the first start, and remember that there is data to keep."""
        if not self._state.get("settled"):
            with contextlib.suppress(subprocess.SubprocessError):  # a version that keeps them elsewhere; a slow machine
                self.ctl("eval", "mnesia:sync_log().")
            self._remember(settled=True)

    def stop(self) -> None:
        super().stop()
        self.mapper.kill()

    def destroy(self) -> None:
        self.mapper.kill()
        super().destroy()

    def ready(self) -> bool:
        """It takes the password: a stranger that took the port first does not."""
        address = f"127.0.0.1:{self.port}"
        try:
            with amqp.Connection(address, userid=_USER, password=self.password, connect_timeout=2, read_timeout=2):
                return True
        except amqp.AMQPError:
            return False

    def environ(self) -> dict[str, str]:
        folder, state = self.folder, self._state
        return super().environ() | {
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(state.get("mapper_port", "")),
            "ERL_CRASH_DUMP_SECONDS": "0",
            "RABBITMQ_NODENAME": self.node,
            "RABBITMQ_DIST_PORT": str(state.get("distribution_port", "")),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_CONFIG_FILE": str(folder / "etc" / "rabbitmq.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(folder / "etc" / "advanced.config"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "etc" / "enabled_plugins"),
            "RABBITMQ_MNESIA_BASE": str(folder / "data"),
            "RABBITMQ_LOG_BASE": str(folder / "logs"),
            "RABBITMQ_PID_FILE": str(folder / "rabbitmq.pid"),
            "RABBITMQ_CTL_ERL_ARGS": f"-kernel inet_dist_use_interface {_LOOPBACK}",
            "RABBITMQ_ALLOW_INPUT": "true",
        }

    def _start_mapper(self) -> None:
        """Start epmd: in the foreground and before the node, which would start one of its own making otherwise."""
        for _ in range(PORTS_TRIED):
            if self.mapper.alive:
                return
            port = ports.choose(ports.spread(23000, self.folder), remembered=self._state.get("mapper_port"))
            self._remember(mapper_port=port)
            self.mapper.start(["epmd"], env=self.environ(), log=self.log)
            until(lambda: not ports.is_free(self._state["mapper_port"]) or not self.mapper.alive, timeout=10)


def _script(name: str) -> Path | None:
    """One of RabbitMQ's scripts, past the wrappers that Debian puts before them."""
    versions = sorted(Path("/usr/lib/rabbitmq/lib").glob(f"rabbitmq_server-*/sbin/{name}"))
    return versions[-1] if versions else packages.find(name)
