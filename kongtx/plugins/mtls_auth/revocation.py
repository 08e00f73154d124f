"""Asking those who issue certificates whether they have revoked one: by OCSP, and by lists."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import attrs
import treq
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.error import ConnectError, DNSLookupError
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.client import (
    Agent,
    ProxyAgent,
    RequestGenerationFailed,
    ResponseDone,
    ResponseFailed,
)
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers

from kongtx.dns.flight import Flights
from kongtx.pdk.node import Node
from kongtx.tls.revocation import (
    UNKNOWN,
    Link,
    RevocationLists,
    Undecided,
    by_ocsp,
    load_list,
    ocsp_request,
    sources_of,
)

T = TypeVar("T")

#: Bytes of what an authority answers at most.
LARGEST = 16 * 1024 * 1024
#: Standings and lists that a worker keeps.
_MOST_STANDINGS, _MOST_LISTS = 10_000, 64
#: Seconds after which it is asked again what nobody could tell.
UNKNOWN_LIVES = 5.0

_FAILURES = (
    ConnectError,
    DNSLookupError,
    RequestGenerationFailed,
    ResponseFailed,
    ValueError,  # for an address that is none
)


@attrs.frozen
class RevocationSettings:
    """How authorities are asked.

    @ivar proxy: host and port of an HTTP proxy on the way to them.
    @ivar timeout_s: for each answer.
    @ivar ttl_s: how long an answer holds.
    """

    proxy: tuple[str, int] | None
    timeout_s: float
    ttl_s: float

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> RevocationSettings:
        """Those of the plugin's configuration."""
        host, port = config["http_proxy_host"], config["http_proxy_port"]
        proxy = None if host is None or port is None else (host, int(port))
        return cls(proxy, config["http_timeout"] / 1000, config["cert_cache_ttl"] / 1000)


class Revocations:
    """What one worker knows of revocations.

    @param now: the time, which responses must be of.
    """

    _log = Logger()

    def __init__(
        self,
        node: Node,
        now: Callable[[], datetime.datetime] = lambda: datetime.datetime.now(datetime.UTC),
    ) -> None:
        self._node = node
        self._now = now
        self._standings: dict[tuple[Link, RevocationSettings], tuple[float, str]] = {}
        self._lists: dict[str, tuple[float, RevocationLists]] = {}
        self._flights: Flights[str] = Flights()
        self._list_flights: Flights[RevocationLists] = Flights()

    async def standing(self, link: Link, settings: RevocationSettings) -> str:
        """Whether a certificate is C{good}, C{revoked} or of C{unknown} standing."""
        sources = sources_of(link.certificate)
        if not sources.ocsp and not sources.lists:
            return UNKNOWN
        key = link, settings
        known = self._standings.get(key)
        if known is not None and known[0] > self._node.clock.seconds():
            return known[1]
        return await self._flights.join(key, lambda: self._find(link, settings))

    async def _find(self, link: Link, settings: RevocationSettings) -> str:
        told = await self._ask(link, settings)
        lives = min(settings.ttl_s, UNKNOWN_LIVES) if told == UNKNOWN else settings.ttl_s
        if len(self._standings) >= _MOST_STANDINGS:
            self._standings.clear()
        self._standings[link, settings] = self._node.clock.seconds() + lives, told
        return told

    async def _ask(self, link: Link, settings: RevocationSettings) -> str:
        """The first answer there is; responders know more of late than lists do."""
        sources = sources_of(link.certificate)
        for url in sources.ocsp:
            told = await self._told(url, self._by_responder(url, link, settings))
            if told != UNKNOWN:
                return told
        for url in sources.lists:
            told = await self._told(url, self._by_list(url, link, settings))
            if told != UNKNOWN:
                return told
        return UNKNOWN

    async def _told(self, url: str, asking: Any) -> str:
        try:
            told: str = await asking
        except Undecided as error:
            why = str(error)
        except _FAILURES as error:
            why = _words(error)
        else:
            return told
        self._log.warn(
            "mtls-auth: {url} does not tell whether a certificate is revoked: {why}",
            url=url,
            why=why,
        )
        return UNKNOWN

    async def _by_responder(self, url: str, link: Link, settings: RevocationSettings) -> str:
        answer = await self._fetch(url, settings, ocsp_request(link))
        return by_ocsp(link, answer, self._now())

    async def _by_list(self, url: str, link: Link, settings: RevocationSettings) -> str:
        kept = self._lists.get(url)
        if kept is not None and kept[0] > self._node.clock.seconds():
            found = kept[1]
        else:
            found = await self._list_flights.join(url, lambda: self._list(url, settings))
        told: str = await self._thread(found.standing, link)
        if told == UNKNOWN:
            raise Undecided("the list is not the issuer's, or not of this time")
        return told

    async def _list(self, url: str, settings: RevocationSettings) -> RevocationLists:
        data = await self._fetch(url, settings)
        found = RevocationLists([await self._thread(load_list, data)])
        if len(self._lists) >= _MOST_LISTS:
            self._lists.clear()
        self._lists[url] = self._node.clock.seconds() + settings.ttl_s, found
        return found

    async def _thread(self, call: Callable[..., T], *args: Any) -> T:
        """Long lists take OpenSSL long to read."""
        reactor = self._node.reactor
        done: T = await deferToThreadPool(reactor, reactor.getThreadPool(), call, *args)
        return done

    async def _fetch(
        self, url: str, settings: RevocationSettings, question: bytes | None = None
    ) -> bytes:
        waiting = Deferred.fromCoroutine(self._exchange(url, settings, question))

        def late(_outcome: bytes | Failure, seconds: float) -> bytes | Failure:
            raise Undecided(f"no answer within {seconds:g} seconds")

        return await waiting.addTimeout(settings.timeout_s, self._node.clock, late)

    async def _exchange(
        self, url: str, settings: RevocationSettings, question: bytes | None
    ) -> bytes:
        headers = Headers({"Content-Type": ["application/ocsp-request"]} if question else {})
        response = await treq.request(
            "GET" if question is None else "POST",
            url,
            headers=headers,
            data=question,
            agent=self._agent(url, settings),
            allow_redirects=False,
            unbuffered=True,
        )
        if response.code != 200:
            raise Undecided(f"the answer has status {response.code}")
        body = _Body()
        response.deliverBody(body)
        return await body.whole

    def _agent(self, url: str, settings: RevocationSettings) -> Any:
        reactor = self._node.reactor
        if settings.proxy is None:
            return Agent(reactor)
        if not url.lower().startswith("http://"):
            raise Undecided("https is not spoken through http_proxy_host")
        return ProxyAgent(HostnameEndpoint(reactor, *settings.proxy), reactor)


def _words(error: BaseException) -> str:
    """What is at the bottom of a failure, in one line."""
    reasons = getattr(error, "reasons", None)
    if reasons:
        return _words(reasons[0].value)
    return " ".join(str(error).split()) or type(error).__name__


class _Body(Protocol):
    """Reads a response that is not too long.

    @ivar whole: fires with it.
    """

    def __init__(self) -> None:
        self.whole: Deferred[bytes] = Deferred(lambda _: self._close())
        self._parts: list[bytes] = []
        self._size = 0

    def dataReceived(self, data: bytes) -> None:
        self._parts.append(data)
        self._size += len(data)
        if self._size > LARGEST:
            self._parts.clear()
            if not self.whole.called:
                self.whole.errback(Undecided(f"the answer has more than {LARGEST} bytes"))
            self._close()

    def _close(self) -> None:
        transport: Any = self.transport
        if transport is not None:
            transport.loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self.whole.called:
            return
        if reason.check(ResponseDone, PotentialDataLoss):
            self.whole.callback(b"".join(self._parts))
        else:
            self.whole.errback(Undecided("the answer was cut short"))
