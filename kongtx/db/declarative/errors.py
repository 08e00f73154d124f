"""What is wrong with a declarative configuration, in Kong's shapes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kongtx.db.declarative.flattened import flatten_errors
from kongtx.errors import KongtxError
from kongtx.schema import lua


class DeclarativeError(KongtxError):
    """A configuration that was refused, whole, with everything wrong with it.

    @param fields: mirrors the document: lists by position with None for good entries, errors of an
        entity as a whole under C{@entity}; ``{"error": text}`` when it could not be read.
    @param document: the configuration as it was read, to tell the entities that errors belong to.
    @param children: by entity, those that can be nested in it and their foreign field.
    """

    code = 14
    name = "invalid declarative configuration"

    def __init__(
        self,
        fields: dict[str, Any],
        document: dict[str, Any] | None = None,
        children: Mapping[str, Mapping[str, str]] | None = None,
    ) -> None:
        self.fields = fields
        self.document = document
        self.children = children or {}
        super().__init__(self.message)

    @property
    def message(self) -> str:
        """One line, with the errors as a Lua table."""
        return f"declarative config is invalid: {lua.inline(self.fields)}"

    def to_dict(self, *, flattened: bool = False) -> dict[str, Any]:
        """The body of the Admin API's answer (status 400).

        @param flattened: list the errors by entity under C{flattened_errors}, leaving in
            C{fields} only those that belong to no entity.
        """
        fields = self.fields
        found: list[dict[str, Any]] = []
        if flattened and self.document is not None:
            found, fields = flatten_errors(self.document, self.fields, self.children)
        body: dict[str, Any] = {
            "code": self.code,
            "name": self.name,
            "message": DeclarativeError(fields).message,
            "fields": fields,
        }
        if flattened:
            body["flattened_errors"] = found
        return body

    def tree(self) -> str:
        """Several lines for a terminal, two spaces deeper at each level.

        Source: Kong: C{pretty_print_error}.
        """
        return "\n".join(_lines(self.fields, "", ""))


def _lines(errors: Any, name: str, indent: str) -> list[str]:
    out: list[str] = []
    entries = (
        [(index, error) for index, error in enumerate(errors, 1) if error is not None]
        if isinstance(errors, list)
        else sorted(errors.items())
    )
    for key, error in entries:
        where = f"- in entry {key} of '{name}'" if isinstance(key, int) else f"in '{key}'"
        if isinstance(error, (dict, list)):
            out.append(f"{indent}{where}:")
            out += _lines(error, str(key), indent + "  ")
        else:
            out.append(f"{indent}{where}: {error}")
    return out
