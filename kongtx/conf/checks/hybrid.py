"""Checks of the properties of control planes and data planes. Kong: conf_loader/parse.lua."""

from __future__ import annotations

import re

from kongtx.conf.checks import tls
from kongtx.conf.draft import Draft

_LABEL_VALUE = re.compile(r"[a-z0-9](?:[\w.:-]*[a-z0-9])?", re.ASCII | re.IGNORECASE)
_LABEL_KEY = re.compile(
    f"(?!kong|konnect|insomnia|mesh|kic){_LABEL_VALUE.pattern}", re.ASCII | re.IGNORECASE
)


def check(draft: Draft) -> None:
    """Note what is wrong with the properties of the node's role."""
    role = draft.values.get("role")
    if role in ("control_plane", "data_plane"):
        pair = ("cluster_cert", "cluster_cert_key")
        missing = next((name for name in pair if not draft.values.get(name)), None)
        if missing is not None:
            message = "cluster certificate and key must be provided to use Hybrid mode"
            draft.complain(message, missing, "role")
        else:
            for name in pair:
                tls.load(draft, name)
        tls.load(draft, "cluster_ca_cert")
    if role == "control_plane":
        _check_control_plane(draft)
    elif role == "data_plane":
        _check_data_plane(draft)
    elif draft.values.get("cluster_dp_labels"):
        draft.refuse("cluster_dp_labels", ' can only be used when role = "data_plane"')


def _check_control_plane(draft: Draft) -> None:
    values = draft.values
    for name in ("admin_listen", "cluster_listen"):
        if not draft.is_on(name):
            draft.refuse(name, ' must be specified when role = "control_plane"', "role")
    if values.get("cluster_mtls") == "pki" and not values.get("cluster_ca_cert"):
        draft.refuse(
            "cluster_ca_cert", ' must be specified when cluster_mtls = "pki"', "cluster_mtls"
        )
    if values.get("database") == "off":
        draft.complain('in-memory storage can not be used when role = "control_plane"', "database")
    for name in ("cluster_use_proxy", "cluster_dp_labels"):
        if values.get(name):
            draft.refuse(name, ' can not be used when role = "control_plane"')


def _check_data_plane(draft: Draft) -> None:
    values = draft.values
    if not draft.is_on("proxy_listen"):
        draft.refuse("proxy_listen", ' must be specified when role = "data_plane"', "role")
    if values.get("database") != "off":
        draft.complain(
            'only in-memory storage can be used when role = "data_plane"\n'
            "Hint: set database = off in your kongtx.conf",
            "database",
            "role",
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
