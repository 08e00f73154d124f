"""http-log: entries as JSON to an HTTP server, in batches."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any
from urllib.parse import unquote, urlsplit

import attrs
import treq
from OpenSSL import SSL
from twisted.internet.ssl import CertificateOptions
from twisted.web.client import Agent, HTTPConnectionPool
from twisted.web.iweb import IPolicyForHTTPS
from zope.interface import implementer

from kongtx.errors import KongtxError
from kongtx.pdk.kong import Kong
from kongtx.pdk.node import Node
from kongtx.plugins.http_log.schema import subschema
from kongtx.plugins.logging import LogPlugin, queues_of, to_json
from kongtx.plugins.queue import QueueSettings


class CollectorError(KongtxError):
    """The collector answered that it did not take a batch."""


@implementer(IPolicyForHTTPS)
class _AnyCertificate:
    """Takes whatever certificate a collector shows (Kong: the same)."""

    def creatorForNetloc(self, hostname: bytes, port: int) -> Any:
        return CertificateOptions(verify=False, raiseMinimumTo=None, method=SSL.TLS_METHOD)


@attrs.frozen
class Collector:
    """A configuration, as it is used.

    @ivar queue_name: the same for configurations that agree in where and how entries are sent. It
        is logged, so it is without the password that the address may have.
    @ivar several: whether entries are sent as a list.
    @ivar timeout: in seconds, as C{keepalive}.
    """

    queue_name: str
    queue: QueueSettings
    several: bool
    method: str
    url: str
    host: str | None
    headers: dict[bytes | str, bytes | str]
    timeout: float
    keepalive: int

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Collector:
        """That of a configuration."""
        url = urlsplit(config["http_endpoint"])
        place = url.netloc.rpartition("@")[2]
        name = ":".join(
            str(config[field])
            for field in ("http_endpoint", "method", "content_type", "timeout", "keepalive")
        )
        queue = QueueSettings.of_plugin(config)
        headers: dict[bytes | str, bytes | str] = {
            **(config["headers"] or {}),
            "Content-Type": config["content_type"],
        }
        if url.username is not None:
            pair = f"{unquote(url.username)}:{unquote(url.password or '')}".encode()
            headers["Authorization"] = f"Basic {base64.b64encode(pair).decode()}"
        return cls(
            queue_name=name.replace(url.netloc, place, 1),
            queue=queue,
            several=queue.max_batch_size > 1,
            method=config["method"],
            url=f"{url.scheme}://{place}{url.path or '/'}",
            host=url.hostname,
            headers=headers,
            timeout=config["timeout"] / 1000,
            keepalive=max(1, round(config["keepalive"] / 1000)),
        )

    async def deliver(self, node: Node, batch: Sequence[bytes]) -> None:
        """Send entries.

        @raise CollectorError: the collector did not take them.
        """
        response = await treq.request(
            self.method,
            self.url,
            headers=self.headers,
            data=b"[" + b",".join(batch) + b"]" if self.several else batch[0],
            agent=_agent_of(node, self.keepalive),
            timeout=self.timeout,
            allow_redirects=False,
        )
        await response.content()
        if response.code >= 300:
            raise CollectorError(f"request to {self.host} returned status code {response.code}")


class HTTPLog(LogPlugin):
    """Sends entries to an HTTP server."""

    name = "http-log"
    priority = 12
    subschema = subschema()

    def prepare_sending(self, config: Mapping[str, Any]) -> Collector:
        """See L{Collector}."""
        return Collector.of(config)

    def send(self, entry: Mapping[str, Any], collector: Collector, kong: Kong) -> None:
        """Queue an entry."""
        node = kong.node
        queues_of(node).add(
            collector.queue_name,
            collector.queue,
            partial(collector.deliver, node),
            to_json(entry),
            kong.row,
        )


def _agent_of(node: Node, keepalive: int) -> Agent:
    """What makes requests; its connections stay for some seconds when they are idle."""
    key = Agent, keepalive
    agent: Agent | None = node.shared.get(key)
    if agent is None:
        pool = HTTPConnectionPool(node.reactor, persistent=True)
        pool.cachedConnectionTimeout = keepalive
        agent = node.shared[key] = Agent(node.reactor, _AnyCertificate(), pool=pool)
        node.closing.append(pool.closeCachedConnections)
    return agent
