"""Checks of certificates, keys and what TLS allows. Kong: conf_loader/parse.lua."""

from __future__ import annotations

import os
import ssl

from kongtx.conf.ciphers import CIPHER_SUITES, DH_GROUPS
from kongtx.conf.draft import MASK, Draft
from kongtx.conf.syntax import pem


def check(draft: Draft) -> None:
    """Note what is wrong with the properties of TLS, and apply the cipher suite."""
    _check_certificates(draft)
    _check_cipher_suite(draft)
    _check_clients(draft)
    _check_trusted_certificates(draft)


def _check_certificates(draft: Draft) -> None:
    for prefix in ("", "admin_", "admin_gui_", "status_"):
        listens = ("proxy_listen", "stream_listen") if not prefix else (f"{prefix}listen",)
        if any(draft.has_tls(name) for name in listens):
            _check_certificate_lists(draft, f"{prefix}ssl_cert", f"{prefix}ssl_cert_key")
    if draft.values.get("client_ssl"):
        certificate, key = "client_ssl_cert", "client_ssl_cert_key"
        if draft.values.get(certificate) and not draft.values.get(key):
            draft.refuse(key, " must be specified", certificate)
        if draft.values.get(key) and not draft.values.get(certificate):
            draft.refuse(certificate, " must be specified", key)
        load(draft, certificate)
        load(draft, key)


def _check_certificate_lists(draft: Draft, certificate: str, key: str) -> None:
    count, keys = len(draft.values.get(certificate, ())), len(draft.values.get(key, ()))
    if count and not keys:
        draft.refuse(key, " must be specified", certificate)
    elif keys and not count:
        draft.refuse(certificate, " must be specified", key)
    elif count != keys:
        draft.refuse(
            certificate,
            f" was specified {count} times while {key} was specified {keys} times",
        )
    load(draft, certificate)
    load(draft, key)
    if not draft.is_effective and count == keys:
        _check_pairs(draft, certificate, key)


def _check_pairs(draft: Draft, certificate: str, key: str) -> None:
    pairs = zip(draft.values.get(certificate, ()), draft.values.get(key, ()), strict=True)
    for place, (one, other) in enumerate(pairs, 1):
        if pem.is_certificate(one) and pem.is_key(other) and not pem.is_pair(one, other):
            draft.complain(f"{key}: key {place} does not belong to certificate {place}", key)


def load(draft: Draft, name: str) -> None:
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
            why = ""
            if is_key and pem.is_encrypted_key(item):
                why = ": it is encrypted; give it without passphrase"
            is_safe = name not in draft.references
            problem = f"{name}: failed loading {what} from {shown}{why}"
            draft.complain(problem, name, is_safe=is_safe)


def _check_clients(draft: Draft) -> None:
    for kind in ("proxy", "admin", "status"):
        name = f"nginx_{kind}_ssl"
        authorities = f"{name}_client_certificate"
        load(draft, authorities)
        if draft.values.get(f"{name}_crl"):
            draft.values[f"{name}_crl"] = pem.normalise(draft.values[f"{name}_crl"])
        verifies = draft.values.get(f"{name}_verify_client") in ("on", "optional")
        if verifies and not draft.values.get(authorities):
            draft.complain(f"{authorities} must be specified", f"{name}_verify_client")


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
    elif name == "custom":
        _check_ciphers(draft)
    elif name is not None:
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


def _check_ciphers(draft: Draft) -> None:
    name = "ssl_ciphers"
    ciphers = draft.values.get(name)
    if ciphers is None:
        return
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).set_ciphers(ciphers)
    except ssl.SSLError:
        draft.refuse(name, f" has no cipher that OpenSSL knows: '{ciphers}'")


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
