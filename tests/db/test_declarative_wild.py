"""Whatever a document holds, it is read or refused, never anything else."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kongtx.db.declarative import DeclarativeError, DeclarativeFormat, read
from kongtx.lib.ids import new_secret, uuid4
from kongtx.plugins.schemas import full_registry
from kongtx.schema import Context

T = TypeVar("T")
REGISTRY = full_registry()
FORMAT = DeclarativeFormat(REGISTRY)
CONTEXT = Context(now=1700000000.0, new_id=uuid4, new_secret=new_secret)
ID = "9748f662-7711-4a90-8186-dc02f10eb0f5"

texts = st.text(st.characters(), max_size=3)
keys = texts | st.just("@entity") | st.integers() | st.booleans()
wild: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts | st.just(ID),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(keys, inner, max_size=2),
    max_leaves=4,
)
NAMES = sorted({field for schema in REGISTRY.values() for field in schema.fields})
likely = st.sampled_from(
    ["a", "b", "h.com", "/", ID, "{vault://env/x}", "http", "cors", "env", ["https"], ["/"], {}, 1]
)
items = st.deferred(lambda: st.dictionaries(st.sampled_from(NAMES), wild | likely, max_size=5))
nested = st.dictionaries(
    st.sampled_from([*NAMES, *REGISTRY, "_comment", "_ignore"]),
    wild | likely | st.lists(items, max_size=2),
    max_size=5,
)
documents = st.dictionaries(
    st.sampled_from([*REGISTRY, "_transform", "_comment", "x", "updated_at"]) | keys,
    wild | st.lists(nested | wild, max_size=3),
    max_size=4,
)


def outcome(call: Callable[[], T]) -> T | DeclarativeError:
    try:
        return call()
    except DeclarativeError as error:
        return error


@settings(max_examples=300)
@given(documents, st.sampled_from(["1.1", "3.0"]))
def test_a_wild_document_is_read_or_refused(document: dict[Any, Any], version: str) -> None:
    read_or_refused = outcome(
        lambda: FORMAT.parse({**document, "_format_version": version}, CONTEXT)
    )
    if isinstance(read_or_refused, DeclarativeError):
        assert read_or_refused.fields
        assert read_or_refused.tree()
        for flattened in (False, True):
            body = read_or_refused.to_dict(flattened=flattened)
            assert body["message"].startswith("declarative config is invalid: {")
            json.dumps(body)
    else:
        for name, rows in read_or_refused.entities.items():
            for row in rows.values():
                assert REGISTRY[name].validate(row) == {}


@given(st.text(max_size=60) | st.text("{}[]:-\n &*a'\"!<", max_size=40))
def test_a_wild_text_is_read_or_refused(text: str) -> None:
    found = outcome(lambda: read(text))
    assert isinstance(found, dict) or list(found.fields) == ["error"]


@given(st.binary(max_size=40))
def test_wild_bytes_are_read_or_refused(data: bytes) -> None:
    found = outcome(lambda: read(data, "x.yaml"))
    assert isinstance(found, dict) or list(found.fields) == ["error"]


@pytest.mark.parametrize(
    "document",
    [
        {"services": [{"name": {}, "host": "h"}]},
        {"plugins": [{"name": ["cors"]}]},
        {"routes": [{"protocols": [["http"]], "paths": ["/"]}]},
        {"routes": [{"protocols": [], "paths": ["/"]}]},
        {"targets": [{"target": 5, "upstream": {"name": 5}}]},
        {"consumers": [{"username": "x", "id": 5}]},
        {"consumers": [{"username": "x", "acls": [{"group": None}]}]},
        {"certificates": [{"cert": 5, "key": []}]},
        {"services": [{"host": "h", "client_certificate": {"cert": "x"}}]},
        {"ratelimiting_metrics": [{}]},
    ],
)
def test_wrong_types_in_keys_are_refused(document: dict[str, Any]) -> None:
    with pytest.raises(DeclarativeError):
        FORMAT.parse({"_format_version": "3.0", **document}, CONTEXT)
