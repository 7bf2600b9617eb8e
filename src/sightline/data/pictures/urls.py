"""Download an image safely: https, public addresses only, bounded in size and time, checked."""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, quote, urljoin, urlsplit

from sightline.data.pictures.fetched import find_fetched, keep_fetched
from sightline.data.pictures.images import encoded_format
from sightline.errors import DataError
from sightline.secrets import remember_address

MOST_REDIRECTS = 3
REDIRECTS = (301, 302, 303, 307, 308)
CHUNK_BYTES = 64 * 2**10
_IN_ADDRESSES = "%/?:@!$&'()*+,;=-._~[]|"  # stays as it is written; letters of other scripts and blanks are escaped
_GIVEN_OUT = ipaddress.ip_network("2000::/3")
_NAT64 = ipaddress.ip_network("64:ff9b::/96")  # ends in an IPv4 address
# IANA's special-purpose registries: IETF protocols and 6to4's relays; IETF protocols with Teredo, documentation.
_RESERVED_4 = tuple(map(ipaddress.ip_network, ("192.0.0.0/24", "192.88.99.0/24")))
_RESERVED_6 = tuple(map(ipaddress.ip_network, ("2001::/23", "2001:db8::/32", "3fff::/20")))


class UrlError(DataError):
    """A picture was not fetched."""


def resolve(host: str, port: int) -> list[str]:
    """The addresses of a host, asked once."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def is_public(address: str) -> bool:
    """Whether an address belongs to the public internet; one that wraps another is judged by that, too.

    Of IPv6 that is what is given out, 2000::/3, less what of it is reserved: Python's `is_global` (3.11 to 3.13) calls
    what it does not know global, such as site-local addresses and prefixes of translators.
    """
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv4Address):
        return ip.is_global and not ip.is_multicast and not any(ip in network for network in _RESERVED_4)
    wrapped = ip.ipv4_mapped or (ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF) if ip in _NAT64 else None)
    if wrapped is not None:
        return is_public(str(wrapped))
    if ip.sixtofour is not None:  # relays of 6to4 are gone; Python calls it global before 3.13 alone
        return False
    return ip in _GIVEN_OUT and ip.is_global and not any(ip in network for network in _RESERVED_6)


@dataclass(frozen=True)
class Limits:
    """What a fetch may take, and whom it may reach.

    Attributes:
        max_bytes: of the picture.
        seconds: for all of it, redirects included.
        resolve: gives the addresses of a host.
        allowed: whether an address may be connected to.
        tls: checks the host's certificate.
    """

    max_bytes: int = 20 * 2**20
    seconds: float = 20.0
    resolve: Callable[[str, int], list[str]] = resolve
    allowed: Callable[[str], bool] = is_public
    tls: ssl.SSLContext = field(default_factory=ssl.create_default_context)


def fetch_picture(address: str, limits: Limits | None = None) -> Path:
    """The picture at an https address as a file of the cache, named by its content; fetched once.

    Raises:
        UrlError: another scheme, a private address, a redirect too many, too large, too slow, or no picture.
    """
    remember_address(address)
    stored = find_fetched(address)
    if stored is not None:
        return stored
    content = _download(address, limits or Limits())
    return keep_fetched(address, content, _kind(content, address))


def _download(address: str, limits: Limits) -> bytes:
    deadline = time.monotonic() + limits.seconds
    place = address
    for _ in range(MOST_REDIRECTS + 1):
        parts = _checked(place, address)
        try:
            answer = _answer(parts, address, limits, deadline)
        except (OSError, http.client.HTTPException, ValueError) as error:
            if isinstance(error, TimeoutError) or time.monotonic() >= deadline:
                raise UrlError(
                    f"'{address}' took longer than {limits.seconds:g} s. Try again, or put the picture into a file."
                ) from error
            raise UrlError(f"'{address}' could not be fetched: {error}. Try again, or drop the row.") from error
        if isinstance(answer, bytes):
            return answer
        try:
            place = urljoin(place, answer)
        except ValueError as error:
            raise UrlError(
                f"'{address}': expected that it leads to an https address, got '{answer[:200]}' ({error}). Use a file."
            ) from error
    raise UrlError(f"'{address}' redirects more than {MOST_REDIRECTS} times. Name the address that it leads to.")


def _checked(place: str, address: str) -> SplitResult:
    try:
        parts = urlsplit(place)
        port = parts.port or 443
    except ValueError as error:
        raise UrlError(f"'{address}': expected an https address, got '{place}' ({error}). Mend it.") from error
    if parts.scheme != "https" or not parts.hostname or parts.username is not None or not 0 < port < 65536:
        led = "" if place == address else f", which '{address}' leads to"
        raise UrlError(f"expected an https address without a user name, got '{place}'{led}. Use a file, or https.")
    return parts


def _answer(parts: SplitResult, address: str, limits: Limits, deadline: float) -> bytes | str:
    """The content at a place, or the place that it redirects to; all of it before the deadline."""
    host, port = str(parts.hostname), parts.port or 443
    connected = socket.create_connection(
        (_public(host, port, address, limits, deadline), port), timeout=_left(deadline)
    )
    with limits.tls.wrap_socket(connected, server_hostname=host, do_handshake_on_connect=False) as secured:
        # A server that sends a byte now and then never runs into a socket's timeout: at the deadline it is cut off.
        watchdog = threading.Timer(_left(deadline), _cut, [secured])
        watchdog.start()
        connection = http.client.HTTPConnection(host, port)
        try:
            secured.do_handshake()
            connection.sock = secured
            target = quote((parts.path or "/") + (f"?{parts.query}" if parts.query else ""), safe=_IN_ADDRESSES)
            headers = {"Accept": "image/*", "User-Agent": "sightline", "Connection": "close"}
            connection.request("GET", target, headers=headers)
            response = connection.getresponse()
            if response.status in REDIRECTS:
                return response.getheader("Location") or ""
            body = _body(response, address, limits)
            _left(deadline)  # a connection that was cut off looks like one that the server closed
            return body
        finally:
            watchdog.cancel()
            connection.close()


def _public(host: str, port: int, address: str, limits: Limits, deadline: float) -> str:
    """An address of the host that was checked: the name is asked for once, and never again while connecting."""
    try:
        found = _addresses(host, port, limits, deadline)
    except TimeoutError:
        raise
    except (OSError, UnicodeError) as error:
        raise UrlError(f"'{address}': the host {host} has no address ({error}). Mend the address.") from error
    private = [one for one in found if not limits.allowed(one)]
    if private or not found:
        raise UrlError(
            f"'{address}': expected a host with public addresses, but {host} is {', '.join(private) or 'nowhere'}. "
            "Pictures of your own network are not fetched; put them into files."
        )
    return found[0]


def _addresses(host: str, port: int, limits: Limits, deadline: float) -> list[str]:
    """The addresses of a host. The system's resolver knows no deadline, so at ours it is left to itself."""
    answer: Future[list[str]] = Future()

    def ask() -> None:
        try:
            answer.set_result(limits.resolve(host, port))
        except Exception as error:
            answer.set_exception(error)

    threading.Thread(target=ask, daemon=True).start()
    return answer.result(_left(deadline))


def _body(response: http.client.HTTPResponse, address: str, limits: Limits) -> bytes:
    if response.status != 200:
        raise UrlError(f"'{address}': expected status 200, got {response.status}. Mend the address, or drop the row.")
    announced = response.getheader("Content-Length") or "0"
    content = bytearray()
    while int(announced) <= limits.max_bytes and len(content) <= limits.max_bytes:
        chunk = response.read1(CHUNK_BYTES)
        if not chunk:
            if len(content) < int(announced):
                raise OSError(f"{len(content):,} of {int(announced):,} bytes came")
            return bytes(content)
        content += chunk
    raise UrlError(f"'{address}' has more than {limits.max_bytes:,} bytes. Use a smaller picture, or a file.")


def _cut(secured: ssl.SSLSocket) -> None:
    with contextlib.suppress(OSError):
        secured.shutdown(socket.SHUT_RDWR)


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _kind(content: bytes, address: str) -> str:
    try:
        return encoded_format(content, f"'{address}'")
    except DataError as error:
        raise UrlError(f"{error} Or mend the address.") from error
