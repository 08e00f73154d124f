"""The schemas that a configuration makes."""

from __future__ import annotations

import pytest

from kongtx.cli import declarative
from kongtx.conf import from_values
from kongtx.plugins import discovery
from kongtx.plugins.base import Plugin
from kongtx.runtime.node.schemas import make_registry
from kongtx.schema.fields import record, string
from kongtx.schema.schema import Subschema


class Session(Plugin):
    """A plugin of one's own, called as one of Kong's that kongtx does not have."""

    name = "session"
    priority = 1
    subschema = Subschema({"config": record({"cookie": string(default="mine")})})


@pytest.fixture
def conf(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(discovery._Others, "find", lambda self, name: Session())
    return from_values({"plugins": "key-auth,session"})


def test_a_plugin_of_ones_own_keeps_its_schema_though_kong_has_one_of_that_name(conf) -> None:
    made = make_registry(conf, discovery.load(conf.plugins))
    assert made["plugins"].subschemas["session"] is Session.subschema


def test_the_command_line_reads_documents_by_the_same_schemas(conf) -> None:
    made = declarative.registry(conf)
    assert made["plugins"].subschemas["session"] is Session.subschema
    assert sorted(made["plugins"].subschemas) == ["key-auth", "session"]
