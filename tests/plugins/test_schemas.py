"""What ``/schemas/plugins`` shows is what Kong shows, and defaults and checks are as Kong's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kongtx.plugins.schemas import BUNDLED, full_registry, subschema
from kongtx.schema import Context, SchemaViolation

DATA = Path(__file__).parents[1] / "data" / "schemas" / "plugins"
NAMES = sorted(path.stem for path in DATA.glob("*.json"))


def body(shown: dict[str, Any]) -> dict[str, Any]:
    return next(field["config"] for field in shown["fields"] if "config" in field)


@pytest.mark.parametrize("name", NAMES)
def test_a_plugins_schema_is_shown_as_kong_shows_it(name: str) -> None:
    shown = subschema(name, dbless=True).to_schema_json()
    expected = json.loads((DATA / f"{name}.json").read_text())
    if name == "session":  # each process has its own secret
        for schema in (shown, expected):
            secret = next(f["secret"] for f in body(schema)["fields"] if "secret" in f)
            assert len(secret.pop("default")) == 44
    assert [list(field) for field in shown["fields"]] == [list(f) for f in expected["fields"]]
    ours, theirs = body(shown), body(expected)
    for part in ("fields", "shorthand_fields"):
        assert [list(f) for f in ours.get(part, [])] == [list(f) for f in theirs.get(part, [])]
        for our_field, their_field in zip(ours.get(part, []), theirs.get(part, []), strict=True):
            assert our_field == their_field
    assert shown == expected


def test_every_plugin_that_kong_shows_is_there() -> None:
    assert list(BUNDLED) == NAMES


REGISTRY = full_registry()
PLUGINS = REGISTRY["plugins"]
ID = "9748f662-7711-4a90-8186-dc02f10eb0f5"
CONTEXT = Context(now=1700000000.0, new_id=lambda: ID, new_secret=lambda: "s" * 32)
NEEDED: dict[str, dict[str, Any]] = {
    "acl": {"allow": ["a"]},
    "acme": {"account_email": "a@example.com"},
    "azure-functions": {"appname": "a", "functionname": "f"},
    "file-log": {"path": "/tmp/log"},
    "http-log": {"http_endpoint": "http://example.com"},
    "ip-restriction": {"allow": ["10.0.0.0/8", "::1"]},
    "ldap-auth": {"ldap_host": "ldap", "base_dn": "dc=a", "attribute": "cn"},
    "loggly": {"key": "k"},
    "oauth2": {"enable_client_credentials": True},
    "opentelemetry": {"traces_endpoint": "http://collector/v1/traces"},
    "post-function": {"access": ["pass"]},
    "pre-function": {"access": ["x = 1"]},
    "proxy-cache": {"strategy": "memory"},
    "rate-limiting": {"minute": 5},
    "redirect": {"location": "https://example.com"},
    "response-ratelimiting": {"limits": {"video": {"minute": 10}}},
    "standard-webhooks": {"secret_v1": "s"},
    "tcp-log": {"host": "a", "port": 1},
    "udp-log": {"host": "a", "port": 1},
}


@pytest.mark.parametrize("name", BUNDLED)
def test_the_least_configuration_is_completed_and_stays_valid(name: str) -> None:
    data = {"name": name, "config": NEEDED.get(name, {})}
    made = PLUGINS.process_insert(data, CONTEXT)
    assert PLUGINS.validate(made) == {}
    assert PLUGINS.process_upsert(made, CONTEXT) == made
    assert PLUGINS.process_update({}, PLUGINS.read(made), CONTEXT) == made
    names = list(PLUGINS.subschemas[name].fields["config"].record.fields)  # type: ignore[union-attr]
    assert list(made["config"]) == names


def refused(name: str, config: dict[str, Any]) -> Any:
    with pytest.raises(SchemaViolation) as caught:
        PLUGINS.process_insert({"name": name, "config": config}, CONTEXT)
    return caught.value.fields


@pytest.mark.parametrize(
    ("name", "config", "fields"),
    [
        (
            "cors",
            {"origins": ["*", "("]},
            {"config": {"origins": [None, "'(' is not a valid regex"]}},
        ),
        (
            "http-log",
            {"http_endpoint": "http://u:p@h/", "headers": {"Authorization": "x"}},
            {
                "config": "specifying both an 'Authorization' header and user info in "
                "'http_endpoint' is not allowed"
            },
        ),
        (
            "http-log",
            {"http_endpoint": "http://h/", "headers": {"HOST": "x"}},
            {"config": {"headers": "cannot contain 'Host' header"}},
        ),
        (
            "oauth2",
            {},
            {
                "config": "at least one of these fields must be true: enable_authorization_code, "
                "enable_implicit_grant, enable_client_credentials, enable_password_grant"
            },
        ),
        (
            "oauth2",
            {"enable_password_grant": True, "mandatory_scope": True},
            {
                "config": {
                    "scopes": "required field missing",
                    "@entity": [
                        "failed conditional validation given value of field 'mandatory_scope'"
                    ],
                }
            },
        ),
        (
            "rate-limiting",
            {"minute": 10, "hour": 5},
            {"config": "The limit for hour(5.0) cannot be lower than the limit for minute(10.0)"},
        ),
        (
            "rate-limiting",
            {"minute": 10, "sync_rate": 1},
            {"config": "sync_rate can only be used with the redis policy"},
        ),
        (
            "rate-limiting",
            {"minute": 10, "policy": "redis"},
            {
                "config": {"redis": {"host": "required field missing"}},
                "@entity": ["failed conditional validation given value of field 'config.policy'"],
            },
        ),
        (
            "rate-limiting",
            {"minute": 10, "redis_port": "x"},
            {"redis_port": "expected an integer"},
        ),
        (
            "response-ratelimiting",
            {"limits": {"a": {"hour": 2, "day": 1}}},
            {
                "config": {
                    "limits": "the limit for day(1.0) cannot be lower than the limit for hour(2.0)"
                }
            },
        ),
        (
            "request-termination",
            {"message": "m", "body": "b"},
            {"config": "message cannot be used with content_type or body"},
        ),
        (
            "request-termination",
            {"content_type": "a/b"},
            {"config": "content_type requires a body"},
        ),
        (
            "request-termination",
            {"echo": True, "body": "b"},
            {"config": "echo cannot be used with content_type and body"},
        ),
        (
            "request-transformer",
            {"add": {"headers": ["a b:c"]}, "rename": {"headers": ["a:b c"], "body": ["x"]}},
            {
                "config": {
                    "add": {"headers": ["'a b' is not a valid header"]},
                    "rename": {
                        "headers": ["'b c' is not a valid header"],
                        "body": ["key 'x' has no value"],
                    },
                }
            },
        ),
        (
            "response-transformer",
            {"rename": {"headers": ["a"]}},
            {"config": {"rename": {"headers": ["invalid value: a"]}}},
        ),
        (
            "zipkin",
            {"static_tags": [{"name": "a", "value": "1"}, {"name": "a", "value": "2"}]},
            {"config": {"static_tags": "repeated tags are not allowed: a"}},
        ),
        (
            "acme",
            {"account_email": "a@b", "storage": "redis"},
            {
                "config": {"storage_config": {"redis": {"host": "required field missing"}}},
                "@entity": ["failed conditional validation given value of field 'config.storage'"],
            },
        ),
        (
            "acme",
            {
                "account_email": "a@b",
                "storage_config": {"redis": {"namespace": "kong_acme:cert_key:x"}},
            },
            {
                "config": {
                    "storage_config": {
                        "redis": {
                            "extra_options": {
                                "namespace": "namespace can't be prefixed with reserved word: "
                                "kong_acme:cert_key:"
                            }
                        }
                    }
                }
            },
        ),
        (
            "pre-function",
            {"access": ["local x = 1"]},
            {
                "config": {
                    "access": [
                        "error parsing pre-function: line 1: invalid syntax "
                        "(functions are Python, not Lua)"
                    ]
                }
            },
        ),
    ],
)
def test_a_bad_configuration_is_refused_in_kongs_words(
    name: str, config: dict[str, Any], fields: Any
) -> None:
    assert refused(name, config) == fields


@pytest.mark.parametrize("target", ["consumer", "service", "route"])
def test_plugins_that_cannot_be_set_on_something_say_so(target: str) -> None:
    with pytest.raises(SchemaViolation) as caught:
        PLUGINS.process_insert(
            {"name": "acme", "config": NEEDED["acme"], target: {"id": ID}}, CONTEXT
        )
    assert caught.value.fields == {target: "value must be null"}


def test_old_names_of_redis_settings_are_understood_and_shown() -> None:
    made = PLUGINS.process_insert(
        {"name": "rate-limiting", "config": {"minute": 1, "redis_host": "h", "redis_database": 3}},
        CONTEXT,
    )
    assert made["config"]["redis"] == {
        "host": "h",
        "port": 6379,
        "timeout": 2000,
        "username": None,
        "password": None,
        "database": 3,
        "ssl": False,
        "ssl_verify": False,
        "server_name": None,
    }
    shown = PLUGINS.read(made)["config"]
    assert {key: shown[key] for key in shown if key.startswith("redis_")} == {
        "redis_host": "h",
        "redis_port": 6379,
        "redis_timeout": 2000,
        "redis_username": None,
        "redis_password": None,
        "redis_database": 3,
        "redis_ssl": False,
        "redis_ssl_verify": False,
        "redis_server_name": None,
    }


def test_old_names_of_session_settings_are_understood() -> None:
    config = PLUGINS.process_insert(
        {
            "name": "session",
            "config": {
                "cookie_lifetime": 1,
                "cookie_idletime": None,
                "cookie_renew": 5,
                "cookie_samesite": "off",
                "cookie_persistent": True,
            },
        },
        CONTEXT,
    )["config"]
    assert (
        config["rolling_timeout"],
        config["idling_timeout"],
        config["cookie_same_site"],
        config["remember"],
    ) == (1, 0, "Lax", True)


def test_a_default_of_part_of_a_record_is_completed() -> None:
    made = PLUGINS.process_insert(
        {"name": "opentelemetry", "config": NEEDED["opentelemetry"]}, CONTEXT
    )
    assert made["config"]["queue"]["max_batch_size"] == 200
    assert made["config"]["queue"]["max_entries"] == 10000
    assert made["config"]["propagation"] == {
        "extract": None,
        "clear": None,
        "inject": None,
        "default_format": "w3c",
    }


def test_secrets_of_a_configuration_are_made() -> None:
    made = PLUGINS.process_insert({"name": "oauth2", "config": NEEDED["oauth2"]}, CONTEXT)
    assert made["config"]["provision_key"] == "s" * 32


def test_counters_in_the_database_need_one() -> None:
    dbless = full_registry(dbless=True)["plugins"]
    with pytest.raises(SchemaViolation) as caught:
        dbless.process_insert(
            {"name": "rate-limiting", "config": {"minute": 1, "policy": "cluster"}}, CONTEXT
        )
    assert caught.value.fields == {"config": {"policy": "expected one of: local, redis"}}
