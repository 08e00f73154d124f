"""The configuration that the rest of kongtx reads."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cached_property
from types import MappingProxyType
from urllib.parse import urlsplit

import attrs

from kongtx.conf import bundled
from kongtx.conf.errors import ConfigurationError, Problem
from kongtx.conf.properties.http import RESPONSE_HEADERS, TOKENS, UPSTREAM_HEADERS
from kongtx.conf.syntax.listen import Listen, parse_listen
from kongtx.conf.syntax.units import buffers
from kongtx.conf.values import Values

#: The file with the master's process id, below the prefix.
PID_FILE = "pids/kongtx.pid"


@attrs.frozen
class TlsPolicy:
    """What TLS on the listeners allows.

    @ivar protocols: such as C{("TLSv1.2", "TLSv1.3")}.
    @ivar ciphers: in OpenSSL's notation; C{None} for OpenSSL's own choice.
    @ivar dhparam: a group's name, a path, or PEM text.
    @ivar session_timeout_s: seconds.
    """

    protocols: tuple[str, ...]
    ciphers: str | None
    prefers_server_ciphers: bool
    dhparam: str | None
    has_session_tickets: bool
    session_timeout_s: float


@attrs.frozen(kw_only=True, repr=False)
class Configuration(Values):
    """An immutable configuration: a typed attribute for each property, and what follows from them.

    Made by L{kongtx.conf.load} and L{kongtx.conf.from_values}, which check it.

    @ivar dynamic: properties outside the table (C{nginx_*}, C{vault_*}, C{pluginserver_*}).
    @ivar references: properties with vault references as they were written, lists whole; the
        attributes hold what they stand for.
    @ivar path: the file that was read, or C{None}.
    @ivar warnings: what the administrator should be told, in whole sentences.
    @ivar unsupported: what no node can run with yet; see L{require_supported}.
    """

    dynamic: Mapping[str, str] = MappingProxyType({})
    references: Mapping[str, str | tuple[str, ...]] = MappingProxyType({})
    path: str | None = attrs.field(default=None, eq=False)
    warnings: tuple[str, ...] = attrs.field(default=(), eq=False)
    unsupported: tuple[Problem, ...] = attrs.field(default=(), eq=False)

    def __repr__(self) -> str:
        # Values may be secret, and a repr ends up in logs.
        return f"<Configuration from {self.path or 'defaults'}, prefix {self.prefix}>"

    def require_supported(self) -> None:
        """Refuse what Kong can do and kongtx cannot yet, before a node starts with it.

        @raise ConfigurationError: with all of it.
        """
        if self.unsupported:
            raise ConfigurationError(self.unsupported)

    @cached_property
    def proxy_listeners(self) -> tuple[Listen, ...]:
        """Where traffic to be proxied is listened for."""
        return parse_listen(self.proxy_listen)

    @cached_property
    def stream_listeners(self) -> tuple[Listen, ...]:
        """Where TCP, TLS and UDP traffic is listened for."""
        return parse_listen(self.stream_listen, "stream")

    @cached_property
    def admin_listeners(self) -> tuple[Listen, ...]:
        """Where the Admin API listens."""
        return parse_listen(self.admin_listen)

    @cached_property
    def status_listeners(self) -> tuple[Listen, ...]:
        """Where the Status API listens."""
        return parse_listen(self.status_listen)

    @cached_property
    def admin_gui_listeners(self) -> tuple[Listen, ...]:
        """Where the web interface listens."""
        return parse_listen(self.admin_gui_listen)

    @cached_property
    def cluster_listeners(self) -> tuple[Listen, ...]:
        """Where a control plane waits for data planes."""
        return parse_listen(self.cluster_listen)

    @property
    def proxy_ssl_enabled(self) -> bool:
        """Whether some proxy listener speaks TLS."""
        return any(listen.ssl for listen in self.proxy_listeners)

    @property
    def stream_proxy_ssl_enabled(self) -> bool:
        """Whether some stream listener speaks TLS."""
        return any(listen.ssl for listen in self.stream_listeners)

    @property
    def admin_ssl_enabled(self) -> bool:
        """Whether some Admin API listener speaks TLS."""
        return any(listen.ssl for listen in self.admin_listeners)

    @property
    def status_ssl_enabled(self) -> bool:
        """Whether some Status API listener speaks TLS."""
        return any(listen.ssl for listen in self.status_listeners)

    @property
    def admin_gui_ssl_enabled(self) -> bool:
        """Whether some listener of the web interface speaks TLS."""
        return any(listen.ssl for listen in self.admin_gui_listeners)

    @cached_property
    def loaded_plugins(self) -> frozenset[str]:
        """Names of the plugins to load."""
        return bundled.loaded(self.plugins, bundled.PLUGINS)

    @cached_property
    def loaded_vaults(self) -> frozenset[str]:
        """Names of the vaults to load."""
        return bundled.loaded(self.vaults, bundled.VAULTS)

    @cached_property
    def enabled_headers(self) -> Mapping[str, bool]:
        """For each response header of the gateway, in its usual spelling, whether it is added."""
        return _enabled(self.headers, RESPONSE_HEADERS)

    @cached_property
    def enabled_headers_upstream(self) -> Mapping[str, bool]:
        """For each upstream request header of the gateway, whether it is added."""
        return _enabled(self.headers_upstream, UPSTREAM_HEADERS)

    @cached_property
    def host_ports(self) -> Mapping[int, int]:
        """C{port_maps}: the outer port by the port that kongtx listens on."""
        pairs = (entry.split(":") for entry in self.port_maps)
        return MappingProxyType({int(inner): int(outer) for outer, inner in pairs})

    @cached_property
    def admin_gui_origins(self) -> tuple[str, ...]:
        """C{admin_gui_url} as browsers write origins: without path."""
        urls = (urlsplit(url) for url in self.admin_gui_url)
        return tuple(f"{url.scheme}://{url.netloc}" for url in urls)

    @property
    def large_client_header_buffers(self) -> tuple[int, int]:
        """How many buffers hold a request's head, and the bytes of each."""
        return buffers(self.nginx_http_large_client_header_buffers)

    @property
    def worker_count(self) -> int:
        """Number of worker processes; 0 runs everything in one process."""
        if self.nginx_worker_processes == "auto":
            return len(os.sched_getaffinity(0))
        return int(self.nginx_worker_processes)

    @property
    def is_daemon(self) -> bool:
        """Whether start goes into the background."""
        return self.nginx_daemon == "on"

    @cached_property
    def tls_policy(self) -> TlsPolicy:
        """What TLS on the HTTP listeners allows, the cipher suite applied."""
        return TlsPolicy(
            protocols=tuple((self.nginx_http_ssl_protocols or self.ssl_protocols).split()),
            ciphers=self.ssl_ciphers,
            prefers_server_ciphers=self.nginx_http_ssl_prefer_server_ciphers == "on",
            dhparam=self.nginx_http_ssl_dhparam,
            has_session_tickets=self.ssl_session_tickets == "on",
            session_timeout_s=self.ssl_session_timeout_seconds,
        )

    @property
    def vault_properties(self) -> dict[str, str]:
        """The settings of vaults, by property (C{vault_env_prefix})."""
        found = {name: text for name, text in self.dynamic.items() if name.startswith("vault_")}
        if self.vault_env_prefix:
            found["vault_env_prefix"] = self.vault_env_prefix
        return found

    def prefixed(self, *parts: str) -> str:
        """A path below the prefix; an absolute last part stays as it is."""
        return os.path.join(self.prefix, *parts)

    @property
    def environment_file(self) -> str:
        """The effective configuration of the running node."""
        return self.prefixed(".kongtx_env")

    @property
    def pid_file(self) -> str:
        """The process id of the running node."""
        return self.prefixed(PID_FILE)

    @property
    def socket_path(self) -> str:
        """Directory of the UNIX sockets."""
        return self.prefixed("sockets")


def _enabled(entries: tuple[str, ...], names: Mapping[str, str]) -> Mapping[str, bool]:
    chosen = {names[entry.lower()] for entry in entries if entry.lower() in names}
    if entries[:1] == ("off",):
        chosen = set()
    for token, members in TOKENS.items():
        if token in chosen:
            chosen.update(members)
    return MappingProxyType({name: name in chosen for name in names.values()})
