"""Checks that look at several properties, or at files, once each value has been read.

Kong: kong/conf_loader/parse.lua. The messages are Kong's where it has one.
"""

from __future__ import annotations

import os
from ipaddress import ip_address
from urllib.parse import urlsplit

from kongtx.conf.checks import hybrid, tls
from kongtx.conf.draft import Draft
from kongtx.conf.properties.general import INSTRUMENTATIONS
from kongtx.conf.syntax.addresses import MAX_PORT
from kongtx.conf.syntax.listen import ListenSyntaxError, Subsystem, parse_listen

LISTENS: dict[str, Subsystem] = {
    "proxy_listen": "http",
    "stream_listen": "stream",
    "admin_listen": "http",
    "admin_gui_listen": "http",
    "status_listen": "http",
    "cluster_listen": "http",
}

_TEMPLATES = tuple(f"error_template_{kind}" for kind in ("html", "json", "xml", "plain"))


def check(draft: Draft) -> None:
    """Note every problem among the values of a draft, and bring some to their final form."""
    _check_listens(draft)
    _check_port_maps(draft)
    tls.check(draft)
    _check_files(draft)
    _make_absolute(draft)
    _check_proxy_server(draft)
    _check_tracing(draft)
    _check_admin_auth(draft)
    _check_cassandra(draft)
    hybrid.check(draft)


def _check_listens(draft: Draft) -> None:
    owners: dict[tuple[str, int, bool], str] = {}
    for name, subsystem in LISTENS.items():
        if name not in draft.values:
            continue
        try:
            listeners = parse_listen(draft.values[name], subsystem)
        except ListenSyntaxError as error:
            draft.refuse(name, f" {error}")
            continue
        if name == "cluster_listen" and draft.values.get("role") != "control_plane":
            continue
        # With reuseport the system would let both bind, and deal out connections between them.
        for listen in listeners:
            owner = owners.setdefault((listen.ip, listen.port, listen.udp), name)
            if owner != name and listen.port:
                draft.complain(f"{name} names {listen.address}, which {owner} has", name)
        if len(set(listeners)) < len(listeners):
            draft.refuse(name, " names an address twice")
    if draft.is_on("admin_gui_listen") and not draft.is_effective:
        draft.warnings.append(
            "there is no web interface yet, so nothing listens on what admin_gui_listen names"
        )


def _check_port_maps(draft: Draft) -> None:
    for entry in draft.values.get("port_maps", ()):
        ports = entry.split(":")
        if len(ports) != 2 or not all(_is_port(port.strip()) for port in ports):
            draft.complain(f"invalid port mapping (`port_maps`): {entry}", "port_maps")


def _is_port(text: str) -> bool:
    return text.isdecimal() and 1 <= int(text) <= MAX_PORT


def _check_files(draft: Draft) -> None:
    for name in ("dns_hostsfile", "resolver_hosts_file"):
        path = draft.values.get(name)
        # The default may be missing, in small containers for one.
        is_given = name in draft.settings and not draft.is_effective
        if path and is_given and not os.path.isfile(path):
            draft.refuse(name, ": file does not exist")
    if not draft.is_effective:
        for name in _TEMPLATES:
            _check_template(draft, name)


def _make_absolute(draft: Draft) -> None:
    """Make paths absolute, as the node may go on in another directory than it was started in."""
    for name in ("declarative_config", *_TEMPLATES, "dns_hostsfile", "resolver_hosts_file"):
        if draft.values.get(name):
            draft.values[name] = os.path.abspath(draft.values[name])


def _check_cassandra(draft: Draft) -> None:
    values = draft.values
    if values.get("database") != "cassandra":
        return
    policy = values.get("cassandra_lb_policy", "")
    if policy.endswith("DCAwareRoundRobin") and not values.get("cassandra_local_datacenter"):
        draft.refuse(
            "cassandra_local_datacenter",
            f" must be specified when {policy} is configured as cassandra_lb_policy",
            "cassandra_lb_policy",
        )
    if not values.get("cassandra_contact_points"):
        draft.refuse("cassandra_contact_points", " must name a host")


def _check_template(draft: Draft, name: str) -> None:
    path = draft.values.get(name)
    if path is None:
        return
    try:
        with open(path, encoding="utf-8") as stream:
            count = stream.read().count("%s")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        draft.refuse(name, f": could not read {path}: {reason}")
        return
    if count > 2:
        draft.refuse(name, f": {path} has {count} placeholders (%s), two are filled in")


def _check_proxy_server(draft: Draft) -> None:
    name = "proxy_server"
    url = draft.values.get(name)
    if url is None:
        return
    try:
        parsed = urlsplit(url)
        host = parsed.hostname
    except ValueError:
        draft.refuse(name, " is invalid: not a URL")
        return
    if not parsed.scheme:
        draft.refuse(name, " missing scheme")
    elif parsed.scheme not in ("http", "https"):
        draft.refuse(name, f' only supports "http" and "https", got {parsed.scheme}')
    elif not host:
        draft.refuse(name, " missing host")
    elif parsed.fragment or parsed.query or ";" in parsed.path:
        draft.complain(
            "fragments, query strings or parameters are meaningless in proxy configuration", name
        )


def _check_tracing(draft: Draft) -> None:
    name = "tracing_instrumentations"
    types = draft.values.get(name, ())
    for item in types:
        if item not in INSTRUMENTATIONS:
            draft.complain(f"invalid tracing type: {item} ({', '.join(INSTRUMENTATIONS)})", name)
    if len(types) > 1 and "off" in types:
        draft.complain("invalid tracing types: off, other types are mutually exclusive", name)


def _check_admin_auth(draft: Draft) -> None:
    needed = {
        "token": ("admin_auth_token",),
        "basic": ("admin_auth_user", "admin_auth_password"),
    }
    mode = draft.values.get("admin_auth")
    for name in needed.get(mode, ()) if isinstance(mode, str) else ():
        if not draft.values.get(name):
            draft.refuse(name, f' must be specified when admin_auth = "{mode}"', "admin_auth")
    if mode == "off" and not draft.is_effective:
        _warn_of_open_admin(draft)


def _warn_of_open_admin(draft: Draft) -> None:
    """Say it when everybody on the network may change the gateway."""
    try:
        listeners = parse_listen(draft.values.get("admin_listen", ()))
    except ListenSyntaxError:
        return
    reachable = [listen.address for listen in listeners if not _is_local(listen.ip)]
    if reachable:
        draft.warnings.append(
            f"THE ADMIN API IS OPEN: it listens on {', '.join(reachable)}, and whoever reaches it "
            "controls this gateway and reads its secrets. Set admin_auth, or let admin_listen "
            "name a loopback address"
        )


def _is_local(host: str) -> bool:
    """Whether only this machine reaches an address."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
