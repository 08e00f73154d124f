"""The targets by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from attrs import frozen

from tests.fuzz import configuration, http, messages


@frozen
class Target:
    """What is fuzzed.

    @ivar run: raises when an input shows a fault.
    @ivar seeds: inputs to begin with.
    """

    run: Callable[[bytes], None]
    seeds: Sequence[bytes] = (b"",)


TARGETS = {
    "http1-server": Target(http.http1_server, http.HTTP1_REQUESTS),
    "http1-client": Target(http.http1_client, http.HTTP1_RESPONSES),
    "http2-server": Target(http.http2_server, http.HTTP2_REQUESTS),
    "http2-client": Target(http.http2_client, http.HTTP2_RESPONSES),
    "router-traditional": Target(configuration.router_traditional),
    "router-paths": Target(configuration.router_paths, configuration.PATHS),
    "router-expressions": Target(configuration.router_expressions, configuration.EXPRESSIONS),
    "schema": Target(configuration.schema, configuration.ENTITIES),
    "declarative": Target(configuration.declarative, configuration.FILES),
    "declarative-documents": Target(configuration.declarative_documents),
    "dns": Target(messages.dns_message, messages.DNS),
    "proxy-protocol": Target(messages.proxy_protocol, messages.PROXY),
    "event-bus": Target(messages.event_bus, messages.BUS),
    "event-chunks": Target(messages.event_chunks, messages.CHUNKS),
}
