"""Checks over several fields of an entity (Kong's C{entity_checks}).

A check is data (C{to_json} is what C{/schemas} shows) that C{bind} compiles against the fields
of a schema. It runs on an entity and adds to its errors, under the rules of Kong: not when none of
its fields were sent, nor, for some, when one of them is bad or a vault reference.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from kongtx.schema.errors import ENTITY, REQUIRED, FieldError, quoted_list
from kongtx.schema.field import ABSENT, Field, Mode, is_reference
from kongtx.schema.paths import find_field, get_path, is_nonempty, set_path

Errors = dict[str, FieldError]
#: Runs one bound check: (entity, whether it must be complete, errors so far, mode).
BoundCheck = Callable[[dict[str, Any], bool, Errors, Mode], None]
#: What a check finds: None, or its text (formatted), given the projected entity.
_Finder = Callable[[dict[str, Any], Errors, Mode], "str | None"]


def add_entity_error(errors: Errors, text: str) -> None:
    """Append an error of the entity as a whole."""
    listed = errors.setdefault(ENTITY, [])
    assert isinstance(listed, list)
    listed.append(text)


class EntityCheck:
    """One entry of C{entity_checks}.

    @param name: Kong's name of the checker.
    @param argument: its argument, as C{/schemas} shows it (functions are left out there).
    """

    __slots__ = ("argument", "name")

    def __init__(self, name: str, argument: Any) -> None:
        self.name = name
        self.argument = argument

    def to_json(self) -> dict[str, Any]:
        """The check as C{/schemas} shows it."""
        return {self.name: _plain(self.argument)}

    def bind(self, fields: Mapping[str, Field]) -> BoundCheck:
        """Compile the check for a schema's fields."""
        return _BINDERS[self.name](self.argument, fields)


def _plain(value: Any) -> Any:
    if isinstance(value, Field):
        return value.to_json()
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items() if not callable(item)}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


def at_least_one_of(*names: str) -> EntityCheck:
    """One of the fields must be set, and not be empty."""
    return EntityCheck("at_least_one_of", list(names))


def only_one_of(*names: str) -> EntityCheck:
    """Exactly one of the fields must be set."""
    return EntityCheck("only_one_of", list(names))


def distinct(*names: str) -> EntityCheck:
    """The fields that are set must have different values."""
    return EntityCheck("distinct", list(names))


def mutually_required(*names: str) -> EntityCheck:
    """All of the fields, or none, must be set."""
    return EntityCheck("mutually_required", list(names))


def mutually_exclusive(*names: str) -> EntityCheck:
    """At most one of the fields may be set."""
    return EntityCheck("mutually_exclusive", list(names))


def mutually_exclusive_sets(set1: Sequence[str], set2: Sequence[str]) -> EntityCheck:
    """Fields of one set may not be set together with fields of the other."""
    return EntityCheck("mutually_exclusive_sets", {"set1": list(set1), "set2": list(set2)})


def conditional(
    if_field: str,
    if_match: Mapping[str, Any],
    then_field: str,
    then_match: Mapping[str, Any],
    then_err: str | None = None,
) -> EntityCheck:
    """When one field passes some constraints, another must too; C{%s} is the first's name."""
    argument: dict[str, Any] = {
        "if_field": if_field,
        "if_match": dict(if_match),
        "then_field": then_field,
        "then_match": dict(then_match),
    }
    if then_err is not None:
        argument["then_err"] = then_err
    return EntityCheck("conditional", argument)


def conditional_at_least_one_of(**argument: Any) -> EntityCheck:
    """As C{at_least_one_of}, for entities whose C{if_field} passes C{if_match}.

    Keywords are Kong's: C{if_field, if_match, then_at_least_one_of, then_err, else_match,
    else_then_at_least_one_of, else_then_err}; C{%s} in a text is the list of fields.
    """
    return EntityCheck("conditional_at_least_one_of", argument)


def custom_check(
    field_sources: Sequence[str],
    check: Callable[[dict[str, Any]], str | None],
    *,
    run_with_missing_fields: bool = False,
    run_with_invalid_fields: bool = False,
) -> EntityCheck:
    """A function over the named fields (absent ones are not in its argument); returns an error."""
    argument: dict[str, Any] = {"field_sources": list(field_sources), "fn": check}
    if run_with_missing_fields:
        argument["run_with_missing_fields"] = True
    if run_with_invalid_fields:
        argument["run_with_invalid_fields"] = True
    return EntityCheck("custom_entity_check", argument)


def _bound(
    fields: Mapping[str, Field],
    sources: Iterable[str],
    find: _Finder,
    *,
    required: Iterable[str] = (),
    with_missing: bool = False,
    with_invalid: bool = False,
    demands_missing: bool = False,
) -> BoundCheck:
    """Wrap what a check finds into the rules on when it runs.

    C{with_missing} runs it although required fields are absent; C{demands_missing} runs it on a
    complete entity even when all of its fields are absent.
    """
    names = list(dict.fromkeys(sources))
    needed = frozenset() if with_missing else frozenset(required)
    referenceable = {
        name
        for name in names
        if (field := find_field(fields, name)) is not None and field.referenceable
    }
    simple = not any("." in name for name in names)

    def run(entity: dict[str, Any], full: bool, errors: Errors, mode: Mode) -> None:
        seen: dict[str, Any] = {}
        missing: list[str] = []
        for name in names:
            value = entity.get(name, ABSENT) if simple else get_path(entity, name)
            if value is ABSENT:
                if name in needed:
                    missing.append(name)
                continue
            if name in referenceable and is_reference(value):
                return
            seen[name] = value
        if not with_invalid and errors and any(name in errors for name in names):
            return
        if not seen and not (demands_missing and full):
            return
        if missing:
            suffix = " when updating" if mode.updating else ""
            for name in missing:
                set_path(errors, name, f"field required for entity check{suffix}")
            return
        text = find(seen, errors, mode)
        if text is not None:
            add_entity_error(errors, text)

    return run


def _of_names(
    template: str, failed: Callable[[list[Any]], bool], **rules: Any
) -> Callable[[Any, Mapping[str, Field]], BoundCheck]:
    """A checker whose argument is a list of names; C{failed} takes the values of those set."""

    def bind(names: Sequence[str], fields: Mapping[str, Field]) -> BoundCheck:
        error = template.format(quoted_list(names))

        def find(seen: dict[str, Any], errors: Errors, mode: Mode) -> str | None:
            given = [value for value in (seen.get(name) for name in names) if is_nonempty(value)]
            return _for_update(error, mode) if failed(given) else None

        return _bound(fields, names, find, required=names, **rules)

    return bind


def _for_update(error: str, mode: Mode) -> str:
    if mode.updating and error.startswith("at least one of"):
        return f"when updating, {error}"
    return error


def _repeats(values: list[Any]) -> bool:
    return any(value in values[:index] for index, value in enumerate(values))


def _bind_mutually_required(names: Sequence[str], fields: Mapping[str, Field]) -> BoundCheck:
    error = f"all or none of these fields must be set: {quoted_list(names)}"

    def find(seen: dict[str, Any], errors: Errors, mode: Mode) -> str | None:
        count = sum(is_nonempty(seen.get(name)) for name in names)
        return error if 0 < count < len(names) else None

    return _bound(fields, names, find, with_missing=True, demands_missing=True)


def _bind_exclusive_sets(argument: Mapping[str, Any], fields: Mapping[str, Field]) -> BoundCheck:
    first, second = argument["set1"], argument["set2"]

    def find(seen: dict[str, Any], errors: Errors, mode: Mode) -> str | None:
        set1 = [name for name in first if is_nonempty(seen.get(name))]
        set2 = [name for name in second if is_nonempty(seen.get(name))]
        if not set1 or not set2:
            return None
        return f"these sets are mutually exclusive: {quoted_list([set1, set2])}"

    return _bound(fields, [*first, *second], find, with_missing=True, demands_missing=True)


def _matcher(fields: Mapping[str, Field], name: str, match: Mapping[str, Any]) -> Field:
    """The field of that name with the constraints of a match in place of its own."""
    base = find_field(fields, name)
    return base.extend(**match) if base is not None else Field("any", **match)


def _bind_conditional(argument: Mapping[str, Any], fields: Mapping[str, Field]) -> BoundCheck:
    if_name, then_name = argument["if_field"], argument["then_field"]
    if_match = _matcher(fields, if_name, argument["if_match"])
    then_match = _matcher(fields, then_name, argument["then_match"])
    must_be_set = argument["then_match"].get("required") is True
    custom = argument.get("then_err")
    error = f"failed conditional validation given value of field '{if_name}'"
    if custom is not None:
        error = custom.replace("%s", if_name)

    def find(seen: dict[str, Any], errors: Errors, mode: Mode) -> str | None:
        if if_match.validate(seen.get(if_name), mode) is not None:
            return None
        value = seen.get(then_name)
        if must_be_set and value is None:
            set_path(errors, then_name, REQUIRED)
            # Kong gives its general text here even when the check has its own.
            return f"failed conditional validation given value of field '{if_name}'"
        failure = then_match.validate(value, mode)
        if failure is None:
            return None
        set_path(errors, then_name, failure)
        return error

    return _bound(fields, [if_name, then_name], find, required=[if_name], with_invalid=True)


def _bind_conditional_one_of(
    argument: Mapping[str, Any], fields: Mapping[str, Field]
) -> BoundCheck:
    if_name = argument["if_field"]
    branches: list[tuple[Field, Sequence[str], str]] = []
    for match, names, text in (
        ("if_match", "then_at_least_one_of", "then_err"),
        ("else_match", "else_then_at_least_one_of", "else_then_err"),
    ):
        if match in argument:
            listed = quoted_list(argument[names])
            custom = argument.get(text)
            error = (
                custom.replace("%s", listed)
                if custom
                else f"at least one of these fields must be non-empty: {listed}"
            )
            branches.append((_matcher(fields, if_name, argument[match]), argument[names], error))

    def find(seen: dict[str, Any], errors: Errors, mode: Mode) -> str | None:
        value = seen.get(if_name, ABSENT)
        if value is ABSENT:
            return None
        for match, names, error in branches:
            if match.validate(value, mode) is None:
                if any(is_nonempty(seen.get(name)) for name in names):
                    return None
                return _for_update(error, mode)
        return None

    sources = [if_name, *(name for branch in branches for name in branch[1])]
    return _bound(fields, sources, find, with_missing=True, with_invalid=True, demands_missing=True)


def _bind_custom(argument: Mapping[str, Any], fields: Mapping[str, Field]) -> BoundCheck:
    check = argument["fn"]
    sources = argument["field_sources"]

    def find(seen: dict[str, Any], errors: Errors, mode: Mode) -> str | None:
        found: str | None = check(_nested(seen))
        return found

    return _bound(
        fields,
        sources,
        find,
        required=sources,
        with_missing=argument.get("run_with_missing_fields", False),
        with_invalid=argument.get("run_with_invalid_fields", False),
    )


def _nested(seen: dict[str, Any]) -> dict[str, Any]:
    if not any("." in name for name in seen):
        return seen
    out: dict[str, Any] = {}
    for name, value in seen.items():
        set_path(out, name, value)
    return out


_BINDERS: dict[str, Callable[[Any, Mapping[str, Field]], BoundCheck]] = {
    "at_least_one_of": _of_names(
        "at least one of these fields must be non-empty: {}",
        lambda given: not given,
        with_missing=True,
        with_invalid=True,
        demands_missing=True,
    ),
    "only_one_of": _of_names(
        "exactly one of these fields must be non-empty: {}",
        lambda given: len(given) != 1,
        with_invalid=True,
    ),
    "distinct": _of_names(
        "values of these fields must be distinct: {}", _repeats, with_invalid=True
    ),
    "mutually_exclusive": _of_names(
        "only one or none of these fields must be set: {}",
        lambda given: len(given) > 1,
        with_missing=True,
        demands_missing=True,
    ),
    "mutually_required": _bind_mutually_required,
    "mutually_exclusive_sets": _bind_exclusive_sets,
    "conditional": _bind_conditional,
    "conditional_at_least_one_of": _bind_conditional_one_of,
    "custom_entity_check": _bind_custom,
}
