"""A Redis server, as far as counting needs it; by txredisapi, which is an extra."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs
from twisted.internet.defer import Deferred, ensureDeferred, succeed
from twisted.internet.endpoints import HostnameEndpoint, connectProtocol, wrapClientTLS
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.python.failure import Failure

from kongtx.plugins.errors import PluginError
from kongtx.plugins.tls import client_creator

if TYPE_CHECKING:
    from txredisapi import RedisProtocol

#: Keys, what to add to each, and for how many seconds a new one lives.
Additions = Sequence[tuple[bytes, int, int]]

# Adds to every key; those that are new by that get their time to live with it, or never.
_ADD = """
local counts = {}
for i, key in ipairs(KEYS) do
  local amount = tonumber(ARGV[2 * i - 1])
  counts[i] = redis.call("INCRBY", key, amount)
  if counts[i] == amount then redis.call("EXPIRE", key, ARGV[2 * i]) end
end
return counts
"""


@attrs.frozen
class RedisSettings:
    """How to reach a server; C{config.redis} of a plugin."""

    host: str
    port: int
    timeout: float
    username: str | None = None
    password: str | None = attrs.field(default=None, repr=False)
    database: int = 0
    ssl: bool = False
    ssl_verify: bool = False
    server_name: str | None = None

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> RedisSettings:
        """Those of a configuration."""
        return cls(
            config["host"],
            config["port"],
            config["timeout"] / 1000,
            config["username"] or None,
            config["password"] or None,
            config["database"] or 0,
            bool(config["ssl"]),
            bool(config["ssl_verify"]),
            config["server_name"],
        )


class RedisClient:
    """One connection to a server, made when it is first needed and again after it was lost.

    Commands are sent one after the other without waiting for answers, so one is enough.

    @param authorities: who may vouch for the server, as paths or PEM texts.
    """

    def __init__(
        self, settings: RedisSettings, reactor: Any, authorities: Iterable[str] = ()
    ) -> None:
        self.settings = settings
        self._reactor = reactor
        self._authorities = authorities
        self._protocol: RedisProtocol | None = None
        self._waiting: list[Deferred[RedisProtocol]] = []
        self._closed = False

    async def read(self, keys: Sequence[bytes]) -> list[int]:
        """The numbers under some keys; 0 where there is none."""
        protocol = await self.connected()
        return [int(value or 0) for value in await protocol.mget(list(keys))]

    async def add(self, additions: Additions) -> list[int]:
        """Add to the numbers under some keys, all at once; the new numbers."""
        protocol = await self.connected()
        keys = [key for key, _, _ in additions]
        arguments = [number for _, amount, seconds in additions for number in (amount, seconds)]
        return [int(value) for value in await protocol.eval(_ADD, keys, arguments)]

    def close(self) -> Deferred[None]:
        """Close the connection, if there is one, or as soon as there is.

        What was sent before is answered before.
        """
        self._closed = True
        protocol, self._protocol = self._protocol, None
        if protocol is None or not protocol.connected:
            return succeed(None)
        answered: Deferred[Any] = protocol.ping()
        return answered.addBoth(lambda _: protocol.transport.loseConnection())

    def connected(self) -> Deferred[RedisProtocol]:
        """The connection, for commands other than counting."""
        if self._protocol is not None and self._protocol.connected:
            return succeed(self._protocol)
        waiter: Deferred[RedisProtocol] = Deferred()
        self._waiting.append(waiter)
        if len(self._waiting) == 1:
            ensureDeferred(self._connect()).addBoth(self._deliver)
        return waiter

    def _deliver(self, result: RedisProtocol | Failure) -> None:
        waiting, self._waiting = self._waiting, []
        if not isinstance(result, Failure):
            self._protocol = result
            if self._closed:
                self.close()
        for waiter in waiting:
            waiter.callback(result)

    async def _connect(self) -> RedisProtocol:
        settings = self.settings
        protocol = _protocol_class()(charset=None, replyTimeout=settings.timeout)
        await connectProtocol(self._endpoint(), protocol)
        try:
            if settings.password is not None:
                await protocol.auth(settings.password, settings.username)
            if settings.database:
                await protocol.select(settings.database)
        except BaseException:
            protocol.transport.abortConnection()
            raise
        return protocol

    def _endpoint(self) -> IStreamClientEndpoint:
        settings = self.settings
        endpoint = HostnameEndpoint(
            self._reactor, settings.host, settings.port, timeout=settings.timeout
        )
        if not settings.ssl:
            return endpoint
        name = settings.server_name or settings.host
        trusted = self._authorities if settings.ssl_verify else None
        return wrapClientTLS(client_creator(name, trusted), endpoint)


def _protocol_class() -> type[RedisProtocol]:
    """The protocol; imported late, as few nodes need it.

    @raise PluginError: if it is not installed.
    """
    try:
        from txredisapi import RedisProtocol  # noqa: PLC0415
    except ImportError as error:
        raise PluginError(
            f"the policy redis needs the package txredisapi (pip install kongtx[redis]): {error}"
        ) from error
    protocol: type[RedisProtocol] = RedisProtocol
    return protocol


def client_of(settings: RedisSettings, node: Any) -> RedisClient:
    """The worker's client for a server; one for all plugins that use it alike."""
    client: RedisClient | None = node.shared.get(settings)
    if client is None:
        trusted = node.configuration.lua_ssl_trusted_certificate if settings.ssl_verify else ()
        client = node.shared[settings] = RedisClient(settings, node.reactor, trusted)
        node.closing.append(client.close)
    return client
