"""Images from the web: downloaded safely, from public addresses and within bounds, and kept by content."""

from __future__ import annotations

import atexit
import contextlib
import errno
import hashlib
import http.client
import ipaddress
import shutil
import socket
import ssl
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, quote, urljoin, urlsplit

from sightline.data.pictures.images import encoded_format
from sightline.errors import DataError, MachineError
from sightline.runs import cache_folder, write_bytes
from sightline.secrets import bare_address, names_content, remember_address

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


KIND = "pictures"
_NOT_WRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR)

# By this process: from addresses that nothing without a secret tells apart, or where nothing can be kept.
_fetched_now: dict[str, Path] = {}
_passing: list[Path] = []  # the folder of this process alone, where nothing can be kept


@dataclass(frozen=True)
class FetchedPictures:
    """What lies there.

    Attributes:
        used: time of the latest fetch, seconds since the epoch.
        damaged: names of files whose content is not what was fetched; None where content was not looked at.
    """

    kind: str
    entries: int
    bytes: int
    used: float
    damaged: tuple[str, ...] | None


def find_fetched(address: str) -> Path | None:
    """The picture that an address gave, if it was fetched and is what it was.

    What is signed is found by the address without its signature. Where a secret of another kind may be all that tells
    pictures apart, only this process finds it again: no secret is written, nor a hash of one.
    """
    stored = _fetched_now.get(address)
    if stored is None and names_content(address):
        try:
            stored = _folder() / (_address_folder() / _key(address)).read_text(encoding="utf-8")
        except (OSError, MachineError):  # never fetched, or nothing is kept here
            return None
    return stored if stored is not None and stored.is_file() and _is_whole(stored) else None


def keep_fetched(address: str, content: bytes, suffix: str) -> Path:
    """The picture of an address as a file with that suffix; of this process alone where nothing can be kept."""
    name = f"{hashlib.sha256(content).hexdigest()}.{suffix}"
    try:
        _address_folder().mkdir(parents=True, exist_ok=True)
        stored = write_bytes(_folder() / name, content)
        if names_content(address):
            write_bytes(_address_folder() / _key(address), stored.name.encode())
        else:
            _fetched_now[address] = stored
    except (OSError, MachineError) as error:
        if isinstance(error, OSError) and error.errno not in _NOT_WRITABLE:
            raise
        stored = _fetched_now[address] = write_bytes(_passing_folder(error) / name, content)
    return stored


def fetched_folders() -> list[Path]:
    """Where pictures that were fetched lie."""
    try:
        return [_folder(), *_passing]
    except MachineError:
        return list(_passing)


def list_fetched(verify: bool = False) -> FetchedPictures:
    """All pictures fetched; `verify` reads each."""
    files = _files()
    damaged = tuple(file.name for file in files if not _is_whole(file)) if verify else None
    stats = [file.stat() for file in files]
    used = max((stat.st_mtime for stat in stats), default=0.0)
    return FetchedPictures(KIND, len(files), sum(stat.st_size for stat in stats), used, damaged)


def remove_fetched(names: Iterable[str] | None = None) -> int:
    """Removes pictures by name, or all and what they were found by; returns the bytes that became free."""
    files = _files() if names is None else [_folder() / name for name in names]
    freed = sum(file.stat().st_size for file in files)
    for file in [*files, *(_address_folder().glob("*") if names is None else ())]:
        file.unlink(missing_ok=True)
    return freed


def _passing_folder(why: Exception) -> Path:
    if not _passing:
        folder = Path(tempfile.mkdtemp(prefix="sightline-pictures-"))
        _passing.append(folder)
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        named = why if isinstance(why, MachineError) else f"{why}. Name another folder by SIGHTLINE_CACHE."
        print(f"Pictures from the web are kept for this run alone: {named}", file=sys.stderr)
    return _passing[0]


def _folder() -> Path:
    return cache_folder() / KIND


def _address_folder() -> Path:
    return _folder() / "addresses"


def _key(address: str) -> str:
    return hashlib.sha256(bare_address(address).encode()).hexdigest()


def _files() -> list[Path]:
    return sorted(path for path in _folder().glob("[!.]*") if path.is_file())


def _is_whole(path: Path) -> bool:
    return hashlib.sha256(path.read_bytes()).hexdigest() == path.stem
