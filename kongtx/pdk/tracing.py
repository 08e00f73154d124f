"""C{kong.tracing}: spans of a request, kept in memory until its log phase.

Kong: C{kong/pdk/tracing.lua}. A span's fields are those of OpenTelemetry; whoever exports them
reads them in the log phase with L{Tracer.process_span}.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from os import urandom
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast

from kongtx.pdk.errors import ArgumentError
from kongtx.pdk.phases import LOG, only_in
from kongtx.proxy.interfaces import IRequestContext

if TYPE_CHECKING:
    from kongtx.pdk.kong import Kong

UNSPECIFIED, INTERNAL, SERVER, CLIENT, PRODUCER, CONSUMER = range(6)
#: Of a span's status.
UNSET, OK, ERROR = range(3)

_BOUND = 1 << 64
_OFF = frozenset({"off"})
#: Words of C{tracing_instrumentations} that ask for a span of the whole request.
_WHOLE_REQUEST = frozenset({"all", "request"})


class Span:
    """One piece of work.

    @ivar name: of low cardinality, such as C{"database query"}.
    @ivar trace_id: 16 bytes, the same in all spans of a request.
    @ivar span_id: 8 bytes.
    @ivar parent: the span that this one is part of.
    @ivar parent_id: its C{span_id}, or that of a span elsewhere.
    @ivar kind: L{INTERNAL}, L{SERVER} ...
    @ivar start_time_ns: nanoseconds since the epoch.
    @ivar end_time_ns: the same; L{None} until the span is finished.
    @ivar events: C{(name, attributes, nanoseconds)}.
    @ivar status: L{UNSET}, L{OK} or L{ERROR}.
    @ivar should_sample: whether it should be exported.
    @ivar is_recording: whether anything is kept of it.
    """

    __slots__ = (
        "_tracer", "attributes", "end_time_ns", "events", "kind", "name", "parent", "parent_id",
        "should_sample", "span_id", "start_time_ns", "status", "trace_id",
    )  # fmt: skip
    is_recording = True

    def __init__(
        self,
        tracer: Tracer,
        name: str,
        *,
        parent: Span | None = None,
        trace_id: bytes | None = None,
        parent_id: bytes | None = None,
        span_kind: int = INTERNAL,
        start_time_ns: int | None = None,
        should_sample: bool | None = None,
        attributes: Mapping[str, Any] | None = None,
    ) -> None:
        self._tracer = tracer
        self.name = name
        self.parent = parent
        self.trace_id: bytes = parent.trace_id if parent else trace_id or urandom(16)
        self.span_id = urandom(8)
        self.parent_id = parent.span_id if parent else parent_id
        self.kind = span_kind
        self.start_time_ns = time.time_ns() if start_time_ns is None else start_time_ns
        self.end_time_ns: int | None = None
        self.attributes: dict[str, Any] = dict(attributes or {})
        self.events: list[tuple[str, Mapping[str, Any], int]] = []
        self.status = UNSET
        if parent is not None:
            should_sample = parent.should_sample
        elif should_sample is None:
            should_sample = sampled(self.trace_id, tracer.sampling_rate)
        self.should_sample: bool = should_sample

    def set_attribute(self, key: str, value: str | int | float | bool | list[Any] | None) -> None:
        """Say something of the span; L{None} takes it back."""
        if value is None:
            self.attributes.pop(key, None)
        elif isinstance(value, (str, int, float, bool, list)):
            self.attributes[key] = value
        else:
            raise ArgumentError(
                f"span attribute {key!r}: must be text, a number, a boolean or a list, "
                f"not {value!r}"
            )

    def add_event(
        self, name: str, attributes: Mapping[str, Any] | None = None, time_ns: int | None = None
    ) -> None:
        """Note what happened during the span; now, unless a time is given."""
        self.events.append((name, attributes or {}, time_ns or time.time_ns()))

    def record_error(self, error: object) -> None:
        """Note an error, as an event named C{exception}."""
        self.add_event("exception", {"exception.message": str(error)})

    def set_status(self, status: int) -> None:
        """0 for nothing to say, 1 for success, 2 for failure."""
        if status not in (UNSET, OK, ERROR):
            raise ArgumentError(f"span status {status!r}: must be 0, 1 or 2")
        self.status = status

    def finish(self, end_time_ns: int | None = None) -> None:
        """End the span, now or at a time; its parent is active then, if the span was.

        A span ends once; later calls change nothing.

        @raise ArgumentError: it would end before its start.
        """
        if self.end_time_ns is not None:
            return
        if end_time_ns is None:
            end_time_ns = max(time.time_ns(), self.start_time_ns)
        if end_time_ns < self.start_time_ns:
            raise ArgumentError(f"span {self.name!r}: cannot end before its start")
        self.end_time_ns = end_time_ns
        self._tracer._left(self)


class _NoSpan(Span):
    """What is started where nothing is traced: does nothing, and is not kept."""

    __slots__ = ()
    is_recording = False

    def __init__(self) -> None:
        """Its fields say nothing, and cannot be made to."""
        self.name, self.trace_id, self.span_id = "", b"", b""
        self.parent = self.parent_id = self.end_time_ns = None
        self.kind, self.status, self.start_time_ns = UNSPECIFIED, UNSET, 0
        self.attributes = cast("dict[str, Any]", MappingProxyType({}))
        self.events = []
        self.should_sample = False

    def set_attribute(self, key: str, value: Any) -> None:
        """Nothing."""

    def add_event(
        self, name: str, attributes: Mapping[str, Any] | None = None, time_ns: int | None = None
    ) -> None:
        """Nothing."""

    def set_status(self, status: int) -> None:
        """Nothing."""

    def finish(self, end_time_ns: int | None = None) -> None:
        """Nothing."""


NO_SPAN = _NoSpan()


class Tracer:
    """Spans of one request, of one tracer name.

    @ivar sampling_rate: the share of traces that is exported, from 0 to 1.
    """

    __slots__ = ("_active", "_enabled", "_request", "_spans", "name", "sampling_rate")

    def __init__(self, kong: Kong, name: str, sampling_rate: float, enabled: bool = True) -> None:
        self._request = kong.raw
        self._enabled = enabled
        self._spans: list[Span] = []
        self._active: Span | None = None
        self.name = name
        self.sampling_rate = sampling_rate

    def active_span(self) -> Span | None:
        """The span that new ones become part of."""
        return self._active

    def set_active_span(self, span: Span | None) -> None:
        """Make new spans part of this one, until it is finished."""
        self._active = span if span is not None and span.is_recording else None

    def start_span(self, name: str, **options: Any) -> Span:
        """Begin a span; it does not become the active one by itself.

        @param options: C{parent} (the active span otherwise), C{span_kind}, C{start_time_ns},
            C{attributes}, C{should_sample}, and C{trace_id} and C{parent_id} of a trace that began
            elsewhere.
        @raise ArgumentError: the name is empty.
        """
        if not name:
            raise ArgumentError("a span needs a name")
        if not self._enabled:
            return NO_SPAN
        options.setdefault("parent", self._active)
        span = Span(self, name, **options)
        self._spans.append(span)
        return span

    @only_in(frozenset({LOG}), "tracing.process_span")
    def process_span(self, processor: Callable[..., object], *arguments: Any) -> None:
        """Call C{processor(span, *arguments)} for each span of the request, in order."""
        for span in self._spans:
            processor(span, *arguments)

    def set_should_sample(self, should_sample: bool) -> None:
        """Decide for all spans so far whether they are exported."""
        for span in self._spans:
            span.should_sample = should_sample

    def get_sampling_decision(
        self, parent_should_sample: bool | None, plugin_sampling_rate: float | None
    ) -> bool:
        """Whether to export the spans of this request.

        @param parent_should_sample: what the caller's headers say; L{None} if nothing.
        @param plugin_sampling_rate: instead of C{tracing_sampling_rate}.
        """
        if not self._spans or parent_should_sample is False:
            return False
        rate = self.sampling_rate if plugin_sampling_rate is None else plugin_sampling_rate
        return sampled(self._spans[0].trace_id, rate)

    def _left(self, span: Span) -> None:
        """A span is over: it is active no more."""
        if self._active is span:
            self._active = span.parent


class Tracing(Tracer):
    """The gateway's own tracer, which keeps nothing while C{tracing_instrumentations} is off.

    With C{request} or C{all} there it begins with a span of the whole request, which is the active
    one and ends in the log phase.
    """

    __slots__ = ("_kong", "_others", "_root")

    def __init__(self, kong: Kong) -> None:
        conf = kong.node.configuration
        wanted = set(getattr(conf, "tracing_instrumentations", None) or ("off",))
        rate = getattr(conf, "tracing_sampling_rate", 1.0)
        super().__init__(kong, "default", rate, enabled=not wanted <= _OFF)
        self._kong = kong
        self._others: dict[str, Tracer] = {}
        self._root: Span | None = None
        if not wanted.isdisjoint(_WHOLE_REQUEST):
            self._root = self._start_root(kong.raw)

    def new(self, name: str, sampling_rate: float = 1.0) -> Tracer:
        """A tracer of a plugin's own, on whatever the configuration says; one a name and request.

        @param sampling_rate: counts when it is made.
        """
        tracer = self._others.get(name)
        if tracer is None:
            tracer = self._others[name] = Tracer(self._kong, name, sampling_rate)
        return tracer

    @only_in(frozenset({LOG}), "tracing.process_span")
    def process_span(self, processor: Callable[..., object], *arguments: Any) -> None:
        """Call C{processor(span, *arguments)} for each span of the request, in order."""
        root, request = self._root, self._request
        if root is not None and root.end_time_ns is None:
            root.set_attribute("http.status_code", request.status)
            if request.route is not None:
                root.set_attribute("http.route", request.route.get("name") or request.route["id"])
            if request.status >= 500:
                root.set_status(ERROR)
            root.finish(root.start_time_ns + max(0, request.total_ms) * 1_000_000)
        super().process_span(processor, *arguments)

    def _start_root(self, request: IRequestContext) -> Span:
        scheme, host = request.scheme.decode(), request.host.decode("latin-1")
        target = request.target.decode("latin-1")
        span = self.start_span(
            "kong",
            span_kind=SERVER,
            start_time_ns=int(request.started * 1_000_000_000),
            attributes={
                "http.method": request.raw_method.decode("latin-1"),
                "http.url": f"{scheme}://{host}{target}",
                "http.host": host,
                "http.scheme": scheme,
                "http.flavor": request.http_version.decode(),
                "http.client_ip": request.client_ip,
                "net.peer.ip": request.connection.peer[0],
                "kong.request.id": request.request_id.decode(),
            },
        )
        self.set_active_span(span)
        return span


def sampled(trace_id: bytes, rate: float) -> bool:
    """Whether a trace is among the share to export: the same answer wherever it is asked."""
    if rate >= 1:
        return True
    return int.from_bytes(trace_id[:8], "little") < rate * _BOUND
