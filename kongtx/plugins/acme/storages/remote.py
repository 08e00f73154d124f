"""A key-value store that is asked over HTTP."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import attrs
import treq
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectError, DNSLookupError
from twisted.python.failure import Failure
from twisted.web.client import Agent, ResponseFailed
from twisted.web.http_headers import Headers

from kongtx.pdk.node import Node
from kongtx.plugins.acme.errors import ACMEError
from kongtx.plugins.tls import ServerPolicy

#: Milliseconds for an answer, unless the configuration says otherwise.
TIMEOUT = 2000


@attrs.frozen
class Answer:
    """What a server answers.

    @ivar data: the parsed body; L{None} without one.
    """

    status: int
    data: Any


class Remote:
    """A server, and how to ask it.

    @param what: names it in messages.
    @param config: C{https}, C{host}, C{port} and C{timeout} of the plugin's configuration; and
        C{tls_verify} and C{tls_server_name}, if it has them.
    @param port: that of such servers.
    """

    def __init__(self, what: str, config: Mapping[str, Any], port: int, node: Node) -> None:
        self._what = what
        self._clock = node.clock
        self._timeout_s = (config["timeout"] or TIMEOUT) / 1000
        scheme = "https" if config["https"] else "http"
        name = config.get("tls_server_name")
        port = config["port"] or port
        self._url = f"{scheme}://{config['host'] or '127.0.0.1'}:{port}/v1/"
        self._host = f"{name}:{port}" if name and config["https"] else None
        trusted = tuple(node.configuration.lua_ssl_trusted_certificate)
        policy = ServerPolicy(name, trusted if config.get("tls_verify", True) else None)
        self._agent = Agent(node.reactor, policy)

    async def ask(
        self, method: str, path: str, headers: Mapping[str, str | None], body: Any = None
    ) -> Answer:
        """Ask something.

        @param path: below C{/v1/}, quoted, with its query.
        @param headers: those that are L{None} are left out.
        @param body: text, or what is sent as JSON.
        @raise ACMEError: there is no answer, or it cannot be read, or says that the server fails.
        """
        waiting = Deferred.fromCoroutine(self._exchange(method, path, headers, body))

        def late(_outcome: Answer | Failure, seconds: float) -> Answer | Failure:
            raise ACMEError(f"{self._what}: no answer within {seconds:g} seconds")

        try:
            return await waiting.addTimeout(self._timeout_s, self._clock, late)
        except (ConnectError, DNSLookupError, ResponseFailed, OSError, ValueError) as error:
            raise ACMEError(f"{self._what}: {_words(error)}") from None

    async def _exchange(
        self, method: str, path: str, headers: Mapping[str, str | None], body: Any
    ) -> Answer:
        sent = Headers({name: [value] for name, value in headers.items() if value})
        if self._host is not None:
            sent.setRawHeaders("Host", [self._host])
        data = body if body is None or isinstance(body, str) else json.dumps(body)
        response = await treq.request(
            method,
            self._url + path,
            headers=sent,
            data=None if data is None else data.encode(),
            agent=self._agent,
            allow_redirects=False,
        )
        text = await response.content()
        if response.code >= 500:
            raise ACMEError(f"{self._what}: it answers with status {response.code}")
        try:
            return Answer(response.code, json.loads(text) if text else None)
        except ValueError:
            if response.code != 200:
                return Answer(response.code, None)
            raise ACMEError(f"{self._what}: its answer is no JSON") from None


def path_of(*parts: str) -> str:
    """Parts of a path; a key's C{/} is C{-} there, as Kong writes it."""
    return "/".join(quote(part.replace("/", "-"), safe=":") for part in parts)


def _words(error: BaseException) -> str:
    reasons = getattr(error, "reasons", None)
    if reasons:
        return _words(reasons[0].value)
    return " ".join(str(error).split()) or type(error).__name__
