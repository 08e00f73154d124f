"""Errors carry Kong's codes, names, messages and fields."""

from __future__ import annotations

import pytest

from kongtx.db import errors

ID = "0855b320-0dd2-547d-891d-601e9b38647f"


@pytest.mark.parametrize(
    ("error", "body"),
    [
        (
            errors.InvalidPrimaryKeyError({"id": "expected a valid UUID"}),
            {
                "code": 1,
                "name": "invalid primary key",
                "message": "invalid primary key: '{id=\"expected a valid UUID\"}'",
                "fields": {"id": "expected a valid UUID"},
            },
        ),
        (
            errors.SchemaViolationError({"port": "expected an integer"}),
            {
                "code": 2,
                "name": "schema violation",
                "message": "schema violation (port: expected an integer)",
                "fields": {"port": "expected an integer"},
            },
        ),
        (
            errors.SchemaViolationError(
                {"path": "value must be null", "@entity": ["failed"], "a": {"c": "x", "b": "y"}}
            ),
            {
                "code": 2,
                "name": "schema violation",
                "message": "4 schema violations (failed; a.b: y; a.c: x; path: value must be null)",
                "fields": {
                    "path": "value must be null",
                    "@entity": ["failed"],
                    "a": {"c": "x", "b": "y"},
                },
            },
        ),
        (
            errors.SchemaViolationError({"protocols": [None, "expected a string"]}),
            {
                "code": 2,
                "name": "schema violation",
                "message": "schema violation (protocols.2: expected a string)",
                "fields": {"protocols": [None, "expected a string"]},
            },
        ),
        (
            errors.SchemaViolationError({"config": {"redis": {"host": "required field missing"}}}),
            {
                "code": 2,
                "name": "schema violation",
                "message": "schema violation (config.redis: {\n"
                '  host = "required field missing"\n})',
                "fields": {"config": {"redis": {"host": "required field missing"}}},
            },
        ),
        (
            errors.PrimaryKeyViolationError({"id": ID}),
            {
                "code": 3,
                "name": "primary key violation",
                "message": f"primary key violation on key '{{id=\"{ID}\"}}'",
                "fields": {"id": ID},
            },
        ),
        (
            errors.ForeignKeyViolationError.dangling("service", {"id": ID}, "services"),
            {
                "code": 4,
                "name": "foreign key violation",
                "message": f"the foreign key '{{id=\"{ID}\"}}' does not reference an existing "
                "'services' entity.",
                "fields": {"service": {"id": ID}},
            },
        ),
        (
            errors.ForeignKeyViolationError.restricted("services", "routes"),
            {
                "code": 4,
                "name": "foreign key violation",
                "message": "an existing 'routes' entity references this 'services' entity",
                "fields": {"@referenced_by": "routes"},
            },
        ),
        (
            errors.UniqueViolationError(
                {"name": "key-auth", "route": None, "consumer": None, "service": {"id": ID}}
            ),
            {
                "code": 5,
                "name": "unique constraint violation",
                "message": "UNIQUE violation detected on "
                f'\'{{consumer=null,name="key-auth",route=null,service={{id="{ID}"}}}}\'',
                "fields": {
                    "name": "key-auth",
                    "route": None,
                    "consumer": None,
                    "service": {"id": ID},
                },
            },
        ),
        (
            errors.EntityNotFoundError.by_key({"id": ID}),
            {
                "code": 6,
                "name": "not found",
                "message": f"could not find the entity with primary key '{{id=\"{ID}\"}}'",
                "fields": {"id": ID},
            },
        ),
        (
            errors.EntityNotFoundError.by_field({"name": "x"}),
            {
                "code": 6,
                "name": "not found",
                "message": "could not find the entity with '{name=\"x\"}'",
                "fields": {"name": "x"},
            },
        ),
        (
            errors.InvalidOffsetError("x", "bad base64 encoding"),
            {
                "code": 7,
                "name": "invalid offset",
                "message": "'x' is not a valid offset: bad base64 encoding",
            },
        ),
        (
            errors.InvalidSizeError("size must be a number"),
            {"code": 9, "name": "invalid size", "message": "size must be a number"},
        ),
        (
            errors.InvalidUniqueError("name", "length must be at least 1"),
            {"code": 10, "name": "invalid unique name", "message": "length must be at least 1"},
        ),
        (
            errors.InvalidOptionsError({"tags": "cannot be null"}),
            {
                "code": 11,
                "name": "invalid options",
                "message": "invalid option (tags: cannot be null)",
                "options": {"tags": "cannot be null"},
            },
        ),
        (
            errors.ForeignKeysUnresolvedError({"service": [("name", "x", "services")]}),
            {
                "code": 13,
                "name": "foreign keys unresolved",
                "message": "foreign key unresolved (service.name: the foreign key cannot be "
                "resolved with '{name=\"x\"}' for an existing 'services' entity)",
                "fields": {
                    "service": {
                        "name": "the foreign key cannot be resolved with '{name=\"x\"}' "
                        "for an existing 'services' entity"
                    }
                },
            },
        ),
    ],
)
def test_an_error_has_kongs_body(error: errors.StoreError, body: dict[str, object]) -> None:
    assert error.body() == body
    assert str(error) == body["message"]


def test_several_unresolved_references_are_counted() -> None:
    error = errors.ForeignKeysUnresolvedError(
        {"service": [("name", "x", "services")], "route": [("name", "y", "routes")]}
    )
    assert error.message.startswith("2 foreign keys unresolved (route.name: the foreign key")
