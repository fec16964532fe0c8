"""The private servers that all peers share, in a folder of the benchmarks' own."""

import re
import subprocess
from contextlib import suppress
from pathlib import Path

import psycopg
from deploy.services import Postgres, RabbitMQ, Redis, Service


class Servers:
    """PostgreSQL with fsync on, RabbitMQ, Redis. Each peer that records in PostgreSQL has a database of its own."""

    def __init__(self, folder: Path) -> None:
        self.broker = RabbitMQ(folder / "rabbitmq")
        self.redis = Redis(folder / "redis")
        self.postgres = Postgres(folder / "postgres", durable=True)
        self._all: list[Service] = [self.postgres, self.broker, self.redis]

    def start(self) -> None:
        """All of them; returns once they answer."""
        for service in self._all:
            service.start()

    def stop(self) -> None:
        """All of them; data stays."""
        for service in self._all:
            service.stop()

    def database(self, name: str) -> str:
        """The URL of the database of this name, made if it is missing."""
        with psycopg.connect(self.postgres.url, autocommit=True) as link, suppress(psycopg.errors.DuplicateDatabase):
            link.execute(f'CREATE DATABASE "{name}"')
        return f"{self.postgres.url.rpartition('/')[0]}/{name}"

    def versions(self) -> dict[str, str]:
        """What runs."""
        with psycopg.connect(self.postgres.url) as link:
            row = link.execute("SHOW server_version").fetchone()
        rabbitmq = self.broker.ctl("version").strip()
        told = subprocess.run([str(self.redis.binary()), "--version"], capture_output=True, text=True, check=True).stdout
        redis = re.search(r"v=([\d.]+)", told)
        return {
            "PostgreSQL": str(row[0]).split()[0] if row else "?",
            "RabbitMQ": rabbitmq,
            "Redis": redis[1] if redis else "?",
        }
