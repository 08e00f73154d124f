"""Declarative configuration: reading, checking, flattening and writing it. Pure."""

from kongtx.db.declarative.errors import DeclarativeError
from kongtx.db.declarative.export import (
    export_document,
    export_yaml,
    exported,
    exported_entities,
    yaml_chunks,
)
from kongtx.db.declarative.parser import (
    Configuration,
    DeclarativeFormat,
    Progress,
    transformed,
)
from kongtx.db.declarative.reading import content_hash, read

__all__ = [
    "Configuration",
    "DeclarativeError",
    "DeclarativeFormat",
    "Progress",
    "content_hash",
    "export_document",
    "export_yaml",
    "exported",
    "exported_entities",
    "read",
    "transformed",
    "yaml_chunks",
]
