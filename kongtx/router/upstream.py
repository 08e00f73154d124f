"""The path to ask of an upstream, from the service's, the route's and the request's.

Source: Kong C{path_handling}, checked against the observed table in the tests.
"""

from __future__ import annotations

_SLASH = 0x2F


def upstream_path(
    base: bytes, path: bytes, matched: bytes, strip: bool, version_one: bool = False
) -> bytes:
    """Join a service's path with a request's.

    @param base: the service's path, C{b"/"} without one.
    @param path: the request's normalised path.
    @param matched: what the route's path matched at the start of C{path}; empty when the route
        has no path.
    @param strip: whether what was matched is removed.
    @param version_one: use C{path_handling} v1 rather than v0.
    """
    if not strip:
        return _kept_v1(base, path) if version_one else _kept_v0(base, path)
    rest = _without_dots(path[len(matched) :] if matched else path[1:])
    if version_one:
        if base[-1] == _SLASH and rest[:1] == b"/":
            return base + rest[1:]
        return base + rest
    return _stripped_v0(base, path, rest)


def _kept_v0(base: bytes, path: bytes) -> bytes:
    if base[-1] == _SLASH:
        return base + path[1:]
    return base if path == b"/" else base + path


def _kept_v1(base: bytes, path: bytes) -> bytes:
    return base + path[1:]


def _stripped_v0(base: bytes, path: bytes, rest: bytes) -> bytes:
    if base[-1] == _SLASH:
        if not rest:
            return base if base == b"/" or path[-1:] == b"/" else base[:-1]
        return base + rest.removeprefix(b"/")
    if not rest:
        return base + b"/" if len(path) > 1 and path[-1] == _SLASH else base
    return base + rest if rest[0] == _SLASH else base + b"/" + rest


def _without_dots(rest: bytes) -> bytes:
    # A prefix may end within a segment, which can leave a dot segment that normalising never saw.
    if rest[:1] != b".":
        return rest
    if rest in {b".", b".."}:
        return b""
    return rest.removeprefix(b"./") if rest[:2] == b"./" else rest.removeprefix(b"../")
