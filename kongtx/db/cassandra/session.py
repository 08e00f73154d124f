"""The driver's session, with Deferreds.

The driver runs an event loop and a few threads of its own. What they find out is brought to the
reactor's thread; what blocks (connecting, preparing statements, changing the schema) is done in a
thread.
"""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Coroutine, Iterable, Sequence
from functools import partial
from typing import Any, TypeVar

import attrs
from cassandra import ConsistencyLevel, ProtocolVersion, RequestValidationException
from cassandra.auth import PlainTextAuthProvider
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile, NoHostAvailable
from cassandra.policies import (
    DCAwareRoundRobinPolicy,
    ExponentialReconnectionPolicy,
    LoadBalancingPolicy,
    RetryPolicy,
    RoundRobinPolicy,
    TokenAwarePolicy,
)
from cassandra.query import BatchStatement, BatchType, PreparedStatement, tuple_factory
from twisted.internet.defer import Deferred, FirstError, ensureDeferred, gatherResults
from twisted.internet.interfaces import IReactorFromThreads
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool

from kongtx.conf.syntax import pem
from kongtx.db.cassandra import driverlog
from kongtx.db.cassandra.settings import Settings
from kongtx.db.errors import DatabaseError, DatabaseUnavailableError

Row = tuple[Any, ...]
T = TypeVar("T")

RECONNECT_SECONDS = (0.5, 10.0)  # after the first failure, and at most
_PAGE_ROWS = 5000


class OutcomeUnknownError(DatabaseUnavailableError):
    """A write was sent and not answered: it may have been done, or be done later."""


@attrs.frozen
class Consistency:
    """How many replicas have to agree.

    @ivar name: as Cassandra calls the level.
    @ivar serial: the level of lightweight transactions, if it is one.
    """

    name: str
    serial: bool = False

    @property
    def level(self) -> int:
        """The driver's number of it."""
        number: int = ConsistencyLevel.name_to_value[self.name]
        return number


class Session:
    """A connection to the cluster.

    @param reactor: where results are delivered.
    """

    def __init__(self, settings: Settings, reactor: IReactorFromThreads) -> None:
        self.settings = settings
        self._reactor = reactor
        self._threads = _threads()
        self._cluster: Any = None
        self._session: Any = None
        self._prepared: dict[str, Any] = {}
        self._lock = threading.Lock()
        self._is_open = False

    def open(self) -> Deferred[None]:
        """Connect, unless that was done.

        @raise DatabaseError: (through the Deferred) no host could be reached.
        """
        if not self._is_open:
            self._is_open = True
            self._threads = _threads()  # stopped ones do not start again
            self._threads.start()
            driverlog.install()
        return self.in_thread(self._connect)

    def close(self) -> Deferred[None]:
        """Disconnect; may be called twice."""
        if not self._is_open:
            done: Deferred[None] = Deferred()
            done.callback(None)
            return done
        closing = self.in_thread(self._disconnect)
        self._is_open = False
        return closing.addBoth(lambda _: self._threads.stop())

    def in_thread(self, work: Callable[[], T]) -> Deferred[T]:
        """Do something that blocks; the driver's errors become L{DatabaseError}s."""
        if not self._is_open:
            failed: Deferred[T] = Deferred()
            failed.errback(self._closed())
            return failed

        def run() -> T:
            try:
                return work()
            except DatabaseError:
                raise
            except Exception as error:
                raise self.translated(error) from None

        return deferToThreadPool(self._reactor, self._threads, run)

    def run(self, statement: str) -> list[Row]:
        """Run a statement without parameters, such as one of the schema; in a thread."""
        found = self._session.execute(statement, timeout=self._schema_seconds())
        return list(found)

    async def execute(
        self,
        statement: str,
        parameters: Sequence[Any],
        consistency: Consistency,
        rows: int = _PAGE_ROWS,
        each: Callable[[list[Row]], object] | None = None,
    ) -> list[Row]:
        """Run one statement.

        @param rows: how many come in one answer; more are fetched in further ones.
        @param each: what to do with the rows of each answer, in the driver's thread, instead of
            keeping them.
        """
        prepared = await self._known(statement)
        bound = prepared.bind(parameters)
        bound.consistency_level = consistency.level
        bound.fetch_size = rows
        if consistency.serial:
            bound.serial_consistency_level = ConsistencyLevel.SERIAL
        return await self._send(bound, each)

    async def execute_batch(
        self,
        items: Sequence[tuple[str, Sequence[Any]]],
        consistency: Consistency,
    ) -> list[Row]:
        """Run several statements as one, on one partition.

        @param items: statements with their parameters.
        """
        batch = BatchStatement(BatchType.UNLOGGED, consistency_level=consistency.level)
        if consistency.serial:
            batch.serial_consistency_level = ConsistencyLevel.SERIAL
        for statement, parameters in items:
            bound = (await self._known(statement)).bind(parameters)
            batch.add(bound)
        return await self._send(batch, None)

    def _send(self, query: Any, each: Callable[[list[Row]], object] | None) -> Deferred[list[Row]]:
        """Start a request and fetch all of its answers."""
        done: Deferred[list[Row]] = Deferred(lambda _: None)
        session = self._session
        found: list[Row] = []
        if session is None:
            done.errback(self._closed())
            return done

        def fire(result: list[Row] | Exception) -> None:
            if not done.called:
                done.errback(result) if isinstance(result, Exception) else done.callback(result)

        def arrived(rows: list[Row] | None, future: Any) -> None:
            try:
                found.extend(rows or ()) if each is None else each(rows or [])
                if future.has_more_pages:
                    future.start_fetching_next_page()
                    return
            except Exception as error:
                failed(error)
                return
            self._reactor.callFromThread(fire, found)

        def failed(error: Exception) -> None:
            self._reactor.callFromThread(fire, self.translated(error))

        try:
            future = session.execute_async(query)
        except Exception as error:
            failed(error)
        else:
            future.add_callbacks(arrived, failed, callback_args=(future,))
        return done

    async def _known(self, statement: str) -> Any:
        prepared = self._prepared.get(statement)
        if prepared is None:
            prepared = await self.in_thread(partial(self._prepare, statement))
        return prepared

    def _prepare(self, statement: str) -> PreparedStatement:
        """A statement as the hosts know it; in a thread."""
        with self._lock:
            prepared = self._prepared.get(statement)
            if prepared is None:
                prepared = self._session.prepare(statement)
                prepared.is_idempotent = statement.startswith("SELECT")
                self._prepared[statement] = prepared
            return prepared

    def _connect(self) -> None:
        if self._session is not None:
            return
        cluster = make_cluster(self.settings)
        try:
            session = cluster.connect()
            # For preparing statements, whose timeout no execution profile tells.
            session._default_timeout = self.settings.timeout
        except BaseException:
            cluster.shutdown()
            raise
        self._cluster, self._session = cluster, session

    def _disconnect(self) -> None:
        cluster, self._cluster, self._session = self._cluster, None, None
        self._prepared.clear()
        if cluster is not None:
            cluster.shutdown()

    def _schema_seconds(self) -> float:
        return max(self.settings.timeout, self.settings.agreement_seconds)

    def _closed(self) -> DatabaseError:
        return DatabaseError(f"{self.settings.label}: the database is closed")

    def translated(self, error: Exception) -> DatabaseError:
        """The driver's error in the store's terms, without anything that was to be written."""
        text = f"{self.settings.label}: {_reason(error)}"
        was_refused = isinstance(error, RequestValidationException)
        return DatabaseError(text) if was_refused else OutcomeUnknownError(text)


async def together(works: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Run some coroutines at once; the first error is raised when it happens."""
    try:
        return await gatherResults([ensureDeferred(each) for each in works], consumeErrors=True)
    except FirstError as error:
        error.subFailure.raiseException()


class _Threads(ThreadPool):
    """Threads that do not keep a process from ending, should nobody stop them."""

    threadFactory = partial(threading.Thread, daemon=True)  # type: ignore[assignment]


def _threads() -> _Threads:
    return _Threads(0, 2, name="kongtx-cassandra")


def make_cluster(settings: Settings) -> Any:
    """The driver's cluster, not yet connected.

    @raise DatabaseError: authorities cannot be loaded.
    """
    password = PlainTextAuthProvider(settings.username, settings.password or "")
    profile = ExecutionProfile(
        load_balancing_policy=_balancing(settings),
        retry_policy=RetryPolicy(),
        consistency_level=Consistency(settings.read_consistency).level,
        request_timeout=settings.timeout,
        row_factory=tuple_factory,
    )
    return Cluster(
        settings.contact_points,
        settings.port,
        auth_provider=password if settings.username else None,
        execution_profiles={EXEC_PROFILE_DEFAULT: profile},
        reconnection_policy=ExponentialReconnectionPolicy(*RECONNECT_SECONDS, max_attempts=None),
        connect_timeout=settings.timeout,
        control_connection_timeout=settings.timeout,
        max_schema_agreement_wait=settings.agreement_seconds,
        ssl_context=tls_context(settings) if settings.ssl else None,
        schema_metadata_enabled=False,
        protocol_version=ProtocolVersion.V5,
        application_name="kongtx",
    )


def _balancing(settings: Settings) -> LoadBalancingPolicy:
    """Hosts in turn, those that have the partition first.

    The driver chooses for each request, which Kong calls C{Request...}; its other policies stay
    with a host for longer, which nothing is gained by here.
    """
    if settings.lb_policy.endswith("DCAwareRoundRobin"):
        return TokenAwarePolicy(DCAwareRoundRobinPolicy(settings.local_datacenter))
    return TokenAwarePolicy(RoundRobinPolicy())


def tls_context(settings: Settings) -> ssl.SSLContext:
    """What the hosts' certificates are judged by.

    @raise DatabaseError: authorities cannot be loaded.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if not settings.trusted:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    for each in settings.trusted:
        try:
            if pem.is_text(each):
                context.load_verify_locations(cadata=each)
            else:
                context.load_verify_locations(cafile=each)
        except (OSError, ValueError) as error:
            where = "PEM text" if pem.is_text(each) else each
            raise DatabaseError(
                f"{settings.label}: the authorities in {where} cannot be loaded: {error}"
            ) from None
    return context


def _reason(error: Exception) -> str:
    """What an error says, with what it says of each host."""
    if not isinstance(error, NoHostAvailable):
        return f"{type(error).__name__}: {error}"
    causes = error.errors.items() if isinstance(error.errors, dict) else ()
    hosts = [f"{host}: {type(cause).__name__}: {cause}" for host, cause in causes]
    return f"{error.args[0]} ({'; '.join(hosts)})" if hosts else str(error.args[0])
