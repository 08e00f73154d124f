"""The declarative configuration of a node without database. Kong: C{kong/api/routes/config.lua}."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from kongtx.admin.answers import Answer, abort, message
from kongtx.admin.call import Call
from kongtx.admin.interfaces import IDeclarativeLoader
from kongtx.admin.routing import Endpoint
from kongtx.db.declarative import DeclarativeError
from kongtx.db.errors import ConfigurationTooLargeError

_FLAGS = ("check_hash", "flatten_errors")


class ConfigEndpoint:
    """C{/config}.

    @param loader: L{None} when there is a database.
    """

    def __init__(self, loader: IDeclarativeLoader | None) -> None:
        self._loader = loader
        self._loading = False

    def endpoints(self) -> Iterator[Endpoint]:
        """C{/config}."""
        yield Endpoint("/config", {"GET": self.show, "POST": self.replace}, yaml=True)

    async def show(self, call: Call) -> Answer:
        """C{GET /config}."""
        return Answer(200, {"config": await self._needed().export()})

    async def replace(self, call: Call) -> Answer:
        """C{POST /config}."""
        loader = self._needed()
        fields = call.body.plain()
        flags = {name: fields.pop(name, call.first(name)) for name in _FLAGS}
        document = _document(fields, call.body.raw)
        if self._loading:
            return message(429, "Currently loading previous configuration", **{"Retry-After": "1"})
        self._loading = True
        try:
            unless = await loader.digest() if str(flags["check_hash"]) == "1" else None
            entities = await loader.load(document, unless)
        except DeclarativeError as error:
            return Answer(400, error.to_dict(flattened=_is_true(flags["flatten_errors"])))
        except ConfigurationTooLargeError as error:
            raise abort(413, error.message) from None
        finally:
            self._loading = False
        return Answer(304) if entities is None else Answer(201, entities)

    def _needed(self) -> IDeclarativeLoader:
        if self._loader is None:
            raise abort(
                400,
                "this endpoint is only available when Kong is configured to not use a database",
            )
        return self._loader


def _document(fields: Mapping[str, Any], raw: bytes) -> str | Mapping[str, Any]:
    """What is to be loaded: the body itself, the text in its field C{config}, or its text."""
    if fields.get("_format_version"):
        return fields
    config = fields.get("config")
    if isinstance(config, str) and config:
        return config
    if config is not None:
        raise abort(400, "expected a declarative configuration")
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        raise abort(400, "expected a declarative configuration in UTF-8") from None
    if not text:
        raise abort(400, "expected a declarative configuration")
    return text


def _is_true(value: Any) -> bool:
    return value is True or str(value).lower() in ("true", "1", "on", "yes")
