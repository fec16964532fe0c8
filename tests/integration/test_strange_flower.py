"""What answers at FLOWER_URL may be anything: the door says that Flower is away, and the first page goes on."""

import socket
import threading
from typing import Any

import pytest
from django.test import Client
from furrow.monitoring import stores

pytestmark = [pytest.mark.django_db, pytest.mark.filterwarnings("ignore:No directory at")]

ANSWERS = [
    b"",
    b"\xff" * 100,
    b"+OK\r\n",
    b"HTTP/1.1 abc OK\r\n\r\n",
    b"HTTP/1.1 999 Odd\r\n\r\n",
    b"HTTP/1.1 199 Odd\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 100\r\n\r\nshort",
    b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 500 + b"\r\n",
]


@pytest.mark.parametrize("answer", ANSWERS, ids=range(len(ANSWERS)))
def test_a_server_that_is_no_flower(answer: bytes, admin_client: Client, settings: Any) -> None:
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = server.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(answer)
            except OSError:
                return

    threading.Thread(target=serve, daemon=True).start()
    settings.FURROW = {**settings.FURROW, "FLOWER_URL": f"http://127.0.0.1:{server.getsockname()[1]}/flower"}
    assert admin_client.get("/flower/workers").status_code == 502
    watch = stores.Watch({"Flower": stores.flower})
    assert [health.name for health in watch.look()] == ["Flower"]
    server.close()
