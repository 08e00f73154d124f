"""Configurations of the formats 1.1 and 2.1 as format 3.0: paths that were regular expressions.

Source: Kong: C{kong/db/migrations/migrate_path_280_300.lua}.
"""

from __future__ import annotations

import re
from typing import Any

from kongtx.http.paths import normalise_path

OLD_VERSIONS = ("1.1", "2.1")
_PLAIN = re.compile(r"[a-zA-Z0-9.\-_~/%]*", re.ASCII)
_TRIPLET = re.compile(rb"%([0-9A-Fa-f]{2})")
_RESERVED = frozenset(b"!#$%&'()*+,/:;=?@[]")
_META = frozenset(b".^-{}\\|")


def migrate(document: dict[str, Any]) -> dict[str, Any]:
    """The document in format 3.0; itself when it is no older one."""
    if document.get("_format_version") not in OLD_VERSIONS:
        return document
    out = {**document, "_format_version": "3.0"}
    if "routes" in out:
        out["routes"] = _routes(out["routes"])
    if isinstance(out.get("services"), list):
        out["services"] = [
            {**service, "routes": _routes(service["routes"])}
            if isinstance(service, dict) and "routes" in service
            else service
            for service in out["services"]
        ]
    return out


def _routes(routes: Any) -> Any:
    if not isinstance(routes, list):
        return routes
    return [
        {**route, "paths": [_path(path) for path in route["paths"]]}
        if isinstance(route, dict) and isinstance(route.get("paths"), list)
        else route
        for route in routes
    ]


def _path(path: Any) -> Any:
    return migrate_path(path) if isinstance(path, str) else path


def migrate_path(path: str) -> str:
    """A path of format 3.0: a normalised prefix, or a regular expression after C{~}.

    Before 3.0 a path with any character beyond those of a plain URL path was a regular expression,
    matched against a path with its percent-encoded letters decoded.
    """
    raw = path.encode("utf-8", "surrogateescape")
    if _PLAIN.fullmatch(path):
        return normalise_path(raw).decode("utf-8", "surrogateescape")
    return "~" + _TRIPLET.sub(_decode, raw).decode("utf-8", "surrogateescape")


def _decode(found: re.Match[bytes]) -> bytes:
    code = int(found[1], 16)
    if code in _RESERVED:
        return found[0].upper()
    return b"\\" + bytes((code,)) if code in _META else bytes((code,))
