"""Documents become flat entities, or every error in them."""

from __future__ import annotations

from typing import Any

import pytest

from kongtx.db.declarative import (
    Configuration,
    DeclarativeError,
    DeclarativeFormat,
    content_hash,
    transformed,
)
from kongtx.db.interfaces import EMPTY_DIGEST
from kongtx.entities import DEFAULT_WORKSPACE
from kongtx.lib.ids import new_secret, uuid4
from kongtx.plugins.schemas import full_registry
from kongtx.schema import Context
from tests.pki import certificate_pem, private_pem

REGISTRY = full_registry()
FORMAT = DeclarativeFormat(REGISTRY)
CONTEXT = Context(now=1700000000.0, new_id=uuid4, new_secret=new_secret)
ID = "9748f662-7711-4a90-8186-dc02f10eb0f5"
SERVICE = "0855b320-0dd2-547d-891d-601e9b38647f"


def load(document: dict[str, Any]) -> Configuration:
    return FORMAT.parse({"_format_version": "3.0", **document}, CONTEXT)


def load_text(text: str) -> Configuration:
    return FORMAT.parse_text(text, CONTEXT)


def errors(document: dict[str, Any]) -> Any:
    with pytest.raises(DeclarativeError) as caught:
        load(document)
    return caught.value.fields


def only(configuration: Configuration, entity: str) -> dict[str, Any]:
    (row,) = configuration.entities[entity].values()
    return row


# -- ids


@pytest.mark.parametrize(
    ("document", "entity", "expected"),
    [
        ({"services": [{"name": "my-service", "host": "h"}]}, "services", SERVICE),
        (
            {"routes": [{"name": "my-route", "paths": ["/"]}]},
            "routes",
            "481a9539-f49c-51b6-b2e2-fe99ee68866c",
        ),
        (
            {"consumers": [{"username": "my-user"}]},
            "consumers",
            "4b1b701d-de2b-5588-9aa2-3b97061d9f52",
        ),
        (
            {"services": [{"name": "foo", "host": "h"}]},
            "services",
            "2933fbcc-9d7c-54a7-a984-fe2bde836cea",
        ),
        (
            {"plugins": [{"name": "key-auth"}]},
            "plugins",
            "6b4f38d1-e026-540b-a5ea-8634739dd2a7",
        ),
        (
            {"services": [{"name": "my-service", "host": "h", "plugins": [{"name": "key-auth"}]}]},
            "plugins",
            "4a4d9361-8cf7-5304-acb5-d4e8f72ac40b",
        ),
        (
            {"upstreams": [{"name": "up1"}]},
            "upstreams",
            "85b92587-e1f9-522f-9495-6e2d3b1f379e",
        ),
        (
            {"upstreams": [{"name": "up1", "targets": [{"target": "1.2.3.4:80"}]}]},
            "targets",
            "5cb310ee-e29a-5fbb-823a-3f988236d91b",
        ),
        ({"services": [{"id": ID, "name": "my-service", "host": "h"}]}, "services", ID),
    ],
)
def test_an_id_follows_from_what_names_the_entity(
    document: dict[str, Any], entity: str, expected: str
) -> None:
    row = only(load(document), entity)
    assert row["id"] == expected
    assert list(load(document).entities[entity]) == [expected]


@pytest.mark.parametrize(
    ("document", "entity"),
    [
        ({"routes": [{"paths": ["/"]}]}, "routes"),
        ({"consumers": [{"username": "u", "keyauth_credentials": [{"key": "k"}]}]}, None),
        ({"consumers": [{"custom_id": "c"}]}, "consumers"),
        ({"routes": [{"paths": ["/"], "plugins": [{"name": "key-auth"}]}]}, "plugins"),
    ],
)
def test_an_entity_without_lasting_name_gets_a_new_id_at_each_load(
    document: dict[str, Any], entity: str | None
) -> None:
    name = entity or "keyauth_credentials"
    assert only(load(document), name)["id"] != only(load(document), name)["id"]


# -- flattening


def test_nested_entities_are_flattened_and_completed() -> None:
    configuration = load(
        {
            "_comment": "hello",
            "_ignore": [{"anything": 1}],
            "services": [
                {
                    "name": "my-service",
                    "url": "https://example.com/base",
                    "_comment": "a service",
                    "_ignore": ["x"],
                    "routes": [
                        {"name": "r", "paths": ["/r"], "plugins": [{"name": "cors"}]},
                    ],
                }
            ],
            "consumers": [{"username": "bob", "acls": [{"group": "a"}]}],
        }
    )
    assert list(configuration.entities) == [
        "workspaces",
        "consumers",
        "services",
        "routes",
        "plugins",
        "acls",
    ]
    service = only(configuration, "services")
    assert service == {
        "id": SERVICE,
        "created_at": 1700000000,
        "updated_at": 1700000000,
        "name": "my-service",
        "retries": 5,
        "protocol": "https",
        "host": "example.com",
        "port": 443,
        "path": "/base",
        "connect_timeout": 60000,
        "write_timeout": 60000,
        "read_timeout": 60000,
        "tags": None,
        "client_certificate": None,
        "tls_verify": None,
        "tls_verify_depth": None,
        "ca_certificates": None,
        "enabled": True,
    }
    route = only(configuration, "routes")
    assert (route["service"], route["strip_path"]) == ({"id": SERVICE}, True)
    plugin = only(configuration, "plugins")
    assert plugin["route"] == {"id": route["id"]}
    assert plugin["service"] is None
    assert plugin["config"]["preflight_continue"] is False
    assert only(configuration, "acls")["consumer"] == {"id": only(configuration, "consumers")["id"]}


@pytest.mark.parametrize("reference", ["my-service", SERVICE, {"id": SERVICE}])
def test_top_level_entities_refer_by_name_or_id(reference: Any) -> None:
    configuration = load(
        {
            "services": [{"name": "my-service", "host": "h"}],
            "routes": [{"name": "r", "paths": ["/"], "service": reference}],
        }
    )
    assert only(configuration, "routes")["service"] == {"id": SERVICE}


@pytest.mark.parametrize("reference", [ID.upper(), ID, {"id": ID.upper()}])
def test_an_id_is_the_same_in_either_case(reference: Any) -> None:
    services = [{"id": ID.upper(), "host": "h"}]
    configuration = load({"services": services, "routes": [{"paths": ["/"], "service": reference}]})
    assert only(configuration, "routes")["service"] == {"id": ID}
    (wrong,) = errors(
        {"services": services, "routes": [{"paths": ["/", "x"], "service": reference}]}
    )["routes"]
    assert list(wrong) == ["paths"]
    again = {"id": ID, "host": "h"}
    (entry,) = flattened({"services": [{**services[0], "name": "s"}, {**again, "name": "t"}]})
    assert entry["entity"]["name"] == "t"


def test_certificates_have_their_snis_as_objects() -> None:
    cert, key = certificate_pem(), private_pem()
    configuration = load(
        {"certificates": [{"id": ID, "cert": cert, "key": key, "snis": [{"name": "a.com"}]}]}
    )
    assert only(configuration, "snis")["certificate"] == {"id": ID}
    assert "snis" not in only(configuration, "certificates")


def test_a_nested_entity_may_name_its_own_parent_again() -> None:
    configuration = load(
        {
            "services": [
                {
                    "name": "my-service",
                    "host": "h",
                    "plugins": [{"name": "cors", "service": "my-service"}],
                }
            ]
        }
    )
    assert only(configuration, "plugins")["service"] == {"id": SERVICE}


def test_a_nested_entity_may_refer_to_other_entities_of_the_file() -> None:
    document = {
        "services": [
            {
                "name": "my-service",
                "host": "h",
                "plugins": [{"name": "rate-limiting", "config": {"minute": 1}, "consumer": "bob"}],
            }
        ],
        "consumers": [{"username": "bob"}],
    }
    plugin = only(load(document), "plugins")
    assert plugin["service"] == {"id": SERVICE}
    assert plugin["consumer"] == {"id": only(load(document), "consumers")["id"]}
    del document["consumers"]
    assert errors(document) == {"services": [{"plugins": [{"consumer": "value must be null"}]}]}


def test_the_default_workspace_is_added_when_there_is_none() -> None:
    assert only(load({}), "workspaces")["id"] == DEFAULT_WORKSPACE
    given = load({"workspaces": [{"id": ID, "name": "default"}]})
    assert list(given.entities["workspaces"]) == [ID]
    bare = FORMAT.parse({"_format_version": "3.0"}, CONTEXT, default_workspace=False)
    assert bare.entities == {}


def test_old_formats_turn_paths_into_regular_expressions() -> None:
    for version in ("1.1", "2.1"):
        configuration = FORMAT.parse(
            {
                "_format_version": version,
                "routes": [{"paths": ["/a/./b", "/%61", "/[a]$", "/(%7B|%61|%2f)"]}],
                "services": [{"host": "h", "routes": [{"paths": ["/x*"]}]}],
            },
            CONTEXT,
        )
        routes = [route["paths"] for route in configuration.entities["routes"].values()]
        assert routes == [["~/x*"], ["/a/b", "/a", "~/[a]$", r"~/(\{|a|%2F)"]]


def test_passwords_are_hashed_unless_told_otherwise() -> None:
    document = {
        "consumers": [
            {
                "id": ID,
                "username": "u",
                "basicauth_credentials": [{"username": "u", "password": "p"}],
            }
        ]
    }
    hashed = dict(transformed(load(document), REGISTRY))["basicauth_credentials"]
    assert (
        hashed["password"] == "0b9bf0c0b3cb7ec42b4b9bf9d2a6c1c1a0de6a8f"
        or len(hashed["password"]) == 40
    )
    plain = dict(transformed(load({"_transform": False, **document}), REGISTRY))
    assert plain["basicauth_credentials"]["password"] == "p"


def test_a_time_to_live_is_kept_as_it_is() -> None:
    configuration = load(
        {"consumers": [{"username": "u", "keyauth_credentials": [{"key": "k", "ttl": 1800000000}]}]}
    )
    assert only(configuration, "keyauth_credentials")["ttl"] == 1800000000
    assert errors({"services": [{"host": "h", "ttl": 1}]}) == {
        "services": [{"ttl": "unknown field"}]
    }


# -- errors


@pytest.mark.parametrize(
    ("version", "error"),
    [
        (1.1, "expected a string"),
        ("4.0", "expected one of: 1.1, 2.1, 3.0"),
        (None, "required field missing"),
    ],
)
def test_the_format_version_is_checked(version: Any, error: str) -> None:
    with pytest.raises(DeclarativeError) as caught:
        FORMAT.parse({"_format_version": version}, CONTEXT)
    assert caught.value.fields == {"_format_version": error}


def test_every_error_is_reported_where_it_is() -> None:
    assert errors(
        {
            "_transform": "yes",
            "abnormal": True,
            "tags": [],
            "updated_at": 1,
            "consumers": {"username": "u"},
            "services": [
                {"name": "good", "host": "h"},
                {"name": "bad", "port": 70000, "routes": [{}, {"paths": ["x"]}]},
                "text",
            ],
            "plugins": [{"name": "nope", "x": 1}],
            "upstreams": [{"name": "u", "targets": [{"weight": 1}]}],
        }
    ) == {
        "_transform": "expected a boolean",
        "abnormal": "unknown field",
        "tags": "unknown field",
        "updated_at": "unknown field",
        "consumers": "expected an array",
        "services": [
            None,
            {
                "host": "required field missing",
                "port": "value should be between 0 and 65535",
                "routes": [
                    {
                        "@entity": [
                            "must set one of 'methods', 'hosts', 'headers', 'paths', 'snis' "
                            "when 'protocols' is 'https'"
                        ]
                    },
                    {"paths": ["should start with: / (fixed path) or ~/ (regex path)"]},
                ],
            },
            "expected a record",
        ],
        "plugins": [
            {"name": "plugin 'nope' not enabled; add it to the 'plugins' configuration property"}
        ],
        "upstreams": [{"targets": [{"target": "required field missing"}]}],
    }


def test_the_answer_has_the_errors_as_a_lua_table() -> None:
    with pytest.raises(DeclarativeError) as caught:
        load({"services": [{"port": 70000}]})
    assert caught.value.to_dict() == {
        "code": 14,
        "name": "invalid declarative configuration",
        "message": 'declarative config is invalid: {services={{host="required field missing",'
        'port="value should be between 0 and 65535"}}}',
        "fields": {
            "services": [
                {
                    "host": "required field missing",
                    "port": "value should be between 0 and 65535",
                }
            ]
        },
    }


def test_the_terminal_gets_a_tree() -> None:
    with pytest.raises(DeclarativeError) as caught:
        load({"services": [{"host": "h"}, {"host": "h", "protocol": "x"}]})
    assert caught.value.tree() == (
        "in 'services':\n"
        "  - in entry 2 of 'services':\n"
        "    in 'protocol': expected one of: grpc, grpcs, http, https, tcp, tls, "
        "tls_passthrough, udp"
    )


def test_references_to_nothing_are_reported_by_name() -> None:
    assert errors(
        {
            "routes": [
                {"name": "r", "paths": ["/"], "service": "foo"},
                {"id": ID, "paths": ["/"], "service": "bar"},
            ],
        }
    ) == {
        "routes": {
            "r": ["invalid reference 'service: foo' (no such entry in 'services')"],
            ID: ["invalid reference 'service: bar' (no such entry in 'services')"],
        }
    }


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (
            {"services": [{"name": "foo", "host": "a"}, {"name": "foo", "host": "b"}]},
            {
                "services": [
                    None,
                    "uniqueness violation: 'services' entity with name set to 'foo' "
                    "already declared",
                ]
            },
        ),
        (
            {"services": [{"id": ID, "host": "a"}, {"id": ID, "host": "b"}]},
            {
                "services": [
                    None,
                    f"uniqueness violation: 'services' entity with primary key set to '{ID}' "
                    "already declared",
                ]
            },
        ),
        (
            {
                "consumers": [
                    {"username": "a", "custom_id": "x"},
                    {"username": "b", "custom_id": "x"},
                ]
            },
            {
                "consumers": {
                    "b": "uniqueness violation: 'consumers' entity with custom_id set to 'x' "
                    "already declared"
                }
            },
        ),
        (
            {"plugins": [{"name": "cors"}, {"name": "cors"}]},
            {
                "plugins": [
                    None,
                    "uniqueness violation: 'plugins' entity with primary key set to "
                    "'48ee727e-8b90-5faa-bda1-a3c6bc3c9daa' already declared",
                ]
            },
        ),
        (
            {"upstreams": [{"name": "u", "targets": [{"target": "a"}, {"target": "a"}]}]},
            {
                "upstreams": [
                    {
                        "targets": [
                            None,
                            "uniqueness violation: 'targets' entity with primary key set to "
                            "'8898aa9f-e4e7-50b3-82b0-ac5a97ffc340' already declared",
                        ]
                    }
                ]
            },
        ),
    ],
)
def test_what_must_be_unique_is(document: dict[str, Any], expected: Any) -> None:
    assert errors(document) == expected


def test_errors_can_be_listed_by_entity() -> None:
    document = {
        "_format_version": "3.0",
        "abnormal": 1,
        "services": [
            {
                "id": ID,
                "name": "s",
                "tags": ["t"],
                "host": "h",
                "protocol": "tcp",
                "path": "/p",
                "plugins": [{"name": "http-log", "config": {"http_endpoint": "x"}}],
            }
        ],
        "consumers": [{"username": "u"}, {"username": "u"}],
        "routes": [{"name": "r", "hosts": ["a", "b_-"], "service": "nothing"}],
    }
    with pytest.raises(DeclarativeError) as caught:
        FORMAT.parse(document, CONTEXT)
    body = caught.value.to_dict(flattened=True)
    assert body["fields"] == {"abnormal": "unknown field"}
    assert body["message"] == 'declarative config is invalid: {abnormal="unknown field"}'
    assert sorted(body["flattened_errors"], key=lambda entry: entry["entity_type"]) == [
        {
            "entity_type": "plugin",
            "entity_name": "http-log",
            "entity": {
                "name": "http-log",
                "config": {"http_endpoint": "x"},
                "service": {"id": ID},
            },
            "errors": [
                {
                    "type": "field",
                    "field": "config.http_endpoint",
                    "message": "missing host in url",
                }
            ],
        },
        {
            "entity_type": "route",
            "entity_name": "r",
            "entity": {"name": "r", "hosts": ["a", "b_-"], "service": "nothing"},
            "errors": [
                {"type": "field", "field": "hosts.2", "message": "invalid hostname: b_-"},
                {"type": "field", "field": "service.id", "message": "missing primary key"},
            ],
        },
        {
            "entity_type": "service",
            "entity_id": ID,
            "entity_name": "s",
            "entity_tags": ["t"],
            "entity": {
                "id": ID,
                "name": "s",
                "tags": ["t"],
                "host": "h",
                "protocol": "tcp",
                "path": "/p",
            },
            "errors": [
                {
                    "type": "entity",
                    "message": "failed conditional validation given value of field 'protocol'",
                },
                {"type": "field", "field": "path", "message": "value must be null"},
            ],
        },
    ]


def test_errors_of_whole_entities_are_listed_as_such() -> None:
    with pytest.raises(DeclarativeError) as caught:
        load({"consumers": [{"username": "u"}, {"username": "u"}]})
    (entry,) = caught.value.to_dict(flattened=True)["flattened_errors"]
    assert entry["errors"] == [
        {
            "type": "entity",
            "message": "uniqueness violation: 'consumers' entity with username set to 'u' "
            "already declared",
        }
    ]
    assert caught.value.to_dict(flattened=True)["fields"] == {}


# -- text


def test_yaml_and_json_are_read() -> None:
    text = "_format_version: '3.0'\nservices:\n- name: my-service\n  host: h\n"
    assert list(load_text(text).entities["services"]) == [SERVICE]
    text = '{"_format_version": "3.0", "services": [{"name": "my-service", "host": "h"}]}'
    configuration = load_text(text)
    assert list(configuration.entities["services"]) == [SERVICE]
    assert (
        configuration.hash == content_hash(text) == "09c4f6ea8e2d3b6a4b5bd7f1d5cfa5d6"
        or len(configuration.hash) == 32
    )


def test_the_hash_is_that_of_the_text_and_zeros_without_entities() -> None:
    assert content_hash("abc") == "900150983cd24fb0d6963f7d28e17f72"
    assert load_text("_format_version: '3.0'\n").hash == EMPTY_DIGEST
    document = {"_format_version": "3.0", "services": [{"host": "h"}]}
    hashes = {FORMAT.parse(document, CONTEXT).hash for _ in range(2)}
    assert len(hashes) == 1
    assert hashes != {EMPTY_DIGEST}


def test_progress_is_told() -> None:
    seen: list[tuple[int, int]] = []
    FORMAT.parse(
        {
            "_format_version": "3.0",
            "services": [
                {"name": f"s{n}", "host": "h", "routes": [{"paths": [f"/{n}"]}]}
                for n in range(1500)
            ],
        },
        CONTEXT,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert seen == [(1000, 3000), (2000, 3000), (3000, 3000), (3000, 3000)]


ALL_OR_NONE = "all or none of these fields must be set: 'password', 'consumer.id'"


@pytest.mark.parametrize("owner", [ID, "incorrect"])
def test_a_nested_credential_of_somebody_else_is_refused(owner: str) -> None:
    credential = {"username": "u", "password": "p", "consumer": owner}
    assert errors({"consumers": [{"username": "c", "basicauth_credentials": [credential]}]}) == {
        "consumers": [
            {
                "basicauth_credentials": [
                    {"@entity": [ALL_OR_NONE], "consumer": "value must be null"}
                ]
            }
        ]
    }


@pytest.mark.parametrize("owner", [ID, "incorrect"])
def test_a_credential_of_nobody_is_refused(owner: str) -> None:
    credential = {"username": "u", "password": "p", "consumer": owner}
    assert errors({"consumers": [{"username": "c"}], "basicauth_credentials": [credential]}) == {
        "basicauth_credentials": [
            {"@entity": [ALL_OR_NONE], "consumer": {"id": "missing primary key"}}
        ]
    }


@pytest.mark.parametrize("owner", ["c", "4b1b701d-de2b-5588-9aa2-3b97061d9f52"])
def test_a_credential_may_stand_beside_its_consumer(owner: str) -> None:
    configuration = load(
        {
            "consumers": [{"username": "c", "id": "4b1b701d-de2b-5588-9aa2-3b97061d9f52"}],
            "basicauth_credentials": [{"username": "u", "password": "p", "consumer": owner}],
        }
    )
    assert only(configuration, "basicauth_credentials")["consumer"] == {
        "id": "4b1b701d-de2b-5588-9aa2-3b97061d9f52"
    }


def test_a_reference_to_nothing_is_not_hidden_by_other_entities() -> None:
    assert errors(
        {
            "consumers": [
                {"username": "c", "basicauth_credentials": [{"username": "u", "password": "p"}]}
            ],
            "plugins": [{"name": "cors", "route": "does-not-exist"}],
        }
    ) == {"plugins": [{"route": {"id": "missing primary key"}}]}


def test_a_nested_route_of_another_service_is_refused() -> None:
    assert errors(
        {
            "services": [
                {
                    "name": "s",
                    "host": "h",
                    "routes": [{"name": "r", "service": {"id": ID}, "paths": ["/"]}],
                }
            ]
        }
    ) == {
        "routes": {
            "r": [f"invalid reference 'service: {{\"id\":\"{ID}\"}}' (no such entry in 'services')"]
        }
    }


def test_aliases_make_entities_of_their_own() -> None:
    configuration = load_text(
        "_format_version: '3.0'\n"
        "services:\n"
        "- {name: a, host: h, plugins: [&cors {name: cors}]}\n"
        "- {name: b, host: h, plugins: [*cors]}\n"
    )
    owners = {plugin["service"]["id"] for plugin in configuration.entities["plugins"].values()}
    assert owners == set(configuration.entities["services"])


def test_a_field_may_be_named_as_an_entity() -> None:
    configuration = load({"routes": [{"name": "r", "protocols": ["tls"], "snis": ["a.com"]}]})
    assert only(configuration, "routes")["snis"] == ["a.com"]


def test_what_is_no_entity_in_a_list_is_named() -> None:
    assert errors({"services": [None, 1, []], "upstreams": [{"name": "u", "targets": 5}]}) == {
        "services": ["required field missing", "expected a record", "expected a record"],
        "upstreams": [{"targets": "expected an array"}],
    }


def test_comments_are_checked_too() -> None:
    assert errors({"_comment": 1, "services": [{"host": "h", "_ignore": {}}]}) == {
        "_comment": "expected a string",
        "services": [{"_ignore": "expected an array"}],
    }
    assert errors({"services": [{"host": "h", 5: 1, True: 2}]}) == {
        "services": [{"5": "unknown field", "true": "unknown field"}]
    }


def test_errors_of_shorthands_are_reported_alone() -> None:
    assert errors({"services": [{"url": 1, "port": "x", "plugins": [{"name": "nope"}]}]}) == {
        "services": [
            {
                "url": "expected a string",
                "plugins": [
                    {
                        "name": "plugin 'nope' not enabled; add it to the 'plugins' "
                        "configuration property"
                    }
                ],
            }
        ]
    }


def flattened(document: dict[str, Any]) -> list[dict[str, Any]]:
    with pytest.raises(DeclarativeError) as caught:
        load(document)
    body = caught.value.to_dict(flattened=True)
    assert body["fields"] == {}
    found: list[dict[str, Any]] = body["flattened_errors"]
    return sorted(found, key=lambda entry: entry["entity_type"])


def test_errors_of_an_entity_in_the_place_of_a_reference_are_its_own() -> None:
    bad = {"cert": "", "key": "", "tags": ["c"]}
    service = {"name": "s", "url": "https://h", "client_certificate": bad}
    assert flattened({"services": [service]}) == [
        {
            "entity_type": "certificate",
            "entity_tags": ["c"],
            "entity": bad,
            "errors": [
                {"type": "field", "field": name, "message": "length must be at least 1"}
                for name in ("cert", "key")
            ],
        }
    ]


def test_errors_of_nested_entities_carry_the_id_of_their_parent() -> None:
    service = {"id": ID, "host": "h", "routes": [{"super_duper_invalid": True}]}
    (entry,) = flattened({"services": [service]})
    assert entry["entity"] == {"super_duper_invalid": True, "service": {"id": ID}}


def test_what_is_invalid_does_not_name_an_entity() -> None:
    service = {"id": 1234, "name": False, "tags": ["t", [1.5]], "url": "http://h"}
    (entry,) = flattened({"services": [service]})
    assert sorted(entry) == ["entity", "entity_type", "errors"]
    assert entry["entity"] == service
    assert [error["field"] for error in entry["errors"]] == ["id", "name", "tags.2"]


def test_repeated_targets_are_listed_with_the_ids_they_got() -> None:
    targets = [{"target": "10.0.0.1:80", "tags": ["1"]}, {"target": "10.0.0.1:80", "tags": ["2"]}]
    document = {"upstreams": [{"name": "a"}, {"name": "b", "targets": targets}]}
    (entry,) = flattened(document)
    assert (entry["entity_tags"], entry["entity_type"]) == (["2"], "target")
    assert entry["errors"] == [
        {
            "type": "entity",
            "message": "uniqueness violation: 'targets' entity with primary key set to "
            f"'{entry['entity_id']}' already declared",
        }
    ]
    assert "id" not in document["upstreams"][0]


def test_references_to_nothing_are_listed_by_entity() -> None:
    (entry,) = flattened({"routes": [{"name": "r", "paths": ["/"], "service": "foo"}]})
    assert entry["entity_name"] == "r"
    assert entry["errors"] == [
        {
            "type": "entity",
            "message": "invalid reference 'service: foo' (no such entry in 'services')",
        }
    ]


def test_a_document_cannot_be_nested_without_end() -> None:
    inner: Any = "x"
    for _ in range(5000):
        inner = [inner]
    assert errors({"_ignore": inner}) == {"error": "nested more than 100 levels deep"}


def test_values_that_must_be_unique_are_listed_by_entity() -> None:
    consumers = [{"username": "a", "custom_id": "x"}, {"username": "b", "custom_id": "x"}]
    (entry,) = flattened({"consumers": consumers})
    assert (entry["entity"]["username"], entry["errors"][0]["type"]) == ("b", "entity")
