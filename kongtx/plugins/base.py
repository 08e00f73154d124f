"""The usual way to write a plugin: a subclass with its facts and its phase methods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from zope.interface import implementer

from kongtx._version import __version__
from kongtx.plugins.interfaces import IPlugin
from kongtx.schema.schema import Schema, Subschema


@implementer(IPlugin)
class Plugin:
    """A plugin without phases; add those you need.

    ::

        class Hello(Plugin):
            name = "hello"
            priority = 500
            subschema = Subschema({"config": record({"greeting": string(default="Hello")})})

            def header_filter(self, config, kong):
                kong.response.set_header("X-Greeting", config["greeting"])
    """

    name: ClassVar[str]
    version: ClassVar[str] = __version__
    priority: ClassVar[int]
    subschema: ClassVar[Subschema]
    entities: ClassVar[Sequence[Schema]] = ()

    def prepare(self, config: Mapping[str, Any]) -> Any:
        """The configuration as it is; override to compute what does not depend on a request."""
        return config
