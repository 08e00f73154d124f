"""http-log: entries as JSON to an HTTP server, in batches."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import unquote, urlsplit

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


class HTTPLog(LogPlugin):
    """Sends entries to an HTTP server."""

    name = "http-log"
    priority = 12
    subschema = subschema()

    def send(self, entry: Mapping[str, Any], config: Mapping[str, Any], kong: Kong) -> None:
        """Queue an entry; configurations that agree in where and how share a queue."""
        name = ":".join(
            str(config[field])
            for field in ("http_endpoint", "method", "content_type", "timeout", "keepalive")
        )
        # The name is logged, and the address may have a password in it.
        url = urlsplit(config["http_endpoint"])
        shown = name.replace(url.netloc, url.netloc.rpartition("@")[2], 1)
        node = kong.node
        settings = QueueSettings.of_plugin(config)

        async def deliver(batch: Sequence[bytes]) -> None:
            await _deliver(batch, settings.max_batch_size > 1, config, node)

        queues_of(node).add(shown, settings, deliver, to_json(entry), kong.row)


async def _deliver(
    batch: Sequence[bytes], several: bool, config: Mapping[str, Any], node: Node
) -> None:
    body = b"[" + b",".join(batch) + b"]" if several else batch[0]
    url = urlsplit(config["http_endpoint"])
    headers = {**(config["headers"] or {}), "Content-Type": config["content_type"]}
    if url.username is not None:
        pair = f"{unquote(url.username)}:{unquote(url.password or '')}".encode()
        headers["Authorization"] = f"Basic {base64.b64encode(pair).decode()}"
    response = await treq.request(
        config["method"],
        f"{url.scheme}://{url.netloc.rpartition('@')[2]}{url.path or '/'}",
        headers=headers,
        data=body,
        agent=_agent_of(node, max(1, round(config["keepalive"] / 1000))),
        timeout=config["timeout"] / 1000,
        allow_redirects=False,
    )
    await response.content()
    if response.code >= 300:
        raise CollectorError(f"request to {url.hostname} returned status code {response.code}")


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
