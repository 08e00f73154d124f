"""Whatever changes are sent, the entity stays good or they are refused."""

from __future__ import annotations

import contextlib
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from kongtx.plugins.schemas import full_registry
from kongtx.schema import Context, SchemaViolation
from kongtx.schema.forms import decode, infer
from tests.pki import certificate_pem, private_pem

ID = "9748f662-7711-4a90-8186-dc02f10eb0f5"
CONTEXT = Context(now=1700000000.0, new_id=lambda: ID, new_secret=lambda: "s" * 32)
REGISTRY = full_registry()
LEAST: dict[str, dict[str, Any]] = {
    "services": {"host": "h"},
    "routes": {"paths": ["/"]},
    "consumers": {"username": "u"},
    "plugins": {"name": "rate-limiting", "config": {"minute": 1}},
    "upstreams": {"name": "u"},
    "targets": {"target": "h", "upstream": {"id": ID}},
    "certificates": {"cert": certificate_pem(), "key": private_pem()},
    "snis": {"name": "a.com", "certificate": {"id": ID}},
    "vaults": {"name": "env", "prefix": "my"},
    "keys": {"kid": "k", "pem": {"private_key": private_pem()}},
    "key_sets": {"name": "k"},
    "keyauth_credentials": {"consumer": {"id": ID}},
    "basicauth_credentials": {"username": "u", "password": "p", "consumer": {"id": ID}},
    "jwt_secrets": {"consumer": {"id": ID}},
    "acls": {"group": "g", "consumer": {"id": ID}},
}
STORED = {name: REGISTRY[name].process_insert(data, CONTEXT) for name, data in LEAST.items()}

scalars = st.none() | st.booleans() | st.integers(-2, 70000) | st.text(max_size=3)
likely = st.sampled_from(
    [
        *("http", "https", "tcp", "ip", "none", "header", "h.com", "/p", ID, "cors"),
        *({"id": ID}, {"minute": 2}, {"redis": {"host": "r"}}, {"redis": None}),
        *({"active": {"timeout": 5}}, {}, ["GET"]),
    ]
)
values = scalars | likely | st.lists(scalars | likely, max_size=2)


@settings(max_examples=200)
@given(st.data())
def test_changes_are_made_whole_or_refused(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(STORED)))
    schema, stored = REGISTRY[name], STORED[name]
    names = st.sampled_from([*schema.fields, *schema.shorthand_fields])
    changes = data.draw(st.dictionaries(names, values, max_size=4))
    before = repr(stored)
    with contextlib.suppress(SchemaViolation):
        changed = schema.process_update(changes, schema.read(stored), CONTEXT)
        assert schema.validate(changed) == {}
        assert [field for field in changed if field != "ttl"] == list(schema.fields)
        assert schema.process_update({}, changed, CONTEXT) == changed
        shown = schema.read(changed)
        assert schema.hide_shorthands(shown) == {**changed, **_ttl(shown)}
    assert repr(stored) == before


def _ttl(shown: dict[str, Any]) -> dict[str, Any]:
    return {"ttl": shown["ttl"]} if "ttl" in shown else {}


arguments = st.dictionaries(
    st.text("abc.[]12", min_size=1, max_size=8)
    | st.sampled_from(["config.minute", "paths[]", "headers[x]", "healthchecks.active.timeout"]),
    st.text(max_size=3) | st.lists(st.text("1at", max_size=3), max_size=3) | st.just(True),
    max_size=4,
)


@settings(max_examples=60)
@given(st.sampled_from(sorted(STORED)), arguments)
def test_any_form_makes_an_entity_or_is_refused(name: str, form: dict[str, Any]) -> None:
    schema = REGISTRY[name]
    sent = infer(decode(form), schema, STORED[name])
    with contextlib.suppress(SchemaViolation):
        assert schema.validate(schema.process_update(sent, STORED[name], CONTEXT)) == {}
