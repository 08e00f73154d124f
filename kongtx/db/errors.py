"""What can go wrong with stored entities, with Kong's codes, names and messages.

Source of the wording: Kong's C{kong/db/errors.lua}; clients match on codes, names and messages.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from kongtx.errors import KongtxError
from kongtx.schema.errors import FieldError, violation_message
from kongtx.schema.lua import inline

Fields = Mapping[str, Any]


class StoreError(KongtxError):
    """An operation on an entity that was refused or failed.

    @cvar code: Kong's number of the error.
    @ivar name: Kong's name of the error.
    @ivar message: one line for people.
    @ivar fields: what is wrong, in the entity's own shape; L{None} for errors without details.
    """

    code: ClassVar[int]
    default_name: ClassVar[str]
    details_key: ClassVar[str] = "fields"

    def __init__(self, message: str, fields: Fields | None = None, name: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.fields = fields
        self.name = name or self.default_name

    def body(self) -> dict[str, Any]:
        """The error as the Admin API shows it."""
        body: dict[str, Any] = {"code": self.code, "name": self.name, "message": self.message}
        if self.fields is not None:
            body[self.details_key] = self.fields
        return body


class InvalidPrimaryKeyError(StoreError):
    """A primary key whose form is wrong."""

    code = 1
    default_name = "invalid primary key"

    def __init__(self, fields: Fields) -> None:
        super().__init__(f"invalid primary key: '{inline(fields)}'", fields)


class SchemaViolationError(StoreError):
    """An entity that its schema does not accept.

    @param fields: errors in the entity's shape; entity checks under C{@entity}.
    """

    code = 2
    default_name = "schema violation"

    def __init__(self, fields: dict[str, FieldError]) -> None:
        super().__init__(violation_message(fields), fields)


class PrimaryKeyViolationError(StoreError):
    """An entity with the same primary key exists already."""

    code = 3
    default_name = "primary key violation"

    def __init__(self, key: Fields) -> None:
        super().__init__(f"primary key violation on key '{inline(key)}'", key)


class ForeignKeyViolationError(StoreError):
    """A reference to nothing, or the removal of something that is referred to."""

    code = 4
    default_name = "foreign key violation"

    @classmethod
    def dangling(cls, field: str, key: Fields, parent: str) -> ForeignKeyViolationError:
        """The entity refers to a parent that does not exist."""
        return cls(
            f"the foreign key '{inline(key)}' does not reference an existing '{parent}' entity.",
            {field: key},
        )

    @classmethod
    def restricted(cls, parent: str, child: str) -> ForeignKeyViolationError:
        """The entity cannot go while others refer to it."""
        return cls(
            f"an existing '{child}' entity references this '{parent}' entity",
            {"@referenced_by": child},
        )


class UniqueViolationError(StoreError):
    """Another entity has the same value where values must differ."""

    code = 5
    default_name = "unique constraint violation"

    def __init__(self, key: Fields) -> None:
        super().__init__(f"UNIQUE violation detected on '{inline(key)}'", key)


class EntityNotFoundError(StoreError):
    """The entity to change does not exist."""

    code = 6
    default_name = "not found"

    @classmethod
    def by_key(cls, key: Fields) -> EntityNotFoundError:
        """It was looked for by primary key."""
        return cls(f"could not find the entity with primary key '{inline(key)}'", key)

    @classmethod
    def by_field(cls, key: Fields) -> EntityNotFoundError:
        """It was looked for by a unique field."""
        return cls(f"could not find the entity with '{inline(key)}'", key)


class InvalidOffsetError(StoreError):
    """A page's offset that was not made here."""

    code = 7
    default_name = "invalid offset"

    def __init__(self, offset: str, reason: str) -> None:
        super().__init__(f"'{offset}' is not a valid offset: {reason}")


class DatabaseError(StoreError):
    """The database could not do its work; nothing of the operation has been kept.

    Of its kind L{DatabaseUnavailableError} a write may have been kept all the same.
    """

    code = 8
    default_name = "database error"


class DatabaseUnavailableError(DatabaseError):
    """The database cannot be reached, or does not answer; later it may.

    What a write was to do may be done nevertheless, when it is the answer that was lost.
    """


class InvalidSizeError(StoreError):
    """A page size out of its bounds."""

    code = 9
    default_name = "invalid size"


class InvalidUniqueError(StoreError):
    """The value that an entity was asked for by cannot be one of that field."""

    code = 10
    default_name = "invalid unique field"

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(reason, name=f"invalid unique {field}")


class InvalidOptionsError(StoreError):
    """An option of the operation (tags, ttl) that is wrong."""

    code = 11
    default_name = "invalid options"
    details_key = "options"

    def __init__(self, options: Fields) -> None:
        parts = [f"{name}: {options[name]}" for name in sorted(options)]
        super().__init__(
            f"invalid option ({parts[0]})"
            if len(parts) == 1
            else f"{len(parts)} option violations ({'; '.join(parts)})",
            options,
        )


class OperationUnsupportedError(StoreError):
    """The database in use cannot do this."""

    code = 12
    default_name = "operation unsupported"


class ForeignKeysUnresolvedError(StoreError):
    """References by name to parents that do not exist.

    @param unresolved: by field: the name's field, its value, and the parent's schema name.
    """

    code = 13
    default_name = "foreign keys unresolved"

    def __init__(self, unresolved: Mapping[str, list[tuple[str, Any, str]]]) -> None:
        fields: dict[str, dict[str, str]] = {}
        parts = []
        for field in sorted(unresolved):
            for name, value, parent in sorted(unresolved[field], key=lambda part: part[0]):
                text = (
                    f"the foreign key cannot be resolved with '{inline({name: value})}' "
                    f"for an existing '{parent}' entity"
                )
                fields.setdefault(field, {})[name] = text
                parts.append(f"{field}.{name}: {text}")
        super().__init__(
            f"foreign key unresolved ({parts[0]})"
            if len(parts) == 1
            else f"{len(parts)} foreign keys unresolved ({'; '.join(parts)})",
            fields,
        )


class TransformationError(StoreError):
    """A field could not be brought into its stored form."""

    code = 15
    default_name = "transformation error"


class ReferencedByOthersError(StoreError):
    """The entity's id is used inside other entities."""

    code = 19
    default_name = "referenced by others"


class ConfigurationTooLargeError(DatabaseError):
    """A declarative configuration does not fit where it has to be kept; nothing changed."""


class ConflictError(KongtxError):
    """The entity changed between reading and writing; the operation can be tried again."""


class MigrationError(KongtxError):
    """The database's schema and this version of kongtx do not fit together."""


class MigrationLockedError(MigrationError):
    """Another process migrates the database, and did not end in the time there was to wait."""
