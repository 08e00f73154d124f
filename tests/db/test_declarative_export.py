"""What is exported can be read again, and is the same then."""

from __future__ import annotations

import resource
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kongtx.db.declarative import (
    Configuration,
    DeclarativeFormat,
    export_document,
    export_yaml,
    exported_entities,
    transformed,
)
from kongtx.lib.ids import new_secret, uuid4
from kongtx.plugins.schemas import full_registry
from kongtx.schema import Context
from tests.pki import certificate_pem, private_pem

REGISTRY = full_registry()
FORMAT = DeclarativeFormat(REGISTRY)
CONTEXT = Context(now=1700000000.25, new_id=uuid4, new_secret=new_secret)

text = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=12
)
names = st.text("abcdefé~.-_", min_size=1, max_size=8)
hosts = st.sampled_from(["a.example.com", "10.0.0.1", "b_c"])
tags = st.none() | st.lists(st.sampled_from(["a", "b c", "é", "2020-01-01", "1e3"]), max_size=3)


def optional(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=fields)


def entity(
    required: dict[str, st.SearchStrategy[Any]], **more: st.SearchStrategy[Any]
) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(required, optional={**more, "tags": tags})


plugins = st.lists(
    st.one_of(
        entity({"name": st.just("cors")}, config=optional(max_age=st.integers(0, 10))),
        entity(
            {"name": st.just("rate-limiting")},
            config=st.fixed_dictionaries(
                {"minute": st.integers(1, 9) | st.floats(0.5, 9)},
                optional={"redis_host": hosts, "redis_port": st.integers(1, 9)},
            ),
        ).filter(lambda plugin: "config" in plugin),
        entity({"name": st.just("request-transformer")}, enabled=st.booleans()),
    ),
    max_size=2,
    unique_by=lambda plugin: plugin["name"],
)
routes = st.lists(
    entity(
        {"paths": st.lists(st.sampled_from(["/a", "/é", "~/x(y)"]), min_size=1, max_size=2)},
        hosts=st.none() | st.lists(st.sampled_from(["*.a.com", "b.com"]), max_size=2),
        headers=st.dictionaries(
            st.sampled_from(["x-a", "x-b"]), st.lists(text, max_size=2), max_size=2
        ),
        regex_priority=st.integers(-5, 5),
        plugins=plugins,
    ),
    max_size=2,
)
services = st.lists(
    entity(
        {"name": names, "host": hosts},
        retries=st.none() | st.integers(0, 9),
        path=st.none() | st.just("/p"),
        routes=routes,
        plugins=plugins,
    ),
    max_size=3,
    unique_by=lambda service: service["name"],
)
consumers = st.lists(
    entity(
        {"username": text},
        custom_id=st.none() | st.uuids().map(str),
        keyauth_credentials=st.lists(entity({}, ttl=st.integers(1, 2**31)), max_size=2),
        basicauth_credentials=st.lists(
            entity({"username": st.uuids().map(str), "password": text}), max_size=1
        ),
        acls=st.lists(entity({"group": text}), max_size=2, unique_by=lambda acl: acl["group"]),
        oauth2_credentials=st.lists(
            entity({"name": text}, redirect_uris=st.just(["https://a.com/x"])), max_size=1
        ),
    ),
    max_size=3,
    unique_by=lambda consumer: consumer["username"],
)
upstreams = st.lists(
    entity(
        {"name": st.sampled_from(["u1", "u2", "u3"])},
        hash_on=st.sampled_from(["none", "ip", "consumer"]),
        algorithm=st.sampled_from(["latency", "round-robin"]),
        healthchecks=optional(threshold=st.floats(0, 100)),
        targets=st.lists(
            entity({"target": st.sampled_from(["1.2.3.4", "host:80", "[::1]:1"])}),
            max_size=2,
            unique_by=lambda target: target["target"],
        ),
    ),
    max_size=2,
    unique_by=lambda upstream: upstream["name"],
)
documents = st.fixed_dictionaries(
    {
        "_format_version": st.just("3.0"),
        "services": services,
        "consumers": consumers,
        "upstreams": upstreams,
    }
)


def stored(configuration: Configuration) -> dict[str, list[dict[str, Any]]]:
    out: dict[str, list[dict[str, Any]]] = {}
    for name, row in transformed(configuration, REGISTRY):
        out.setdefault(name, []).append(row)
    return out


def as_yaml(rows: dict[str, list[dict[str, Any]]]) -> str:
    chunks: list[str] = []
    export_yaml(rows, REGISTRY, chunks.append)
    return "".join(chunks)


@settings(max_examples=60)
@given(documents)
def test_an_export_that_is_imported_is_exported_the_same(document: dict[str, Any]) -> None:
    first = stored(FORMAT.parse(document, CONTEXT))
    exported = as_yaml(first)
    again = stored(FORMAT.parse_text(exported, CONTEXT))
    assert again == first
    assert as_yaml(again) == exported
    assert stored(FORMAT.parse(export_document(first, REGISTRY), CONTEXT)) == first


def test_an_export_has_all_fields_and_ids_for_foreign_keys() -> None:
    configuration = FORMAT.parse(
        {
            "_format_version": "3.0",
            "certificates": [
                {"cert": certificate_pem(), "key": private_pem(), "snis": [{"name": "a.com"}]}
            ],
            "consumers": [{"username": "bob", "acls": [{"group": "no"}]}],
        },
        CONTEXT,
    )
    rows = stored(configuration)
    document = export_document(rows, REGISTRY)
    assert list(document) == [
        "_format_version",
        "_transform",
        "certificates",
        "consumers",
        "snis",
        "acls",
    ]
    consumer = rows["consumers"][0]["id"]
    acl = rows["acls"][0]["id"]
    assert as_yaml({"consumers": rows["consumers"], "acls": rows["acls"]}) == (
        "_format_version: '3.0'\n"
        "_transform: false\n"
        "consumers:\n"
        f"- created_at: 1700000000\n"
        "  custom_id: null\n"
        f"  id: {consumer}\n"
        "  tags: null\n"
        "  updated_at: 1700000000\n"
        "  username: bob\n"
        "acls:\n"
        f"- consumer: {consumer}\n"
        "  created_at: 1700000000\n"
        "  group: 'no'\n"
        f"  id: {acl}\n"
        "  tags: null\n"
    )


def test_what_belongs_to_the_node_is_not_exported() -> None:
    names = exported_entities(REGISTRY)
    for hidden in (
        "workspaces",
        "tags",
        "clustering_data_planes",
        "sessions",
        "oauth2_authorization_codes",
        "ratelimiting_metrics",
    ):
        assert hidden not in names
    assert names.index("services") < names.index("routes") < names.index("plugins")


def large(count: int) -> str:
    """YAML with ``count`` entities, half services and half routes."""
    lines = ["_format_version: '3.0'", "services:"]
    for n in range(count // 2):
        lines += [
            f"- name: service-{n}",
            f"  host: host{n}.example.com",
            "  port: 8080",
            "  tags: [team-a, production]",
            "  routes:",
            f"  - name: route-{n}",
            f"    paths: [/api/{n}]",
            f"    hosts: [a{n}.example.com]",
            "    methods: [GET, POST]",
        ]
    return "\n".join(lines) + "\n"


@pytest.mark.long
def test_fifty_thousand_entities_load_in_time_and_memory() -> None:
    document = large(50_000)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.process_time()
    configuration = FORMAT.parse_text(document, CONTEXT)
    took = time.process_time() - started
    used = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory) / 1024
    assert len(configuration.entities["routes"]) == 25_000
    assert took < 20
    assert used < 500
