"""A chat endpoint on loopback for tests: it records what it is asked, and answers as a test wants it to."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from sightline.models.endpoint import Endpoint
from sightline.models.remote import EndpointAnswerer

Reply = tuple[int, Any, dict[str, str]]


class _QuietServer(ThreadingHTTPServer):
    """Says nothing of clients that left."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class Server:
    """A chat endpoint on loopback; `reply` makes each answer from the request's number and body."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.times: list[float] = []
        self.reply: Callable[[int, dict[str, Any]], Reply] = lambda number, body: completion(text_of(body)[::-1])
        self._lock = threading.Lock()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with server._lock:
                    number = len(server.bodies)
                    server.bodies.append({**body, "path": self.path})
                    server.headers.append(dict(self.headers))
                    server.times.append(time.monotonic())
                status, content, headers = server.reply(number, body)
                sent = content if isinstance(content, bytes) else json.dumps(content).encode()
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(sent))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(sent)

            def log_message(self, *args: Any) -> None:
                """Nothing: the tests' output is for faults."""

        self.http = _QuietServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/v1"
        threading.Thread(target=self.http.serve_forever, args=(0.02,), daemon=True).start()

    def answerer(self, **settings: Any) -> EndpointAnswerer:
        return EndpointAnswerer(Endpoint(self.url, "tiny", **{"first_wait_s": 0.01, "retries": 3, **settings}))

    def hasty(self, slept: list[float], said: list[str], **settings: Any) -> EndpointAnswerer:
        """An answerer that notes its waits and words, and waits for nothing."""

        async def sleep(seconds: float) -> None:
            slept.append(seconds)

        return EndpointAnswerer(Endpoint(self.url, "tiny", **settings), (), said.append, sleep)


class RawServer:
    """A server on loopback that sends pieces of bytes, with a pause after each, to whoever connects, then hangs up."""

    def __init__(self, pieces: list[bytes], pause_s: float = 0.0, tls: ssl.SSLContext | None = None) -> None:
        self.count = 0
        self._pieces, self._pause_s, self._tls = pieces, pause_s, tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self._listener.getsockname()[1]}/v1"

    def __enter__(self) -> RawServer:
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._listener.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.count += 1
                threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            talk = self._tls.wrap_socket(connection, server_side=True) if self._tls else connection
            talk.recv(65_536)
            for piece in self._pieces:
                talk.sendall(piece)
                time.sleep(self._pause_s)
            talk.shutdown(socket.SHUT_WR)  # and no reset, which closing with a request unread would send
            while talk.recv(65_536):
                pass


def completion(text: Any, finish_reason: str = "stop", **fields: Any) -> Reply:
    """A reply whose message says `text`, with further fields of the message."""
    message = {"role": "assistant", "content": text, **fields}
    return 200, {"choices": [{"message": message, "finish_reason": finish_reason}]}, {}


def text_of(body: dict[str, Any]) -> str:
    return "".join(part["text"] for part in body["messages"][-1]["content"] if part["type"] == "text")


def shows_picture(body: dict[str, Any]) -> bool:
    """Whether the last message holds a picture."""
    return any(part["type"] == "image_url" for part in body["messages"][-1]["content"])


def failing(times: int, failure: Reply) -> Callable[[int, dict[str, Any]], Reply]:
    """The first `times` requests fail."""
    return lambda number, body: failure if number < times else completion("yes")
