"""Send requests to an endpoint: bounded in size and time, no redirects, waits are announced."""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
import time
import zlib
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx2

from sightline.errors import ConfigError, InputError
from sightline.models.endpoint import Endpoint
from sightline.models.replies import Posted, Trouble, TryAgain, Unanswered

QUIET_S = 10.0  # after a line about waiting none follows for so long: eight requests wait for one reason
SILENCE_S = 60.0  # without any reply after which it is said that one is waited for


def say_on_stderr(text: str) -> None:
    """A line where progress goes."""
    print(text, file=sys.stderr)


class Voice:
    """Says what is worth saying once, and what is said again only after a while."""

    def __init__(self, say: Callable[[str], None] = say_on_stderr) -> None:
        self._say = say
        self._said: set[str] = set()
        self._quiet_until = 0.0

    def once(self, text: str) -> None:
        """A line that a run reads once."""
        if text not in self._said:
            self._said.add(text)
            self._say(text)

    def now_and_then(self, text: str) -> None:
        """A line that may be left out where one was said just before."""
        if time.monotonic() >= self._quiet_until:
            self._quiet_until = time.monotonic() + QUIET_S
            self._say(text)


CONNECT_S = 20.0
_GZIP = frozenset({"gzip", "x-gzip", "deflate"})
_WITHOUT_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "UNKNOWN_PROTOCOL", "HTTP_REQUEST")


class Poster:
    """Sends bodies to an endpoint's completions; to be opened with `async with`, in the loop that uses it."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        authorization = endpoint.authorization()
        self._headers = {
            "Content-Type": "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": "sightline",
            **({"Authorization": authorization} if authorization else {}),
        }
        try:
            self._client = httpx2.AsyncClient(
                timeout=httpx2.Timeout(None, connect=min(CONNECT_S, endpoint.timeout_s)),
                limits=httpx2.Limits(max_connections=endpoint.concurrency),
                trust_env=not endpoint.is_here,  # proxies; certificates are a user's own wherever the server is
                verify=httpx2.create_ssl_context(),
            )
        except (ImportError, ValueError, httpx2.InvalidURL) as error:
            raise ConfigError(
                f"The proxy that HTTP_PROXY, HTTPS_PROXY or ALL_PROXY names cannot be used: {error}. Mend the "
                f"variable, or put the host of {endpoint.flags.address} into NO_PROXY."
            ) from error

    async def __aenter__(self) -> Poster:
        await self._client.__aenter__()
        return self

    async def __aexit__(self, *error: Any) -> None:
        await self._client.__aexit__(*error)

    async def post(self, body: Mapping[str, Any]) -> Posted:
        """The whole reply to a body.

        Raises:
            TryAgain: nobody answers, the connection breaks, or no whole reply comes in time.
            Unanswered: the reply is too large.
            InputError: the address cannot be right.
        """
        content = json.dumps(body).encode()
        try:
            async with (
                asyncio.timeout(self._endpoint.timeout_s),
                self._client.stream(
                    "POST", self._endpoint.completions, content=content, headers=self._headers
                ) as response,
            ):
                received = await self._received(response)
                return Posted(response.status_code, {k.lower(): v for k, v in response.headers.items()}, received)
        except TimeoutError as error:
            raise TryAgain(Trouble.SLOW, f"no whole reply in {self._endpoint.timeout_s:g} s") from error
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.ProxyError) as error:
            raise self._unreachable(error) from error
        except (httpx2.HTTPError, OSError) as error:
            why = str(error) or type(error).__name__
            raise TryAgain(Trouble.FAILED, f"the connection broke ({why})") from error
        except (httpx2.InvalidURL, UnicodeError) as error:
            raise InputError(
                f"{self._endpoint.flags.address} {self._endpoint.address}: {error}. Mend the address."
            ) from error

    async def _received(self, response: httpx2.Response) -> bytes:
        """The body, unpacked where it came packed; both within the limit of size."""
        most = self._endpoint.most_bytes
        encoding = response.headers.get("content-encoding", "identity").strip().lower()
        if encoding not in ("identity", "", *_GZIP):
            raise TryAgain(Trouble.MALFORMED, f"expected a reply as it is, got one encoded as {encoding!r}")
        unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32) if encoding in _GZIP else None
        content = bytearray()
        try:
            async for chunk in response.aiter_raw():
                content += unpacker.decompress(chunk, most + 1 - len(content)) if unpacker else chunk
                if len(content) > most:
                    raise Unanswered(f"the reply has more than {most:,} bytes. Nothing that long is read")
        except zlib.error as error:
            raise TryAgain(Trouble.MALFORMED, f"expected a reply packed as {encoding}, got {error}") from error
        return bytes(content)

    def _goes_by_proxy(self) -> bool:
        """Whether the environment sends requests to the endpoint over a proxy."""
        address, proxies = urlsplit(self._endpoint.address), getproxies()
        is_named = address.scheme in proxies or "all" in proxies
        return is_named and not self._endpoint.is_here and not proxy_bypass(address.hostname or "")

    def _unreachable(self, error: Exception) -> TryAgain | InputError:
        endpoint = self._endpoint
        cause = _tls_failure(error)
        if cause is not None:
            how = (
                "It speaks no TLS: begin the address with http://."
                if any(name in str(cause) for name in _WITHOUT_TLS)
                else "A certificate of your own is trusted where SSL_CERT_FILE names it."
            )
            return InputError(f"{endpoint.flags.address} {endpoint.address}: no secure connection, {cause}. {how}")
        by = "the proxy of HTTP_PROXY, HTTPS_PROXY or ALL_PROXY: " if self._goes_by_proxy() else ""
        return TryAgain(Trouble.UNREACHABLE, f"{by}{type(error).__name__}: {error}".rstrip(": "))


def _tls_failure(error: BaseException | None) -> ssl.SSLError | None:
    while error is not None:
        if isinstance(error, ssl.SSLError):
            return error
        error = error.__cause__ or error.__context__
    return None
