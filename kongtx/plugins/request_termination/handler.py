"""request-termination: requests are answered without asking any upstream."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from kongtx.pdk.errors import BodyError
from kongtx.pdk.kong import Kong
from kongtx.plugins.base import Plugin
from kongtx.plugins.jsonbody import printable
from kongtx.plugins.request_termination.schema import subschema

_MESSAGES = {
    401: "Unauthorized",
    404: "Not found",
    405: "Method not allowed",
    500: "An unexpected error occurred",
    502: "Bad Gateway",
    503: "Service unavailable",
}


class RequestTermination(Plugin):
    """Answers with a message, a body, or what it was asked."""

    name = "request-termination"
    priority = 2
    subschema = subschema()

    def access(self, config: Mapping[str, Any], kong: Kong) -> Any:
        """Answer, if there is no trigger or the request has it."""
        trigger = config["trigger"]
        if trigger and not _triggered(trigger, kong):
            return None
        status = config["status_code"]
        message = config["message"] or _MESSAGES.get(status)
        if config["echo"]:
            return _echo(status, message, kong)
        if config["body"]:
            kind = config["content_type"]
            kong.response.exit(status, config["body"], {"Content-Type": kind} if kind else None)
        return kong.response.exit(status, {"message": message} if message else None)


def _triggered(name: str, kong: Kong) -> bool:
    return kong.request.get_header(name) is not None or kong.request.get_query_arg(name) is not None


async def _echo(status: int, message: str | None, kong: Kong) -> None:
    request = kong.request
    raw_body = await _raw_body(kong)
    try:
        body = await request.get_body()
    except BodyError:
        body = None
    unnamed, named = request.get_uri_captures()
    told = {
        "message": message,
        "kong": {
            "node_id": kong.node.node_id,
            "worker_pid": os.getpid(),
            "hostname": kong.node.hostname,
        },
        "request": {
            "scheme": request.get_scheme(),
            "host": request.get_host(),
            "port": request.get_port(),
            "headers": request.get_headers(),
            "query": request.get_query(),
            "body": body,
            "raw_body": raw_body.decode("utf-8", "replace"),
            "method": request.get_method(),
            "path": request.get_path(),
            "uri_captures": {"named": named, "unnamed": unnamed},
        },
        "matched_route": kong.router.get_route(),
        "matched_service": kong.router.get_service(),
    }
    kong.response.exit(status, _printable(told))


async def _raw_body(kong: Kong) -> bytes:
    body = kong.request.get_raw_body()
    return body if isinstance(body, bytes) else await body


def _printable(value: Any) -> Any:
    """What JSON can hold: no octets that are no text, and nothing for what is not there."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, Mapping):
        return {
            _printable(key): _printable(each) for key, each in value.items() if each is not None
        }
    if isinstance(value, (list, tuple)):
        return [_printable(each) for each in value]
    return value
