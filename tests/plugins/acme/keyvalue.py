"""Servers that keep values as Consul and Vault do, as far as the plugin asks them."""

from __future__ import annotations

import base64
import json
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.integration.go_programs import built

TOKEN = "s.token"


class KeyValueServer(ThreadingHTTPServer):
    """One at a time answers a request.

    @ivar tokens: those that may do anything.
    @ivar jwts: what a service may log in with, and the token that it gets.
    """

    daemon_threads = True

    def __init__(self, handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self.lock = threading.Lock()
        self.entries: dict[str, Any] = {}
        self.metadata: dict[str, Any] = {}
        self.index = 100
        self.tokens = {TOKEN}
        self.jwts: dict[tuple[str, str], str] = {}
        self.logins = 0
        self.delay = 0.0
        self.port: int = self.server_address[1]


class _Handler(BaseHTTPRequestHandler):
    server: KeyValueServer
    token_header = ""

    def do_GET(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        parts = urlsplit(self.path)
        path = unquote(parts.path)
        query = {name: each[0] for name, each in parse_qs(parts.query).items()}
        time.sleep(self.server.delay)
        with self.server.lock:
            status, answer = self.reply(path, query, body)
        data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        data = b"" if status == 204 else data
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_PUT = do_POST = do_DELETE = do_GET

    def reply(self, path: str, query: dict[str, str], body: bytes) -> tuple[int, Any]:
        raise NotImplementedError

    def may(self) -> bool:
        return self.headers.get(self.token_header) in self.server.tokens

    def log_message(self, *args: object) -> None:
        """Say nothing."""


class Consul(_Handler):
    """C{/v1/kv} of Consul: https://developer.hashicorp.com/consul/api-docs/kv."""

    token_header = "X-Consul-Token"

    def reply(self, path: str, query: dict[str, str], body: bytes) -> tuple[int, Any]:
        """See the page."""
        if not self.may():
            return 403, b"Permission denied"
        assert path.startswith("/v1/kv/")
        key, entries = path.removeprefix("/v1/kv/"), self.server.entries
        if self.command == "GET":
            wanted = [key] if "recurse" not in query else [e for e in entries if e.startswith(key)]
            found = [entries[each] for each in sorted(wanted) if each in entries]
            return (200, found) if found else (404, b"")
        if self.command == "DELETE":
            entries.pop(key, None)
            return 200, True
        is_there = entries.get(key, {}).get("ModifyIndex", 0)
        if "cas" in query and int(query["cas"]) != is_there:
            return 200, False
        self.server.index += 1
        entries[key] = {
            "Key": key,
            "Flags": int(query.get("flags", 0)),
            "Value": base64.b64encode(body).decode() or None,
            "ModifyIndex": self.server.index,
        }
        return 200, True


class Vault(_Handler):
    """A key-value engine of Vault, version 2, mounted at C{secret} and C{acme}.

    https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v2
    """

    token_header = "X-Vault-Token"

    def reply(self, path: str, query: dict[str, str], body: bytes) -> tuple[int, Any]:
        """See the page."""
        data = json.loads(body) if body else {}
        if path == "/v1/auth/k8s/login":
            self.server.logins += 1
            token = self.server.jwts.get((data["role"], data["jwt"]))
            if token is None:
                return 400, {"errors": ["invalid role name"]}
            return 200, {"auth": {"client_token": token}}
        if not self.may():
            return 403, {"errors": ["permission denied"]}
        _, _, mount, kind, *rest = path.split("/", 4)
        if mount not in ("secret", "acme"):
            return 404, {"errors": [f"no handler for route {path}"]}
        key = "/".join(rest)
        if kind == "metadata":
            return self.about(key, query, data)
        return self.read(key) if self.command == "GET" else self.write(key, data)

    def about(self, key: str, query: dict[str, str], data: Any) -> tuple[int, Any]:
        """C{metadata}."""
        server = self.server
        if query.get("list") == "true":
            found = sorted(
                each.removeprefix(key)
                for each in {*server.entries, *server.metadata}
                if each.startswith(key)
            )
            return (200, {"data": {"keys": found}}) if found else (404, {"errors": []})
        if self.command == "DELETE":
            server.entries.pop(key, None)
            server.metadata.pop(key, None)
        else:
            lives = data["delete_version_after"]
            assert lives.endswith("ms")
            server.metadata[key] = int(lives[:-2]) / 1000
        return 204, None

    def read(self, key: str) -> tuple[int, Any]:
        """C{data}; what is over is still told of, but not shown."""
        entry = self.server.entries.get(key)
        if entry is None:
            return 404, {"errors": []}
        version = {"version": entry["version"]}
        if entry["until"] and entry["until"] <= time.time():
            return 404, {"data": {"data": None, "metadata": version}}
        return 200, {"data": {"data": entry["data"], "metadata": version}}

    def write(self, key: str, data: Any) -> tuple[int, Any]:
        """C{data}: a version more."""
        version = self.server.entries.get(key, {}).get("version", 0)
        if data.get("options", {}).get("cas", version) != version:
            why = "check-and-set parameter did not match the current version"
            return 400, {"errors": [why]}
        lives = self.server.metadata.get(key, 0)
        until = time.time() + lives if lives else 0
        self.server.entries[key] = {"data": data["data"], "version": version + 1, "until": until}
        return 200, {"data": {"version": version + 1}}


@contextmanager
def serving(
    handler: type[BaseHTTPRequestHandler], context: ssl.SSLContext | None = None
) -> Iterator[KeyValueServer]:
    """A server on a port of its own."""
    with KeyValueServer(handler) as server:
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def vault_engine(folder: Path) -> Iterator[int]:
    """Vault's own engine, which L{Vault} stands for where more of a server is needed; its port."""
    told = folder / "vault-engine.port"
    process = subprocess.Popen([built("vault_engine", "."), TOKEN, str(told)])
    try:
        give_up = time.monotonic() + 20
        while not told.exists():
            assert process.poll() is None
            assert time.monotonic() < give_up
            time.sleep(0.02)
        yield int(told.read_text())
    finally:
        process.terminate()
        process.wait(10)
