"""One request to a webhook: signed, to no private address, with no redirect followed, and little read of the answer."""

import base64
import hashlib
import hmac
import http.client
import ipaddress
import socket
import ssl
from collections.abc import Sequence
from typing import Any
from urllib.parse import SplitResult, urlsplit

from furrow.conf import conf

#: Bytes that are read of an answer.
READ = 2_000
#: IPv6 addresses that stand for IPv4 ones (RFC 6052).
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
#: The IPv6 addresses of which anybody may have one (RFC 4291); of others Python calls some global that are not.
_PUBLIC = ipaddress.ip_network("2000::/3")
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Unreachable(Exception):
    """No answer, or none that is one."""


class Forbidden(Unreachable):
    """The address is one that Furrow does not send to."""


def signature(secret: str, id: str, timestamp: int, body: bytes) -> str:
    """The header ``webhook-signature`` of Standard Webhooks 1.0 (https://www.standardwebhooks.com): HMAC-SHA256 over
    ``id.timestamp.body``."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    digest = hmac.new(key, f"{id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return "v1," + base64.b64encode(digest).decode()


def url_problem(url: str) -> str:
    """What is wrong with the address of a webhook, and the remedy; empty when nothing is. A name is not looked up."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        return f"it cannot be read ({error})"
    if parts.scheme not in ("https", "http") or not parts.hostname:
        return "it must begin with https:// or http://, and a host"
    if parts.username or parts.password:
        return "it has a user or a password: receivers check the signature instead"
    if port == 0 or not parts.hostname.isprintable() or any(ord(one) < 33 for one in url):
        return "it has characters or a port that no address has"
    try:
        address = ipaddress.ip_address(parts.hostname)
    except ValueError:
        return ""
    return "" if may_reach(address) else _forbidden(parts.hostname, address)


def may_reach(address: Address) -> bool:
    """Public addresses, and the networks that ``FURROW["WEBHOOK_NETWORKS"]`` names."""
    if isinstance(address, ipaddress.IPv6Address):
        if address in _NAT64:
            return may_reach(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
        if inner := address.ipv4_mapped or address.sixtofour:
            return may_reach(inner)
    is_public = address.is_global and not address.is_multicast and (address.version == 4 or address in _PUBLIC)
    allowed = (ipaddress.ip_network(network) for network in conf().webhook_networks)
    return is_public or any(address in network for network in allowed)


def post(url: str, body: bytes, headers: dict[str, str], timeout: float) -> tuple[int, str]:
    """The answer's status and the beginning of its text. ``timeout``: seconds for each wait; the caller limits the whole.

    Raises:
        Forbidden: it leads to a private address.
        Unreachable: no answer.
    """
    parts = urlsplit(url)
    connection = _connection(parts, timeout)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        connection.request("POST", target, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read(READ).decode(errors="replace")
    except Unreachable:
        raise
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise Unreachable(f"{type(error).__name__}: {error}") from None
    finally:
        connection.close()


def _connection(parts: SplitResult, timeout: float) -> http.client.HTTPConnection:
    host = parts.hostname or ""
    connection = (
        http.client.HTTPSConnection(host, parts.port, timeout=timeout, context=ssl.create_default_context())
        if parts.scheme == "https"
        else http.client.HTTPConnection(host, parts.port, timeout=timeout)
    )
    # The name is looked up once, and what was found is looked at and connected to: a second lookup could find another.
    connection._create_connection = _connect  # type: ignore[attr-defined]
    return connection


def _connect(where: tuple[str, int], timeout: float, source: Any = None) -> socket.socket:
    host, port = where
    last: Exception = Unreachable(f"{host} has no address")
    for family, kind, protocol, _, found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        address = ipaddress.ip_address(str(found[0]).partition("%")[0])
        if not may_reach(address):
            last = Forbidden(_forbidden(host, address))
            continue
        try:
            return _connected(socket.socket(family, kind, protocol), found, timeout)
        except OSError as error:
            last = error
    raise last


def _connected(made: socket.socket, where: Sequence[Any], timeout: float) -> socket.socket:
    try:
        made.settimeout(timeout)
        made.connect(tuple(where))
    except BaseException:
        made.close()
        raise
    return made


def _forbidden(host: str, address: Address) -> str:
    return (
        f"{host} is {address}, which is no public address: name its network in FURROW['WEBHOOK_NETWORKS'] if it may be reached"
    )
