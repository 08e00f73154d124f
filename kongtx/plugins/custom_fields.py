"""C{custom_fields_by_lua} of log plugins: small expressions in place of Lua.

A body is C{return} and one value: a literal, C{nil}, or a call of the PDK that reads a header, an
argument or a name: C{return kong.request.get_header("x-key")},
C{return kong.router.get_route().name}. Anything else is told as what it is, and left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from kongtx.errors import KongtxError
from kongtx.pdk.kong import Kong

Read = Callable[[Kong], Any]

_RETURN = re.compile(r"\s*return\s+(.*?)\s*;?\s*", re.DOTALL)
_STRING = re.compile(r"""(["'])([^"'\\]*)\1""")
_NUMBER = re.compile(r"-?\d+(\.\d+)?")
_CALL = re.compile(r"""kong\.([a-z_.]+)\(\s*(?:(["'])([^"'\\]*)\2)?\s*\)((?:\.[a-z_]+)*)""")
_LITERALS: Mapping[str, Any] = {"nil": None, "true": True, "false": False}
_FUNCTIONS: Mapping[str, Callable[[Kong, str | None], Any]] = {
    "request.get_header": lambda kong, name: kong.request.get_header(name or ""),
    "request.get_query_arg": lambda kong, name: kong.request.get_query_arg(name or ""),
    "request.get_method": lambda kong, _: kong.request.get_method(),
    "request.get_path": lambda kong, _: kong.request.get_path(),
    "response.get_header": lambda kong, name: kong.response.get_header(name or ""),
    "client.get_ip": lambda kong, _: kong.client.get_ip(),
    "client.get_forwarded_ip": lambda kong, _: kong.client.get_forwarded_ip(),
    "client.get_consumer": lambda kong, _: kong.client.get_consumer(),
    "router.get_route": lambda kong, _: kong.router.get_route(),
    "router.get_service": lambda kong, _: kong.router.get_service(),
}


class CustomFieldError(KongtxError):
    """A body is not one of the expressions that are understood."""


def compile_field(body: str) -> Read:
    """What reads the value that a body stands for.

    @raise CustomFieldError: saying what is understood.
    """
    found = _RETURN.fullmatch(body)
    expression = found[1] if found else ""
    if expression in _LITERALS:
        return _constant(_LITERALS[expression])
    if text := _STRING.fullmatch(expression):
        return _constant(text[2])
    if _NUMBER.fullmatch(expression):
        return _constant(float(expression) if "." in expression else int(expression))
    call = _CALL.fullmatch(expression)
    if call is not None and call[1] in _FUNCTIONS:
        return _reader(_FUNCTIONS[call[1]], call[3], call[4].split(".")[1:])
    raise CustomFieldError(
        f"{body!r} is Lua that kongtx does not run; it can be: return followed by a literal, nil, "
        f"or a call of kong.{', kong.'.join(sorted(_FUNCTIONS))}"
    )


def _constant(value: Any) -> Read:
    return lambda kong: value


def _reader(
    function: Callable[[Kong, str | None], Any], name: str | None, fields: list[str]
) -> Read:
    def read(kong: Kong) -> Any:
        value = function(kong, name)
        for field in fields:
            value = value.get(field) if isinstance(value, Mapping) else None
        return value

    return read
