"""A private Redis (or Valkey) that keeps its data in an append-only file."""

from pathlib import Path

from deploy import files, packages
from deploy.services.base import Service

_CONFIG = """\
bind 127.0.0.1
port {port}
requirepass {password}
dir "{folder}"
appendonly yes
appendfsync everysec
save ""
daemonize no
logfile ""
"""


class Redis(Service):
    """A private Redis."""

    name = "Redis"
    package = "redis-server"
    first_port = 24000
    patience = 60

    @property
    def url(self) -> str:
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"

    @classmethod
    def binary(cls) -> Path | None:
        return packages.find("redis-server", "valkey-server")

    def command(self) -> list[str]:
        config = self.folder / "redis.conf"
        quoted = str(self.folder).replace("\\", "\\\\").replace('"', '\\"')
        files.write(config, _CONFIG.format(port=self.port, password=self.password, folder=quoted))
        return [str(self.binary()), str(config)]

    def ready(self) -> bool:
        with self._connect() as connection:
            connection.sendall(f"AUTH {self.password}\r\nPING\r\n".encode())
            expected, answer = b"+OK\r\n+PONG\r\n", b""
            while len(answer) < len(expected) and (more := connection.recv(64)):
                answer += more
            return answer == expected
