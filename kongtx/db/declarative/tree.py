"""Errors gathered by where they are in a document."""

from __future__ import annotations

from typing import Any

NULL_ERROR = "value must be null"


class ErrorTree:
    """Errors under keys and positions (integers from one); positions become lists in the end."""

    def __init__(self, root: dict[Any, Any] | None = None) -> None:
        self.root: dict[Any, Any] = {} if root is None else root

    def __bool__(self) -> bool:
        return bool(self.root)

    def add(self, path: tuple[str | int, ...], error: Any) -> None:
        """Put an error, or the errors of an entity by field, at a path."""
        node = self.root
        for step in path[:-1]:
            inner = node.get(step)
            if not isinstance(inner, dict):
                inner = node[step] = {}
            node = inner
        value = _positions(error)
        current = node.get(path[-1])
        if isinstance(current, dict) and isinstance(value, dict):
            value = merge_errors(current, value)
        node[path[-1]] = value

    def to_json(self) -> dict[str, Any]:
        """The errors with lists for positions, None where an entry is good."""
        out: dict[str, Any] = _lists(self.root)
        return out


def _positions(error: Any) -> Any:
    if isinstance(error, dict):
        return {key: _positions(item) for key, item in error.items()}
    if isinstance(error, list):
        return {index: _positions(item) for index, item in enumerate(error, 1) if item is not None}
    return error


def _lists(error: Any) -> Any:
    if not isinstance(error, dict):
        return error
    if error and all(isinstance(key, int) for key in error):
        return [_lists(error.get(index)) for index in range(1, max(error) + 1)]
    return {str(key): _lists(item) for key, item in error.items()}


def merge_errors(below: dict[Any, Any], above: dict[Any, Any]) -> dict[Any, Any]:
    """Both trees' errors; those of C{above} where both have one."""
    out = dict(below)
    for key, value in above.items():
        current = out.get(key)
        if isinstance(current, dict) and isinstance(value, dict):
            out[key] = merge_errors(current, value)
        else:
            out[key] = value
    return out


def null_errors(errors: dict[Any, Any]) -> dict[Any, Any]:
    """Only those errors that refuse a value where there must be none."""
    out: dict[Any, Any] = {}
    for key, value in errors.items():
        if isinstance(value, dict):
            inner = null_errors(value)
            if inner:
                out[key] = inner
        elif value == NULL_ERROR:
            out[key] = value
    return out
