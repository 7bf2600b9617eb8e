"""A chat endpoint on loopback for tests: it records what it is asked, and answers as a test wants it to."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from sightline.models.remote import Endpoint, EndpointAnswerer

Reply = tuple[int, Any, dict[str, str]]


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

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/v1"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def answerer(self, **settings: Any) -> EndpointAnswerer:
        return EndpointAnswerer(Endpoint(self.url, "tiny", **{"first_wait_s": 0.01, "retries": 3, **settings}))


def completion(text: Any) -> Reply:
    return 200, {"choices": [{"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}]}, {}


def text_of(body: dict[str, Any]) -> str:
    return "".join(part["text"] for part in body["messages"][-1]["content"] if part["type"] == "text")


def shows_picture(body: dict[str, Any]) -> bool:
    """Whether the last message holds a picture."""
    return any(part["type"] == "image_url" for part in body["messages"][-1]["content"])


def failing(times: int, failure: Reply) -> Callable[[int, dict[str, Any]], Reply]:
    """The first `times` requests fail."""
    return lambda number, body: failure if number < times else completion("yes")
