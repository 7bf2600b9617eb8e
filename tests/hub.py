"""A Hub on loopback for tests: it takes what is pushed and keeps every request."""

from __future__ import annotations

import base64
import json
import re
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

COMMIT = "0" * 40


@dataclass(frozen=True)
class Request:
    """What came: the line's path, the header that opens doors, and the body."""

    path: str
    authorization: str
    body: bytes


class Hub:
    """Stands in for huggingface.co where `HF_ENDPOINT` names `url`.

    Attributes:
        status: of every reply; any but 200 refuses, with the token in its message.
        cuts: whether connections end without a reply.
        role: of the token.
        files: what was committed, by name.
    """

    def __init__(self) -> None:
        self.status, self.cuts, self.role = 200, False, "write"
        self.requests: list[Request] = []
        self.files: dict[str, bytes] = {}
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._take()

            def do_HEAD(self) -> None:
                self._take()

            def do_POST(self) -> None:
                self._take()

            def _take(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                hub.requests.append(Request(self.path, self.headers.get("Authorization") or "", body))
                if hub.cuts:
                    self.close_connection = True
                    return
                reply = json.dumps(hub.answer(self.path, body)).encode()
                self.send_response(hub.status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(reply)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(reply)

            def log_message(self, *args: Any) -> None:
                """Nothing: the tests' output is for faults."""

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def answer(self, path: str, body: bytes) -> Any:
        """What the Hub says to a request."""
        if self.status != 200:
            return {"error": f"refused: {self.requests[-1].authorization}"}
        if path.startswith("/api/repos/create"):
            return {"url": f"{self.url}/someone/tiny", "name": "someone/tiny", "id": "0"}
        if "/preupload/" in path:
            given = json.loads(body)["files"]
            return {"files": [{"path": one["path"], "uploadMode": "regular", "shouldIgnore": False} for one in given]}
        if "/commit/" in path:
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    self.files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            return {"commitUrl": f"{self.url}/someone/tiny/commit/{COMMIT}", "commitOid": COMMIT, "success": True}
        if "/whoami" in path:
            return {"type": "user", "name": "someone", "orgs": [], "auth": {"accessToken": {"role": self.role}}}
        if re.search(r"/tree/", path):
            return []
        return {"id": "someone/tiny", "sha": COMMIT, "siblings": [], "private": False, "errors": [], "warnings": []}
