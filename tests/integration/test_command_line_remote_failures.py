"""``furrow jobs --remote`` with a server that is away, slow, strange or not to be trusted: one clear line, and an exit code."""

import datetime as dt
import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from django.core.management import CommandError
from furrow.command import http

from tests.command_line import jobs

TOKEN = "fw_only-for-the-tests"
JOB = "01a205c0-f458-76a1-9ac2-f6a18457f66a"
PROBLEM = "application/problem+json"


class Server:
    """Answers each request with the next of these (status, headers, content); the last one again and again."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, dict[str, str], bytes]] = []
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.freed = threading.Event()
        self.before: Callable[[], object] = lambda: None
        server = self

        class Handler(BaseHTTPRequestHandler):
            def _answer(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                server.asked.append((self.path, dict(self.headers)))
                server.before()
                status, headers, content = server.answers.pop(0) if len(server.answers) > 1 else server.answers[0]
                if not status:
                    self.close_connection = True
                    return
                self.send_response(status)
                for name, text in {"Content-Length": str(len(content)), **headers}.items():
                    self.send_header(name, text)
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = _answer

            def log_message(self, *args: Any) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.thread = threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.02})
        self.thread.start()

    @property
    def address(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self.http.server_port}"

    def says(self, status: int, content: Any, kind: str = "application/json", **headers: str) -> None:
        """The next answer."""
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        given = {name.replace("_", "-"): text for name, text in headers.items()}
        self.answers.append((status, {"Content-Type": kind, **given}, body))


@pytest.fixture
def server() -> Iterator[Server]:
    """A server that is no project of ours."""
    server = Server()
    yield server
    server.freed.set()
    server.http.shutdown()
    server.http.server_close()
    server.thread.join()


@pytest.fixture
def naps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """For how long the command waits, without waiting."""
    naps: list[float] = []
    monkeypatch.setattr(http, "time", SimpleNamespace(sleep=naps.append, monotonic=time.monotonic))
    return naps


@pytest.fixture(autouse=True)
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the environment."""
    monkeypatch.setenv("FURROW_TOKEN", TOKEN)


def refused(server: Server | str, *words: str) -> str:
    """The one line that the command ends with."""
    url = server if isinstance(server, str) else f"http://{server.address}/api"
    with pytest.raises(CommandError) as error:
        jobs(*words, "--remote", url)
    assert error.value.returncode == 1
    assert TOKEN not in str(error.value)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_server_that_is_away(server: Server) -> None:
    server.http.server_close()
    assert refused(server, "list") == f"The server is unreachable: {server.address}: Connection refused."
    with pytest.raises(CommandError, match=r"The server did not answer in time\.") as error:
        jobs("tail", JOB, "--timeout", "0", "--remote", f"http://{server.address}")
    assert error.value.returncode == 4


def test_a_proxy_whose_server_is_away(server: Server) -> None:
    server.says(502, b"<h1>Bad Gateway</h1>", "text/html")
    assert "answers 502, as a proxy does whose server is away" in refused(server, "list")


@pytest.mark.parametrize("status", [200, 404])
def test_a_page_is_no_answer(server: Server, status: int) -> None:
    server.says(status, b"<h1>Welcome</h1>", "text/html")
    assert f"answers {status} with text/html, which is not Furrow's API" in refused(server, "list")


def test_json_that_is_broken_off(server: Server) -> None:
    server.says(200, b'{"jobs": [')
    assert "which is not Furrow's API" in refused(server, "list")


def test_the_token_is_sent_to_nobody_else(server: Server) -> None:
    server.says(302, b"", "text/html", Location="http://elsewhere.example/login")
    assert "leads to http://elsewhere.example/login: give the API's own address" in refused(server, "list")
    assert len(server.asked) == 1


def test_a_slow_server(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "TIMEOUT", 0.1)
    server.says(200, {})
    server.before = server.freed.wait
    assert refused(server, "list") == f"The server is unreachable: {server.address} did not answer in time."


def test_a_certificate_that_is_not_trusted(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(_certificate(tmp_path))
    server.http.socket = context.wrap_socket(server.http.socket, server_side=True)
    server.says(200, {"jobs": [], "next": None, "further": None})
    url = f"https://localhost:{server.http.server_port}/api"
    said = refused(url, "list")
    assert said.startswith(f"The certificate of localhost:{server.http.server_port} is not trusted: self-signed certificate")
    assert not server.asked
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "server.pem"))
    assert jobs("list", "--remote", url) == "There are no jobs yet.\n"


def _certificate(folder: Path) -> Path:
    """Of localhost, signed by itself."""
    key, now = ec.generate_private_key(ec.SECP256R1()), dt.datetime.now(dt.UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    made = x509.CertificateBuilder(name, name, key.public_key(), 1, now - dt.timedelta(days=1), now + dt.timedelta(days=1))
    made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
    made = made.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    made = made.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    made = made.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
    form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    path = folder / "server.pem"
    path.write_bytes(key.private_bytes(*form) + made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    return path


def test_a_busy_server_is_asked_again_when_it_says(server: Server, naps: list[float]) -> None:
    server.says(429, {"detail": "too often"}, PROBLEM, Retry_After="7")
    server.says(503, {"detail": "too many wait"}, PROBLEM, Retry_After="1")
    server.says(200, {"jobs": [], "next": None, "further": None})
    assert jobs("list", "--remote", f"http://{server.address}") == "too often Asking again in 7 s.\nThere are no jobs yet.\n"
    assert naps == [7.0, 1.0]
    server.answers.clear()
    server.says(503, {"detail": "maintenance"}, PROBLEM, Retry_After="9000")
    assert refused(server, "list") == "The server is too busy: maintenance"


def test_a_submit_whose_answer_is_lost_is_sent_again_with_its_key(server: Server, naps: list[float]) -> None:
    server.answers += [(0, {}, b"")] * 2
    server.says(201, {"id": JOB, "kind": "k", "queue": "default", "run_at": "2026-01-01T00:00:00Z", "existed": False})
    assert jobs("submit", "k", "--remote", f"http://{server.address}") == f"Submitted k {JOB} to queue default.\n"
    assert len({headers["Idempotency-Key"] for _path, headers in server.asked}) == 1
    assert len(server.asked) == 3
    server.answers[:] = [(0, {}, b"")]
    assert "It is not known whether this was done: look before you do it again." in refused(server, "submit", "k")
    server.asked.clear()
    assert "It is not known whether" in refused(server, "cancel", JOB)
    assert len(server.asked) == 1


def test_a_refusal_has_no_escapes_for_the_terminal(server: Server) -> None:
    server.says(403, {"detail": "no \x1b[31mway\x07"}, PROBLEM)
    assert refused(server, "list") == "no way⟨U+0007⟩"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("shop.example/api", "is no address of an API"),
        ("ftp://shop.example/api", "is no address of an API"),
        ("https://shop.example/api?x=1", "is no address of an API"),
        ("https://shop.example:port/api", "is no address of an API"),
        ("https://ada:secret@shop.example/api", "has a user or a password in it"),
    ],
)
def test_an_address_that_is_none(url: str, said: str) -> None:
    text = refused(url, "list")
    assert said in text
    assert "secret" not in text


@pytest.mark.parametrize("text", ["", "fw_a fw_b", "fw_ä", "fw_a\r\nX: y"], ids=["none", "two", "umlaut", "lines"])
def test_a_token_that_is_none(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FURROW_TOKEN", "")
    (tmp_path / "token").write_text(text)
    said = refused("http://127.0.0.1:1/api", "list", "--token-file", str(tmp_path / "token"))
    assert ("needs a token" if not text else "is no token") in said
    assert "fw_a" not in said
    assert "cannot be read: No such file" in refused("http://127.0.0.1:1/api", "list", "--token-file", str(tmp_path / "none"))


def test_what_others_could_read_is_warned_of(server: Server) -> None:
    server.says(200, {"jobs": [], "next": None, "further": None})
    said = jobs("list", "--remote", f"http://{server.address}", "--token", "fw_mine")
    assert "Others on this machine can read --token" in said
    assert "fw_mine" not in said
    assert server.asked[0][1]["Authorization"] == "Bearer fw_mine"
    with pytest.raises(CommandError, match="--token requires --remote"):
        jobs("list", "--token", "fw_mine")
