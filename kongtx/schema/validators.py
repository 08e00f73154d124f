"""Constraints on one value, each built once from a schema's attribute.

Every builder takes the attribute's argument and gives a function from a value to an error text or
None. Texts and order are Kong's (Kong: C{kong/db/schema/init.lua}): clients match on them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import re2  # type: ignore[import-untyped]

from kongtx.schema import lua
from kongtx.schema.errors import FieldError, quoted_list

Check = Callable[[Any], FieldError | None]

#: The order in which constraints are tried; the first failure is the one reported.
ORDER = (
    "eq",
    "ne",
    "not_one_of",
    "one_of",
    "gt",
    "timestamp",
    "uuid",
    "is_regex",
    "between",
    "len_eq",
    "len_min",
    "len_max",
    "starts_with",
    "not_match",
    "match_none",
    "match",
    "match_all",
    "match_any",
    "contains",
    "custom_validator",
    "mutually_exclusive_subsets",
)

_UUID = re.compile(
    "[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}", re.ASCII
)
_is_uuid = _UUID.fullmatch


def is_uuid(value: str) -> bool:
    """Whether text has the form of a UUID, in either case."""
    return _is_uuid(value) is not None


def _joined(options: Iterable[Any]) -> str:
    return ", ".join(lua.tostring(option) for option in options)


def _length(value: Any) -> int:
    if isinstance(value, str):
        return len(value) if value.isascii() else len(value.encode("utf-8", "surrogatepass"))
    return len(value)


def _same(left: Any, right: Any) -> bool:
    return bool(left == right) and isinstance(left, bool) == isinstance(right, bool)


def _eq(wanted: Any) -> Check:
    error = f"value must be {lua.tostring(wanted)}"
    return lambda value: None if _same(value, wanted) else error


def _ne(unwanted: Any) -> Check:
    error = f"value must not be {lua.tostring(unwanted)}"
    return lambda value: error if _same(value, unwanted) else None


def _one_of(options: Sequence[Any]) -> Check:
    error = f"expected one of: {_joined(options)}"
    allowed = frozenset(options)
    return lambda value: None if _hashable(value) and value in allowed else error


def _not_one_of(options: Sequence[Any]) -> Check:
    error = f"must not be one of: {_joined(options)}"
    refused = frozenset(options)
    return lambda value: error if _hashable(value) and value in refused else None


def _hashable(value: Any) -> bool:
    return not isinstance(value, (list, dict))


def _gt(limit: float) -> Check:
    error = f"value must be greater than {lua.tostring(limit)}"
    return lambda value: None if value > limit else error


def _timestamp(wanted: bool) -> Check | None:
    if not wanted:
        return None
    return lambda value: None if value > 0 else "expected a valid timestamp"


def _uuid(wanted: bool) -> Check | None:
    if not wanted:
        return None
    return lambda value: None if _is_uuid(value) else "expected a valid UUID"


def _is_regex(wanted: bool) -> Check | None:
    if not wanted:
        return None

    def check(value: str) -> str | None:
        try:
            re2.compile(value, _regex_options())
        except re2.error:
            return f"not a valid regex: {value}"
        return None

    return check


def _regex_options() -> Any:
    options = re2.Options()
    options.log_errors = False
    return options


def _between(limits: Sequence[float]) -> Check:
    low, high = limits
    error = f"value should be between {int(low)} and {int(high)}"
    return lambda value: None if low <= value <= high else error


def _len_eq(count: int) -> Check:
    error = f"length must be {count}"
    return lambda value: None if _length(value) == count else error


def _len_min(count: int) -> Check | None:
    if count <= 0:
        return None
    error = f"length must be at least {count}"
    return lambda value: None if _length(value) >= count else error


def _len_max(count: int) -> Check:
    error = f"length must be at most {count}"
    return lambda value: None if _length(value) <= count else error


def _starts_with(prefix: str) -> Check:
    error = f"should start with: {prefix}"
    return lambda value: None if value.startswith(prefix) else error


def _match(pattern: str) -> Check:
    search = lua.compile_pattern(pattern).search
    return lambda value: None if search(value) else f"invalid value: {value}"


def _not_match(pattern: str) -> Check:
    search = lua.compile_pattern(pattern).search
    return lambda value: f"invalid value: {value}" if search(value) else None


def _match_all(entries: Sequence[Mapping[str, str]]) -> Check:
    tests = [(lua.compile_pattern(entry["pattern"]).search, entry["err"]) for entry in entries]

    def check(value: str) -> str | None:
        for search, error in tests:
            if not search(value):
                return error
        return None

    return check


def _match_none(entries: Sequence[Mapping[str, str]]) -> Check:
    tests = [(lua.compile_pattern(entry["pattern"]).search, entry["err"]) for entry in entries]

    def check(value: str) -> str | None:
        for search, error in tests:
            if search(value):
                return error
        return None

    return check


def _match_any(argument: Mapping[str, Any]) -> Check:
    tests = [lua.compile_pattern(pattern).search for pattern in argument["patterns"]]
    error = argument.get("err")

    def check(value: str) -> str | None:
        if any(search(value) for search in tests):
            return None
        return error or f"invalid value: {value}"

    return check


def _contains(wanted: Any) -> Check:
    error = f"expected to contain: {lua.tostring(wanted)}"
    return lambda value: None if wanted in value else error


def _custom(function: Check) -> Check:
    return function


def _mutually_exclusive_subsets(subsets: Sequence[Sequence[str]]) -> Check:
    group_of = {item: index for index, subset in enumerate(subsets) for item in subset}

    def check(value: list[Any]) -> str | None:
        groups = dict.fromkeys(group_of[item] for item in value if item in group_of)
        if len(groups) <= 1:
            return None
        return f"these sets are mutually exclusive: {quoted_list([subsets[at] for at in groups])}"

    return check


BUILDERS: dict[str, Callable[[Any], Check | None]] = {
    "eq": _eq,
    "ne": _ne,
    "not_one_of": _not_one_of,
    "one_of": _one_of,
    "gt": _gt,
    "timestamp": _timestamp,
    "uuid": _uuid,
    "is_regex": _is_regex,
    "between": _between,
    "len_eq": _len_eq,
    "len_min": _len_min,
    "len_max": _len_max,
    "starts_with": _starts_with,
    "not_match": _not_match,
    "match_none": _match_none,
    "match": _match,
    "match_all": _match_all,
    "match_any": _match_any,
    "contains": _contains,
    "custom_validator": _custom,
    "mutually_exclusive_subsets": _mutually_exclusive_subsets,
}
