"""What the plugins that send log entries have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
import msgspec
from twisted.logger import Logger

from kongtx.pdk.kong import Kong
from kongtx.pdk.node import Node
from kongtx.plugins.base import Plugin
from kongtx.plugins.custom_fields import CustomFieldError, Read, compile_field
from kongtx.plugins.queue import Queues
from kongtx.schema import ABSENT

_encode = msgspec.json.Encoder(enc_hook=str).encode


@attrs.frozen
class LogSettings:
    """A configuration, compiled.

    @ivar fields: the custom fields that it adds to entries.
    @ivar sending: what L{LogPlugin.prepare_sending} made of it.
    """

    config: Mapping[str, Any]
    fields: Mapping[str, Read]
    sending: Any


class LogPlugin(Plugin):
    """A plugin that makes an entry of each request and sends it: a subclass has L{send}."""

    _log = Logger()

    def prepare(self, config: Mapping[str, Any]) -> LogSettings:
        """Compile the custom fields; one that cannot be is logged and left out."""
        fields: dict[str, Read] = {}
        for name, body in (config.get("custom_fields_by_lua") or {}).items():
            try:
                fields[name] = compile_field(body)
            except CustomFieldError as error:
                self._log.error(
                    "plugin {plugin}: custom field {name}: {error}",
                    plugin=self.name,
                    name=name,
                    error=str(error),
                )
        whole = self._whole(config)
        return LogSettings(whole, fields, self.prepare_sending(whole))

    def prepare_sending(self, config: Mapping[str, Any]) -> Any:
        """The configuration as it is; override to compute what L{send} needs only once."""
        return config

    def _whole(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """The configuration with defaults in place of nulls, which the schema allows."""
        record = self.subschema.fields["config"].record
        assert record is not None
        whole = dict(config)
        for name, field in record.fields.items():
            if whole.get(name) is None and field.default() is not ABSENT:
                whole[name] = field.default()
        return whole

    def log(self, settings: LogSettings, kong: Kong) -> None:
        """Send the request's entry."""
        for name, read in settings.fields.items():
            kong.log.set_serialize_value(name, read(kong))
        self.send(kong.log.serialize(), settings.sending, kong)

    def send(self, entry: Mapping[str, Any], config: Any, kong: Kong) -> None:
        """Send an entry; never waits, and never fails because of who receives it.

        @param config: of L{prepare_sending}.
        """
        raise NotImplementedError


def to_json(entry: Mapping[str, Any]) -> bytes:
    """An entry as JSON."""
    return _encode(entry)


def queues_of(node: Node) -> Queues:
    """The batch queues of a worker; sent out when it stops."""
    queues: Queues | None = node.shared.get(Queues)
    if queues is None:
        queues = node.shared[Queues] = Queues(node.clock)
        node.closing.append(queues.close)
    return queues
