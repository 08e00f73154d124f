"""Synchronous first: go on at once with a value, or later with a Deferred's."""

from __future__ import annotations

from collections.abc import Callable
from types import CoroutineType
from typing import Any

from twisted.internet.defer import Deferred, ensureDeferred


def then(value: Any, call: Callable[..., Any], *args: Any) -> Any:
    """Call C{call(value, *args)}: now, or when the value is there.

    @param value: a value, a Deferred or a coroutine.
    @return: what the call returns, or a Deferred of it. No Deferred is made for a plain value.
    """
    kind = type(value)
    if kind is dict:  # the usual case on the hot path: an entity
        return call(value, *args)
    if isinstance(value, Deferred):
        return value.addCallback(call, *args)
    if kind is CoroutineType:
        return ensureDeferred(value).addCallback(call, *args)
    return call(value, *args)
