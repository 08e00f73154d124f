"""Checks that look at several properties, or at files, once each value has been read.

Kong: kong/conf_loader/parse.lua. The messages are Kong's where it has one.
"""

from __future__ import annotations

import os
import re
from urllib.parse import urlsplit

from kongtx.conf import pem
from kongtx.conf.addresses import MAX_PORT
from kongtx.conf.ciphers import CIPHER_SUITES, DH_GROUPS
from kongtx.conf.draft import MASK, Draft
from kongtx.conf.listen import ListenSyntaxError, Subsystem, parse_listen
from kongtx.conf.properties.general import INSTRUMENTATIONS

LISTENS: dict[str, Subsystem] = {
    "proxy_listen": "http",
    "stream_listen": "stream",
    "admin_listen": "http",
    "admin_gui_listen": "http",
    "status_listen": "http",
    "cluster_listen": "http",
}

_LABEL_VALUE = re.compile(r"[a-z0-9](?:[\w.:-]*[a-z0-9])?", re.ASCII | re.IGNORECASE)
_LABEL_KEY = re.compile(
    f"(?!kong|konnect|insomnia|mesh|kic){_LABEL_VALUE.pattern}", re.ASCII | re.IGNORECASE
)


def check(draft: Draft) -> None:
    """Note every problem among the values of a draft, and bring some to their final form."""
    _check_listens(draft)
    _check_port_maps(draft)
    _check_certificates(draft)
    _check_cipher_suite(draft)
    _check_trusted_certificates(draft)
    _check_files(draft)
    _check_proxy_server(draft)
    _check_tracing(draft)
    _check_admin_auth(draft)
    _check_role(draft)


def _check_listens(draft: Draft) -> None:
    for name, subsystem in LISTENS.items():
        if name not in draft.values:
            continue
        try:
            parse_listen(draft.values[name], subsystem)
        except ListenSyntaxError as error:
            draft.refuse(name, f" {error}")
    if not _is_on(draft, "admin_listen") and _is_on(draft, "admin_gui_listen"):
        draft.warnings.append(
            "Kong Manager won't be functional because the Admin API is not listened on any "
            "interface"
        )


def _is_on(draft: Draft, name: str) -> bool:
    entries = draft.values.get(name, ())
    return bool(entries) and entries[0] != "off"


def _has_tls(draft: Draft, name: str) -> bool:
    return _is_on(draft, name) and any("ssl" in entry.split() for entry in draft.values[name])


def _check_port_maps(draft: Draft) -> None:
    for entry in draft.values.get("port_maps", ()):
        ports = entry.split(":")
        if len(ports) != 2 or not all(_is_port(port.strip()) for port in ports):
            draft.complain(f"invalid port mapping (`port_maps`): {entry}", "port_maps")


def _is_port(text: str) -> bool:
    return text.isdecimal() and 1 <= int(text) <= MAX_PORT


def _check_certificates(draft: Draft) -> None:
    for prefix in ("", "admin_", "admin_gui_", "status_"):
        listens = ("proxy_listen", "stream_listen") if not prefix else (f"{prefix}listen",)
        if any(_has_tls(draft, name) for name in listens):
            _check_certificate_lists(draft, f"{prefix}ssl_cert", f"{prefix}ssl_cert_key")
    if draft.values.get("client_ssl"):
        certificate, key = "client_ssl_cert", "client_ssl_cert_key"
        if draft.values.get(certificate) and not draft.values.get(key):
            draft.refuse(key, " must be specified")
        if draft.values.get(key) and not draft.values.get(certificate):
            draft.refuse(certificate, " must be specified")
        _load(draft, certificate)
        _load(draft, key)


def _check_certificate_lists(draft: Draft, certificate: str, key: str) -> None:
    count, keys = len(draft.values.get(certificate, ())), len(draft.values.get(key, ()))
    if count and not keys:
        draft.refuse(key, " must be specified")
    elif keys and not count:
        draft.refuse(certificate, " must be specified")
    elif count != keys:
        draft.refuse(
            certificate,
            f" was specified {count} times while {key} was specified {keys} times",
        )
    _load(draft, certificate)
    _load(draft, key)


def _load(draft: Draft, name: str) -> None:
    """Normalise a property that holds certificates or keys, and see that they can be loaded."""
    value = draft.values.get(name)
    if not value:
        return
    is_key = name.endswith("_key")
    normalised = tuple(
        pem.normalise(item) for item in (value if isinstance(value, tuple) else (value,))
    )
    draft.values[name] = normalised if isinstance(value, tuple) else normalised[0]
    if draft.is_effective:
        return
    for item in normalised:
        if not (pem.is_key(item) if is_key else pem.is_certificate(item)):
            # A path is no secret; what is no path may be the key itself.
            shown = item if os.path.isabs(item) and "\n" not in item else MASK
            what = "key" if is_key else "certificate"
            is_safe = name not in draft.references
            draft.complain(f"{name}: failed loading {what} from {shown}", name, is_safe=is_safe)


def _check_cipher_suite(draft: Draft) -> None:
    values = draft.values
    name = values.get("ssl_cipher_suite")
    suite = CIPHER_SUITES.get(name) if name else None
    if suite is not None:
        values["ssl_ciphers"] = suite.ciphers
        for subsystem in ("http", "stream"):
            values[f"nginx_{subsystem}_ssl_protocols"] = suite.protocols
            values[f"nginx_{subsystem}_ssl_prefer_server_ciphers"] = suite.prefer_server_ciphers
            if suite.forces_dhparam:
                values[f"nginx_{subsystem}_ssl_dhparam"] = suite.dhparam
        if suite.forces_dhparam:
            values["ssl_dhparam"] = suite.dhparam
    elif name not in (None, "custom"):
        draft.complain(
            f"Undefined cipher suite {name} ({', '.join(CIPHER_SUITES)}, custom)",
            "ssl_cipher_suite",
        )
    refused = set()
    for key in ("ssl_dhparam", "nginx_http_ssl_dhparam", "nginx_stream_ssl_dhparam"):
        value = values.get(key)
        if not value or value in DH_GROUPS:
            continue
        values[key] = pem.normalise(value)
        if draft.is_effective or value in refused or pem.is_dh_parameters(values[key]):
            continue
        refused.add(value)
        draft.refuse(key, f": failed loading parameters from {value}")


def _check_trusted_certificates(draft: Draft) -> None:
    name = "lua_ssl_trusted_certificate"
    trusted = []
    for item in draft.values.get(name, ()):
        value = pem.system_bundle() if item == "system" else pem.normalise(item)
        if value is None:
            draft.warnings.append(
                f"{name}: the operating system's certificates were not found; name a file if "
                "outgoing TLS connections are to be verified"
            )
            continue
        is_ours = value != pem.system_bundle() and not draft.is_effective
        if is_ours and not pem.is_certificate(value):
            draft.refuse(name, f": failed loading certificate from {item}")
        trusted.append(value)
    draft.values[name] = tuple(trusted)


def _check_files(draft: Draft) -> None:
    for name in ("dns_hostsfile", "resolver_hosts_file"):
        path = draft.values.get(name)
        # The default may be missing, in small containers for one.
        is_given = name in draft.settings and not draft.is_effective
        if path and is_given and not os.path.isfile(path):
            draft.refuse(name, ": file does not exist")
    for name in ("html", "json", "xml", "plain"):
        if not draft.is_effective:
            _check_template(draft, f"error_template_{name}")


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
            draft.refuse(name, f' must be specified when admin_auth = "{mode}"')


def _check_role(draft: Draft) -> None:
    role = draft.values.get("role")
    if role in ("control_plane", "data_plane"):
        pair = ("cluster_cert", "cluster_cert_key")
        missing = next((name for name in pair if not draft.values.get(name)), None)
        if missing is not None:
            message = "cluster certificate and key must be provided to use Hybrid mode"
            draft.complain(message, missing)
        else:
            for name in pair:
                _load(draft, name)
        _load(draft, "cluster_ca_cert")
    if role == "control_plane":
        _check_control_plane(draft)
    elif role == "data_plane":
        _check_data_plane(draft)
    elif draft.values.get("cluster_dp_labels"):
        draft.refuse("cluster_dp_labels", ' can only be used when role = "data_plane"')


def _check_control_plane(draft: Draft) -> None:
    values = draft.values
    for name in ("admin_listen", "cluster_listen"):
        if not _is_on(draft, name):
            draft.refuse(name, ' must be specified when role = "control_plane"')
    if values.get("cluster_mtls") == "pki" and not values.get("cluster_ca_cert"):
        draft.refuse("cluster_ca_cert", ' must be specified when cluster_mtls = "pki"')
    if values.get("database") == "off":
        draft.complain('in-memory storage can not be used when role = "control_plane"', "database")
    for name in ("cluster_use_proxy", "cluster_dp_labels"):
        if values.get(name):
            draft.refuse(name, ' can not be used when role = "control_plane"')


def _check_data_plane(draft: Draft) -> None:
    values = draft.values
    if not _is_on(draft, "proxy_listen"):
        draft.refuse("proxy_listen", ' must be specified when role = "data_plane"')
    if values.get("database") != "off":
        draft.complain(
            'only in-memory storage can be used when role = "data_plane"\n'
            "Hint: set database = off in your kongtx.conf",
            "database",
        )
    if values.get("cluster_use_proxy") and not values.get("proxy_server"):
        draft.refuse("cluster_use_proxy", " is turned on but no proxy_server is configured")
    authority = "cluster_cert" if values.get("cluster_mtls") == "shared" else "cluster_ca_cert"
    trusted = values.get("lua_ssl_trusted_certificate", ())
    if values.get(authority) and values[authority] not in trusted:
        values["lua_ssl_trusted_certificate"] = (*trusted, values[authority])
    _check_labels(draft)


def _check_labels(draft: Draft) -> None:
    name = "cluster_dp_labels"
    labels = draft.values.get(name, ())
    if len(labels) > 10:
        draft.complain("labels validation failed: count exceeded 10 max elements", name)
    for label in labels:
        # Without a colon there is no key.
        key, _, value = label.partition(":") if ":" in label else ("", "", "")
        for what, text, pattern in (("key", key, _LABEL_KEY), ("value", value, _LABEL_VALUE)):
            if not 1 <= len(text) <= 63:
                tail = f"{text} must have between 1 and 63 characters"
            elif not pattern.fullmatch(text):
                tail = f"{text} is invalid. Must match pattern: {pattern.pattern}"
            else:
                continue
            draft.complain(f"label {what} validation failed: {tail}, in '{label}'", name)
            break
