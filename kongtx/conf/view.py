"""The configuration as the Admin API's C{GET /} shows it.

Kong: the C{configuration} object of C{/}. It holds every property that has a value, and what Kong
derives from them; secrets are masked and vault references shown unresolved.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from kongtx._version import KONG_VERSION
from kongtx.conf.configuration import Configuration
from kongtx.conf.draft import MASK
from kongtx.conf.properties import DYNAMIC_PREFIXES, PROPERTIES, is_secret
from kongtx.conf.syntax.listen import FLAGS, Listen, Subsystem


def public_view(configuration: Configuration) -> dict[str, Any]:
    """The configuration as an object for JSON. Properties without a value are absent."""
    return {
        **dict(_properties(configuration)),
        **_listeners(configuration),
        **_derived(configuration),
        **_directives(configuration),
        **_paths(configuration),
    }


def _properties(configuration: Configuration) -> Iterator[tuple[str, Any]]:
    for name in PROPERTIES:
        value = configuration.references.get(name, getattr(configuration, name))
        if value is None:
            continue
        if is_secret(name) and value != ():
            value = MASK
        yield name, list(value) if isinstance(value, tuple) else value
    for name, text in configuration.dynamic.items():
        yield name, MASK if is_secret(name) else configuration.references.get(name, text)


def _listeners(configuration: Configuration) -> dict[str, Any]:
    groups: dict[str, tuple[tuple[Listen, ...], Subsystem]] = {
        "proxy_listeners": (configuration.proxy_listeners, "http"),
        "stream_listeners": (configuration.stream_listeners, "stream"),
        "admin_listeners": (configuration.admin_listeners, "http"),
        "admin_gui_listeners": (configuration.admin_gui_listeners, "http"),
        "status_listeners": (configuration.status_listeners, "http"),
        "cluster_listeners": (configuration.cluster_listeners, "http"),
    }
    return {
        name: [listener_view(listen, subsystem) for listen in listeners]
        for name, (listeners, subsystem) in groups.items()
    }


def listener_view(listen: Listen, subsystem: Subsystem = "http") -> dict[str, Any]:
    """A listener as Kong shows it: address, port, and a boolean for each flag.

    A flag with a value is named by it when it is set (C{backlog=16384}), and by its pattern
    (C{backlog=%d+}) when it is not.
    """
    view: dict[str, Any] = {
        "ip": listen.host,
        "port": listen.port,
        "listener": listen.listener,
    }
    written = set(listen.flags())
    for pattern in FLAGS[subsystem]:
        name, equals, value = pattern.partition("=")
        if equals and "%" in value:
            fixed = {flag for flag in FLAGS[subsystem] if "%" not in flag}
            found = [flag for flag in written - fixed if flag.startswith(f"{name}=")]
            view[found[0] if found else pattern] = bool(found)
        else:
            view[pattern] = pattern in written
    return view


def _derived(configuration: Configuration) -> dict[str, Any]:
    enabled = {
        "proxy_ssl_enabled": configuration.proxy_ssl_enabled,
        "stream_proxy_ssl_enabled": configuration.stream_proxy_ssl_enabled,
        "admin_ssl_enabled": configuration.admin_ssl_enabled,
        "admin_gui_ssl_enabled": configuration.admin_gui_ssl_enabled,
        "status_ssl_enabled": configuration.status_ssl_enabled,
    }
    view: dict[str, Any] = {
        **enabled,
        "loaded_plugins": dict.fromkeys(sorted(configuration.loaded_plugins), True),
        "loaded_vaults": dict.fromkeys(sorted(configuration.loaded_vaults), True),
        "enabled_headers": dict(configuration.enabled_headers),
        "enabled_headers_upstream": dict(configuration.enabled_headers_upstream),
        "host_ports": {str(inner): outer for inner, outer in configuration.host_ports.items()},
        "lmdb_validation_tag": ".".join(KONG_VERSION.split(".")[:2]),
    }
    if any(enabled.values()):
        view["ssl_enabled"] = True
    if configuration.admin_gui_origins:
        view["admin_gui_origin"] = list(configuration.admin_gui_origins)
    return view


def _directives(configuration: Configuration) -> dict[str, Any]:
    """The nginx properties by the block of nginx's configuration that they belong to."""
    prefixes = [prefix for prefix in DYNAMIC_PREFIXES if prefix.startswith("nginx_")]
    view: dict[str, list[dict[str, str]]] = {f"{prefix}directives": [] for prefix in prefixes}
    values = dict(configuration.dynamic)
    for name in PROPERTIES:
        value = getattr(configuration, name)
        if name.startswith("nginx_") and value is not None:
            values[name] = str(value)
    values |= {name: str(configuration.references.get(name, values[name])) for name in values}
    for name, value in sorted(values.items()):
        # The longest prefix, as nginx_wasm_ begins others.
        prefix = max((each for each in prefixes if name.startswith(each)), key=len, default=None)
        if prefix is not None and value != "NONE":
            directive = {"name": name.removeprefix(prefix), "value": value}
            view[f"{prefix}directives"].append(directive)
    return view


def _paths(configuration: Configuration) -> dict[str, str]:
    return {
        "kong_env": configuration.environment_file,
        "nginx_pid": configuration.pid_file,
        "socket_path": configuration.socket_path,
        "nginx_err_logs": configuration.prefixed("logs", "error.log"),
        "nginx_acc_logs": configuration.prefixed("logs", "access.log"),
        "admin_acc_logs": configuration.prefixed("logs", "admin_access.log"),
    }
