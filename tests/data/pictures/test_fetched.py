"""Pictures from the web where nothing can be kept."""

from __future__ import annotations

import gzip
import io
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import trustme
from PIL import Image

from sightline.data.pictures import fetched
from sightline.data.pictures.fetched import (
    Limits,
    UrlError,
    fetch_picture,
    fetched_folders,
    find_fetched,
    is_public,
    keep_fetched,
)


@pytest.fixture(params=["no home", "a file in its place", "read-only"])
def nothing_kept(request, monkeypatch, tmp_path):
    monkeypatch.setattr(fetched, "_passing", [])
    monkeypatch.setattr(fetched, "_fetched_now", {})
    if request.param == "no home":
        for name in ("HOME", "XDG_CACHE_HOME", "SIGHTLINE_CACHE"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setattr("pwd.getpwuid", lambda number: {}[number])
    elif request.param == "read-only":
        monkeypatch.setenv("SIGHTLINE_CACHE", "/proc/cache")
        monkeypatch.setattr(Path, "mkdir", lambda path, **options: (_ for _ in ()).throw(PermissionError(13, "denied")))
    else:
        (tmp_path / "file").write_text("")
        monkeypatch.setenv("SIGHTLINE_CACHE", str(tmp_path / "file"))


def test_a_picture_is_fetched_once_and_found_in_this_run_and_a_variable_is_named_once(nothing_kept, capsys):
    assert find_fetched("https://a.test/1") is None
    path = keep_fetched("https://a.test/1", b"one", "png")
    keep_fetched("https://a.test/2", b"two", "png")
    assert path.read_bytes() == b"one" and find_fetched("https://a.test/1") == path
    assert path.parent in fetched_folders()
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and "SIGHTLINE_CACHE" in told


AUTHORITY = trustme.CA()  # whom only these tests trust
CERTIFICATE = AUTHORITY.issue_cert("pictures.test")
Answer = Callable[[ssl.SSLSocket], None]


def encoded(size: int = 8) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (size, size), "red").save(buffer, "PNG")
    return buffer.getvalue()


def reply(status: str, *headers: str, body: bytes = b"") -> Answer:
    def answer(client: ssl.SSLSocket) -> None:
        client.sendall("\r\n".join([f"HTTP/1.1 {status}", *headers, "", ""]).encode() + body)

    return answer


@contextmanager
def server(*answers: Answer) -> Iterator[int]:
    """A TLS server on loopback that gives one answer to each connection; its port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    CERTIFICATE.configure_cert(context)
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        for answer in answers:
            with suppress(OSError):
                plain, _ = listener.accept()
                with context.wrap_socket(plain, server_side=True) as client:
                    client.recv(65536)
                    answer(client)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.close()


def limits(
    resolve: Callable[[str, int], list[str]] = lambda host, port: ["127.0.0.1"],
    allowed: Callable[[str], bool] = lambda address: address == "127.0.0.1",
    max_bytes: int = 100_000,
    seconds: float = 10.0,
) -> Limits:
    trusting = ssl.create_default_context()
    AUTHORITY.configure_trust(trusting)
    return Limits(max_bytes, seconds, resolve, allowed, trusting)


def refuses(message: str, *answers: Answer, given: Limits | None = None) -> None:
    with server(*answers) as port, pytest.raises(UrlError, match=message):
        fetch_picture(f"https://pictures.test:{port}/", given or limits())


@pytest.fixture(autouse=True)
def own_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGHTLINE_CACHE", str(tmp_path))


def test_a_picture_is_stored_under_its_content_and_fetched_once() -> None:
    with server(reply("200 OK", body=encoded())) as port:
        address = f"https://pictures.test:{port}/a?size=8"
        path = fetch_picture(address, limits())
    assert path.read_bytes() == encoded()
    assert path.suffix == ".png"
    assert fetch_picture(address, limits()) == path  # the server is gone


def test_the_host_is_asked_for_once_and_the_checked_address_is_the_one_connected_to() -> None:
    asked: list[str] = []

    def changing(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["10.0.0.1"]

    with server(reply("200 OK", body=encoded())) as port:
        fetch_picture(f"https://pictures.test:{port}/", limits(changing))
    assert asked == ["pictures.test"]


def test_a_resolver_that_never_answers_is_left_at_the_deadline() -> None:
    answered = threading.Event()

    def silent(host: str, port: int) -> list[str]:
        answered.wait(30)
        return ["127.0.0.1"]

    refuses(r"took longer than 0.2 s", given=limits(silent, seconds=0.2))
    answered.set()


def test_a_name_that_moves_to_a_private_address_is_refused_at_the_redirect() -> None:
    answers = iter([["127.0.0.1"], ["10.0.0.1"]])
    refuses(
        r"expected a host with public addresses, but pictures.test is 10.0.0.1",
        reply("302 Found", "Location: /again", "Content-Length: 0"),
        given=limits(lambda host, port: next(answers)),
    )


def test_one_private_address_among_public_ones_is_refused() -> None:
    with pytest.raises(UrlError, match=r"is 192.168.1.1. Pictures of your own network are not fetched"):
        fetch_picture("https://pictures.test/", limits(lambda host, port: ["127.0.0.1", "192.168.1.1"]))


@pytest.mark.parametrize(
    "place", ["http://127.0.0.1/a.png", "file:///etc/passwd", "https://user@pictures.test/", "gopher://pictures.test/"]
)
def test_a_redirect_may_lead_to_https_only(place: str) -> None:
    shown = place.replace("user@", "<hidden>@")
    refuses(rf"expected an https address without a user name, got '{shown}'", reply("301 Moved", f"Location: {place}"))


def test_a_redirect_to_a_private_address_is_refused() -> None:
    def by_name(host: str, port: int) -> list[str]:
        return ["127.0.0.1"] if host == "pictures.test" else [host]

    refuses(
        r"but 169.254.169.254 is 169.254.169.254",
        reply("301 Moved", "Location: https://169.254.169.254/latest"),
        given=limits(by_name),
    )


def test_three_redirects_are_followed_and_no_more() -> None:
    moved = reply("302 Found", "Location: /next")
    with server(moved, moved, moved, reply("200 OK", body=encoded())) as port:
        assert fetch_picture(f"https://pictures.test:{port}/a", limits()).is_file()
    with server(moved, moved, moved, moved) as port, pytest.raises(UrlError, match="redirects more than 3 times"):
        fetch_picture(f"https://pictures.test:{port}/b", limits())


@pytest.mark.parametrize("headers", [("Content-Length: 200001",), (), ("Transfer-Encoding: chunked",)])
def test_a_body_over_the_limit_is_refused_with_and_without_its_length(headers: tuple[str, ...]) -> None:
    body = b"30d41\r\n" + b"x" * 200_001 if headers[:1] == ("Transfer-Encoding: chunked",) else b"x" * 200_001
    refuses("more than 100,000 bytes", reply("200 OK", *headers, body=body))


def trickle(first: bytes) -> Answer:
    def answer(client: ssl.SSLSocket) -> None:
        client.sendall(first)
        with suppress(OSError):
            while True:
                client.sendall(b"x")
                time.sleep(0.05)

    return answer


@pytest.mark.parametrize("first", [b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\nX-Slow: ", b""])
def test_a_server_that_sends_a_byte_now_and_then_is_cut_off_at_the_deadline(first: bytes) -> None:
    start = time.monotonic()
    refuses(r"took longer than 0.4 s", trickle(first), given=limits(seconds=0.4))
    assert time.monotonic() - start < 2


def test_a_body_that_breaks_off_is_no_picture() -> None:
    refuses(r"bytes came", reply("200 OK", "Content-Length: 5000", body=encoded()))


def test_what_is_no_picture_is_not_stored(tmp_path: Path) -> None:
    refuses("no picture that Pillow can read", reply("200 OK", "Content-Type: image/png", body=b"<svg/>"))
    assert not list(tmp_path.iterdir())


def test_another_hosts_certificate_is_refused() -> None:
    with server(reply("200 OK", body=encoded())) as port, pytest.raises(UrlError, match="certificate"):
        fetch_picture(f"https://other.test:{port}/", limits())


def test_an_error_status_is_named() -> None:
    refuses("expected status 200, got 404", reply("404 Not Found"))


@pytest.mark.parametrize(
    "address", ["http://pictures.test/", "file:///etc/passwd", "ftp://pictures.test/", "https:///a"]
)
def test_other_schemes_are_refused_before_anything_is_asked(address: str) -> None:
    def never(host: str, port: int) -> list[str]:
        raise AssertionError("asked")

    with pytest.raises(UrlError, match="expected an https address"):
        fetch_picture(address, limits(never))


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.215.14", True),
        ("2606:2800:220:1:248:1893:25c8:1946", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("::1", False),
        ("fe80::1%eth0", False),
        ("fc00::1", False),
        ("::ffff:10.0.0.1", False),
        ("64:ff9b::a00:1", False),
        ("2002:a00:1::", False),
        ("2002:808:808::1", False),
        ("2a00:1450:4001:80b::200e", True),
        ("::ffff:8.8.8.8", True),
        ("64:ff9b::808:808", True),
        ("fec0::1", False),
        ("64:ff9b::10.0.0.1", False),
        ("64:ff9b::7f00:1", False),
        ("64:ff9b:1::a00:1", False),
        ("64:ff9b:1::808:808", False),
        ("::ffff:0:10.0.0.1", False),
        ("::ffff:0:8.8.8.8", False),
        ("::10.0.0.1", False),
        ("::8.8.8.8", False),
        ("2001:0:4136:e378:8000:63bf:f5ff:fffe", False),
        ("2001::1", False),
        ("2001:20::1", False),
        ("2001:db8::1", False),
        ("3fff::1", False),
        ("5f00::1", False),
        ("100::1", False),
        ("4000::1", False),
        ("ff0e::1", False),
        ("192.0.0.8", False),
        ("192.0.0.9", False),
        ("192.0.2.1", False),
        ("192.88.99.1", False),
        ("198.18.0.1", False),
        ("198.51.100.1", False),
        ("203.0.113.1", False),
        ("240.0.0.1", False),
        ("255.255.255.255", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
    ],
)
def test_public_addresses_are_those_of_the_internet(address: str, public: bool) -> None:
    assert is_public(address) is public


@pytest.mark.parametrize(
    "host",
    ["2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "127.1", "0", "[::]", "[::ffff:127.0.0.1]", "localhost."],
)
def test_every_spelling_of_this_machine_is_refused(host: str) -> None:
    with pytest.raises(UrlError, match=r"expected a host with public addresses, but .* is|has no address"):
        fetch_picture(f"https://{host}/a.png")


@pytest.mark.parametrize(
    ("location", "message"),
    [
        ("https://[bad", r"expected that it leads to an https address, got 'https://\[bad'"),
        ("https://a:b@pictures.test/", "expected an https address without a user name"),
        ("http://pictures.test/", "expected an https address without a user name, got 'http://pictures.test/'"),
        ("//[::1", "expected that it leads to an https address"),
        ("https://pictures.test:99999/", "expected an https address, got"),
        ("file:///etc/passwd", "expected an https address"),
        ("data:image/png;base64,AAAA", "expected an https address"),
    ],
)
def test_a_redirect_leads_to_https_alone(location: str, message: str) -> None:
    refuses(message, reply("302 Found", f"Location: {location}", "Content-Length: 0"))


def test_a_packed_body_is_not_unpacked() -> None:
    body = gzip.compress(encoded())
    refuses("packed by gzip", reply("200 OK", "Content-Encoding: gzip", f"Content-Length: {len(body)}", body=body))


def test_letters_of_other_scripts_and_blanks_in_addresses_are_escaped() -> None:
    with server(reply("200 OK", body=encoded())) as port:
        assert fetch_picture(f"https://pictures.test:{port}/é 日.png?a=b%20c&d=é", limits()).suffix == ".png"


def test_by_default_public_addresses_alone_are_allowed() -> None:
    assert Limits().allowed is is_public
    assert Limits().resolve is fetched.resolve
