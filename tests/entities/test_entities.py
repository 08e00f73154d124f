"""Each core entity's defaults, checks and refusals, in Kong's words."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from kongtx.entities import EntityOptions, core_registry
from kongtx.schema import Context, SchemaRegistry, SchemaViolation
from tests.pki import certificate_pem, private_pem, public_pem

ID = "9748f662-7711-4a90-8186-dc02f10eb0f5"
OTHER = "e4b7ba63-ad04-4f27-a6ed-4d53c79d1a1c"
CONTEXT = Context(now=1485523507.4461, new_id=lambda: ID, new_secret=lambda: "s" * 32)
REGISTRY = core_registry(EntityOptions(clock=lambda: 1704067200.0))
HTTPS = "must set one of 'methods', 'hosts', 'headers', 'paths', 'snis' when 'protocols' is 'https'"


def made(entity: str, data: dict[str, Any], registry: SchemaRegistry = REGISTRY) -> dict[str, Any]:
    return registry[entity].process_insert(data, CONTEXT)


def refused(entity: str, data: dict[str, Any], registry: SchemaRegistry = REGISTRY) -> Any:
    with pytest.raises(SchemaViolation) as caught:
        made(entity, data, registry)
    return caught.value.fields


# -- services


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://example.com", ("http", "example.com", 80, None)),
        ("https://example.com", ("https", "example.com", 443, None)),
        ("https://example.com:8443/a/b?c=d#e", ("https", "example.com", 8443, "/a/b")),
        ("http://user:pass@example.com/x", ("http", "example.com", 80, "/x")),
        ("tcp://example.com", ("tcp", "example.com", 80, None)),
        ("grpcs://example.com", ("grpcs", "example.com", 80, None)),
        ("//example.com:443", ("https", "example.com", 443, None)),
        ("//example.com:80", ("http", "example.com", 80, None)),
        ("//example.com:81", ("http", "example.com", 81, None)),
        ("http://[::1]:8000/x", ("http", "::1", 8000, "/x")),
    ],
)
def test_a_url_stands_for_four_fields(url: str, expected: tuple[Any, ...]) -> None:
    service = made("services", {"url": url, "host": "overwritten", "port": 9})
    assert tuple(service[name] for name in ("protocol", "host", "port", "path")) == expected


@pytest.mark.parametrize(
    ("url", "fields"),
    [
        ("http:///path", {"host": "required field missing"}),
        ("/only/path", {"host": "required field missing"}),
        ("http://h:abc", {"port": "expected an integer"}),
        ("http://h:", {"port": "expected an integer"}),
        (
            "ftp://h",
            {
                "protocol": "expected one of: grpc, grpcs, http, https, tcp, tls, "
                "tls_passthrough, udp"
            },
        ),
        (7, {"url": "expected a string"}),
    ],
)
def test_a_bad_url_is_refused_by_the_fields_it_stands_for(url: Any, fields: Any) -> None:
    assert refused("services", {"url": url}) == fields


def test_changing_the_url_clears_the_path() -> None:
    service = made("services", {"url": "http://a/path"})
    changed = REGISTRY["services"].process_update({"url": "http://b"}, service, CONTEXT)
    assert (changed["host"], changed["path"]) == ("b", None)


@pytest.mark.parametrize(
    ("data", "fields"),
    [
        ({"host": "a b"}, {"host": "invalid value: a b"}),
        ({"host": "a:80"}, {"host": "must not have a port"}),
        (
            {"host": "a", "name": "a b"},
            {
                "name": "invalid value 'a b': the only accepted ascii characters are alphanumerics "
                "or ., -, _, and ~"
            },
        ),
        ({"host": "a", "port": 65536}, {"port": "value should be between 0 and 65535"}),
        ({"host": "a", "port": "80"}, {"port": "expected an integer"}),
        ({"host": "a", "retries": 32768}, {"retries": "value should be between 0 and 32767"}),
        (
            {"host": "a", "connect_timeout": 0},
            {"connect_timeout": "value should be between 1 and 2147483646"},
        ),
        ({"host": "a", "path": "x"}, {"path": "should start with: /"}),
        ({"host": "a", "path": "/a//b"}, {"path": "must not have empty segments"}),
        (
            {"host": "a", "path": "/a b"},
            {
                "path": "invalid path: '/a b' (characters outside of the reserved list of RFC 3986 "
                "found)"
            },
        ),
        ({"host": "a", "path": "/%zz"}, {"path": "invalid url-encoded value: '%zz'"}),
        (
            {"host": "a", "tags": ["a,b"]},
            {
                "tags": [
                    "invalid tag 'a,b': expected printable ascii (except `,` and `/`) or valid "
                    "utf-8 sequences"
                ]
            },
        ),
        (
            {"host": "a", "protocol": "tcp", "path": "/"},
            {
                "path": "value must be null",
                "@entity": ["failed conditional validation given value of field 'protocol'"],
            },
        ),
        (
            {"host": "a", "tls_verify": True},
            {
                "tls_verify": "value must be null",
                "@entity": ["failed conditional validation given value of field 'protocol'"],
            },
        ),
        (
            {"host": "a", "protocol": "https", "tls_verify_depth": 65},
            {"tls_verify_depth": "value should be between 0 and 64"},
        ),
        (
            {"host": "a", "protocol": "https", "ca_certificates": [ID, "x"]},
            {"ca_certificates": [None, "expected a valid UUID"]},
        ),
        ({"host": None}, {"host": "required field missing"}),
        ({"host": ""}, {"host": "length must be at least 1"}),
        ({"host": "a", "ws_id": ID}, {"ws_id": "unknown field"}),
        ({"host": "a", "ttl": 3}, {"ttl": "unknown field"}),
        ({"host": "a", "id": "x"}, {"id": "expected a valid UUID"}),
        ({"host": "a", "created_at": 0}, {"created_at": "expected a valid timestamp"}),
    ],
)
def test_a_bad_service_is_refused(data: dict[str, Any], fields: Any) -> None:
    assert refused("services", data) == fields


def test_a_service_keeps_what_a_client_may_choose() -> None:
    service = made(
        "services",
        {"id": OTHER.upper(), "host": "a", "created_at": 5, "updated_at": 6, "port": 80.0},
    )
    assert (service["id"], service["created_at"], service["updated_at"]) == (OTHER, 5, 1485523507)
    assert service["port"] == 80
    assert isinstance(service["port"], int)


# -- routes


@pytest.mark.parametrize(
    ("data", "fields"),
    [
        ({}, {"@entity": [HTTPS]}),
        (
            {"protocols": ["http"]},
            {
                "@entity": [
                    "must set one of 'methods', 'hosts', 'headers', 'paths' when 'protocols' "
                    "is 'http'"
                ]
            },
        ),
        (
            {"protocols": ["grpc"]},
            {"@entity": ["must set one of 'hosts', 'headers', 'paths' when 'protocols' is 'grpc'"]},
        ),
        (
            {"protocols": ["tcp"]},
            {
                "@entity": [
                    "must set one of 'sources', 'destinations', 'snis' when 'protocols' is "
                    "'tcp', 'tls' or 'udp'"
                ]
            },
        ),
        (
            {"protocols": ["tls_passthrough"]},
            {"@entity": ["must set snis when 'protocols' is 'tls_passthrough'"]},
        ),
        ({"protocols": ["foo"]}, {"protocols": "unknown type: foo"}),
        ({"protocols": None}, {"protocols": "required field missing"}),
        (
            {"protocols": ["http", "foo"], "paths": ["/"]},
            {
                "protocols": [
                    None,
                    "expected one of: grpc, grpcs, http, https, tcp, tls, tls_passthrough, udp",
                ]
            },
        ),
        (
            {"protocols": ["http", "tcp"], "paths": ["/"]},
            {
                "protocols": "these sets are mutually exclusive: ('http', 'https'), "
                "('tcp', 'tls', 'udp')"
            },
        ),
        (
            {"paths": ["/"], "sources": [{"ip": "1.2.3.4"}]},
            {"sources": "cannot set 'sources' when 'protocols' is 'http' or 'https'"},
        ),
        (
            {"protocols": ["tcp"], "sources": [{"port": 1}], "methods": ["GET"]},
            {
                "methods": "cannot set 'methods' when 'protocols' is 'tcp', 'tls', "
                "'tls_passthrough' or 'udp'"
            },
        ),
        (
            {"protocols": ["grpc"], "hosts": ["a"], "strip_path": True},
            {"strip_path": "cannot set 'strip_path' when 'protocols' is 'grpc' or 'grpcs'"},
        ),
        (
            {"protocols": ["http"], "paths": ["/"], "snis": ["a.com"]},
            {
                "snis": "length must be 0",
                "@entity": [
                    "'snis' can only be set when 'protocols' is 'grpcs', 'https', 'tls' or "
                    "'tls_passthrough'"
                ],
            },
        ),
        ({"methods": ["get"]}, {"methods": ["invalid value: get"]}),
        ({"hosts": ["*.*.a"]}, {"hosts": ["invalid wildcard: must have at most one wildcard"]}),
        (
            {"hosts": ["a.*.b"]},
            {"hosts": ["invalid wildcard: must be placed at leftmost or rightmost label"]},
        ),
        ({"hosts": ["a", "-_.-"]}, {"hosts": [None, "invalid hostname: -_.-"]}),
        ({"paths": ["a"]}, {"paths": ["should start with: / (fixed path) or ~/ (regex path)"]}),
        ({"paths": ["/a//b"]}, {"paths": ["must not have empty segments"]}),
        ({"paths": ["/a/../b"]}, {"paths": ["non-normalized path, consider use '/b' instead"]}),
        ({"paths": ["/%"]}, {"paths": ["invalid url-encoded value: '%'"]}),
        (
            {"headers": {"Host": ["a"]}},
            {
                "headers": "cannot contain 'host' header, which must be specified in the 'hosts' "
                "attribute"
            },
        ),
        (
            {"headers": {"x y": ["a"]}},
            {
                "headers": "bad header name 'x y', allowed characters are A-Z, a-z, 0-9, '_', "
                "and '-'"
            },
        ),
        ({"headers": {"x": "a"}}, {"headers": "expected an array"}),
        (
            {"protocols": ["tcp"], "sources": [{}]},
            {
                "sources": [
                    {"@entity": ["at least one of these fields must be non-empty: 'ip', 'port'"]}
                ]
            },
        ),
        (
            {"protocols": ["tcp"], "sources": [{"ip": "1.2.3.4/33"}]},
            {"sources": [{"ip": "invalid ip or cidr range: '1.2.3.4/33'"}]},
        ),
        ({"paths": ["/"], "snis": ["1.2.3.4"]}, {"snis": ["must not be an IP"]}),
        (
            {"paths": ["/"], "snis": ["a*b"]},
            {"snis": ["wildcard must be leftmost or rightmost character"]},
        ),
        ({"paths": ["/"], "path_handling": "v2"}, {"path_handling": "expected one of: v0, v1"}),
        (
            {"paths": ["/"], "https_redirect_status_code": 303},
            {"https_redirect_status_code": "expected one of: 426, 301, 302, 307, 308"},
        ),
        ({"paths": ["/"], "expression": "x"}, {"expression": "unknown field"}),
        ({"paths": ["/"], "priority": 1}, {"priority": "unknown field"}),
    ],
)
def test_a_bad_route_is_refused(data: dict[str, Any], fields: Any) -> None:
    assert refused("routes", data) == fields


@pytest.mark.parametrize(
    "data",
    [
        {"paths": ["/a b", "/é", "~/x(\\d+)$"], "hosts": ["*.example.com", "example.*"]},
        {"headers": {"x-a": ["1"]}},
        {"protocols": ["https"], "snis": ["*.example.com"]},
        {"protocols": ["tls_passthrough"], "snis": ["example.com"]},
        {"protocols": ["udp"], "destinations": [{"ip": "fe80::/10", "port": 53}]},
        {"protocols": ["grpc", "grpcs"], "hosts": ["a"], "snis": ["a"]},
        {"methods": ["GET"], "service": None},
    ],
)
def test_a_good_route_is_accepted_and_stays_good(data: dict[str, Any]) -> None:
    route = made("routes", data)
    assert REGISTRY["routes"].validate(route) == {}
    assert made("routes", route) == route
    assert route["strip_path"] is (not data.get("protocols", ["http"])[0].startswith("grpc"))


def test_a_bad_regular_expression_is_refused() -> None:
    (error,) = refused("routes", {"paths": ["~/a("]})["paths"]
    assert error.startswith("invalid regex: '/a(' (PCRE returned: ")


def test_server_names_have_no_wildcards_in_the_traditional_flavor() -> None:
    traditional = core_registry(EntityOptions(router_flavor="traditional"))
    assert refused("routes", {"paths": ["/"], "snis": ["*.a.com"]}, traditional) == {
        "snis": ["invalid value: *.a.com"]
    }


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (
            {"expression": 'http.path == "/"', "paths": ["/"]},
            "cannot set 'expression' with 'methods', 'hosts', 'paths', 'headers', 'snis', "
            "'sources' or 'destinations' simultaneously",
        ),
        (
            {"expression": "x", "regex_priority": 1},
            "cannot set 'regex_priority' with 'expression' simultaneously",
        ),
        (
            {"paths": ["/"], "priority": 1},
            "cannot set 'priority' with 'methods', 'hosts', 'paths', 'headers', 'snis', 'sources' "
            "or 'destinations' simultaneously",
        ),
        ({"expression": "bad"}, "no such thing"),
    ],
)
def test_expressions_are_checked_with_the_router(data: dict[str, Any], error: str) -> None:
    registry = core_registry(
        EntityOptions(
            router_flavor="expressions",
            check_expression=lambda route: (
                "no such thing" if route.get("expression") == "bad" else None
            ),
        )
    )
    assert refused("routes", data, registry) == {
        "@entity": [f"Router Expression failed validation: {error}"]
    }


def test_expressions_stand_alone_and_allow_addresses() -> None:
    registry = core_registry(EntityOptions(router_flavor="expressions"))
    route = made("routes", {"expression": 'http.path == "/"', "priority": 100}, registry)
    assert (route["expression"], route["priority"]) == ('http.path == "/"', 100)
    made("routes", {"paths": ["/"], "sources": [{"port": 1}]}, registry)
    assert refused("routes", {}, registry) == {
        "@entity": [HTTPS.replace("'snis' when", "'snis', 'expression' when")]
    }


# -- consumers and plugins


def test_a_consumer_needs_a_name_of_some_kind() -> None:
    text = "at least one of these fields must be non-empty: 'custom_id', 'username'"
    assert refused("consumers", {}) == {"@entity": [text]}
    bob = made("consumers", {"username": "Bob Smith!"})
    with pytest.raises(SchemaViolation) as caught:
        REGISTRY["consumers"].process_update({"username": None}, bob, CONTEXT)
    assert caught.value.message == f"schema violation (when updating, {text})"


def test_an_unknown_plugin_is_the_only_error() -> None:
    assert refused("plugins", {"name": "x", "bad": 1}) == {
        "name": "plugin 'x' not enabled; add it to the 'plugins' configuration property"
    }
    assert refused("plugins", {"bad": 1}) == {"name": "required field missing"}


# -- upstreams and targets


def test_an_upstream_is_complete() -> None:
    upstream = made("upstreams", {"name": "u", "healthchecks": {"active": {"timeout": 2}}})
    checks = upstream["healthchecks"]
    assert checks["active"] == {
        "timeout": 2,
        "headers": None,
        "type": "http",
        "healthy": {"interval": 0, "successes": 0, "http_statuses": [200, 302]},
        "unhealthy": {
            "interval": 0,
            "tcp_failures": 0,
            "timeouts": 0,
            "http_failures": 0,
            "http_statuses": [429, 404, 500, 501, 502, 503, 504, 505],
        },
        "http_path": "/",
        "concurrency": 10,
        "https_verify_certificate": True,
        "https_sni": None,
    }
    assert checks["threshold"] == 0
    assert checks["passive"]["unhealthy"]["http_statuses"] == [429, 500, 503]
    changed = REGISTRY["upstreams"].process_update(
        {"healthchecks": {"passive": {"healthy": {"successes": 3}}}}, upstream, CONTEXT
    )
    checks["passive"]["healthy"]["successes"] = 3
    assert changed["healthchecks"] == checks


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({}, ("round-robin", "none")),
        ({"hash_on": "ip"}, ("consistent-hashing", "ip")),
        ({"hash_on": "none"}, ("round-robin", "none")),
        (
            {"algorithm": "least-connections", "hash_on": "header", "hash_on_header": "x"},
            ("least-connections", "none"),
        ),
        ({"algorithm": "latency"}, ("latency", "none")),
        ({"algorithm": "consistent-hashing"}, ("round-robin", "none")),
        ({"algorithm": "consistent-hashing", "hash_on": "none"}, ("round-robin", "none")),
        ({"algorithm": "round-robin", "hash_on": "consumer"}, ("consistent-hashing", "consumer")),
    ],
)
def test_the_algorithm_follows_what_is_hashed(data: Any, expected: tuple[str, str]) -> None:
    upstream = made("upstreams", {"name": "u", **data})
    assert (upstream["algorithm"], upstream["hash_on"]) == expected
    assert REGISTRY["upstreams"].read(upstream) == upstream


def test_hashing_on_nothing_ends_other_algorithms() -> None:
    upstream = made("upstreams", {"name": "u", "algorithm": "latency"})
    changed = REGISTRY["upstreams"].process_update({"hash_on": "none"}, upstream, CONTEXT)
    assert changed["algorithm"] == "round-robin"
    renamed = REGISTRY["upstreams"].process_update({"name": "v"}, upstream, CONTEXT)
    assert renamed["algorithm"] == "latency"


ON, FALLBACK = (
    f"failed conditional validation given value of field '{name}'"
    for name in ("hash_on", "hash_fallback")
)


@pytest.mark.parametrize(
    ("data", "fields"),
    [
        ({"name": "1.2.3.4"}, {"name": "Invalid name ('1.2.3.4'); no ip addresses allowed"}),
        ({"name": "a:1"}, {"name": "Invalid name ('a:1'); no port allowed"}),
        ({"name": "a b"}, {"name": "Invalid name ('a b'); must be a valid hostname"}),
        (
            {"name": "u", "hash_on": "header"},
            {"hash_on_header": "required field missing", "@entity": [ON]},
        ),
        (
            {"name": "u", "hash_on": "ip", "hash_fallback": "header"},
            {"hash_fallback_header": "required field missing", "@entity": [FALLBACK]},
        ),
        (
            {"name": "u", "hash_on": "cookie"},
            {"hash_on_cookie": "required field missing", "@entity": [ON]},
        ),
        (
            {"name": "u", "hash_fallback": "ip"},
            {"hash_fallback": "expected one of: none", "@entity": [ON]},
        ),
        (
            {"name": "u", "hash_on": "cookie", "hash_on_cookie": "c", "hash_fallback": "ip"},
            {"hash_fallback": "expected one of: none", "@entity": [ON]},
        ),
        (
            {"name": "u", "hash_on": "ip", "hash_fallback": "ip"},
            {
                "hash_fallback": "expected one of: none, consumer, header, cookie, path, "
                "query_arg, uri_capture",
                "@entity": [ON],
            },
        ),
        (
            {
                "name": "u",
                "hash_on": "header",
                "hash_on_header": "x",
                "hash_fallback": "header",
                "hash_fallback_header": "x",
            },
            {
                "@entity": [
                    "values of these fields must be distinct: 'hash_on_header', "
                    "'hash_fallback_header'"
                ]
            },
        ),
        (
            {"name": "u", "hash_on": "query_arg"},
            {"hash_on_query_arg": "required field missing", "@entity": [ON]},
        ),
        ({"name": "u", "slots": 9}, {"slots": "value should be between 10 and 65536"}),
        (
            {"name": "u", "hash_on_cookie": "a;b"},
            {
                "hash_on_cookie": "contains one or more invalid characters. ASCII control "
                'characters (0-31;127), space, tab and the characters ()<>@,;:\\"/?={}[] '
                "are not allowed."
            },
        ),
        ({"name": "u", "host_header": "a b"}, {"host_header": "invalid hostname: a b"}),
        (
            {"name": "u", "healthchecks": {"active": {"healthy": {"http_statuses": [99]}}}},
            {
                "healthchecks": {
                    "active": {
                        "healthy": {"http_statuses": ["value should be between 100 and 999"]}
                    }
                }
            },
        ),
        (
            {"name": "u", "healthchecks": {"active": {"bad": 1}}},
            {"healthchecks": {"active": {"bad": "unknown field"}}},
        ),
        ({"name": "u", "healthchecks": 5}, {"healthchecks": "expected a record"}),
        ({"name": "u", "healthchecks": None}, {"healthchecks": "required field missing"}),
    ],
)
def test_a_bad_upstream_is_refused(data: dict[str, Any], fields: Any) -> None:
    assert refused("upstreams", data) == fields


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("example.com", "example.com:8000"),
        ("example.com:80", "example.com:80"),
        ("001.002.003.004:0080", "1.2.3.4:80"),
        ("[::1]:80", "[0000:0000:0000:0000:0000:0000:0000:0001]:80"),
        ("2001:DB8::f", "[2001:0db8:0000:0000:0000:0000:0000:000f]:8000"),
    ],
)
def test_a_target_gets_its_full_form(target: str, expected: str) -> None:
    row = made("targets", {"upstream": {"id": ID}, "target": target})
    assert row["target"] == expected
    assert REGISTRY["targets"].read({**row, "target": target})["target"] == expected
    assert (row["created_at"], row["weight"]) == (1485523507.446, 100)


@pytest.mark.parametrize("target", ["1.2.3.256", "a b", "::g", "[::1]:x", "host:65536"])
def test_a_bad_target_is_refused(target: str) -> None:
    assert refused("targets", {"upstream": {"id": ID}, "target": target}) == {
        "target": f"Invalid target ('{target}'); not a valid hostname or ip address"
    }


# -- certificates and keys


def test_a_certificate_goes_with_its_key() -> None:
    cert, key = certificate_pem(), private_pem()
    row = made("certificates", {"cert": cert, "key": key})
    assert (row["cert"], row["key"], row["snis"]) == (cert, key, None)
    assert refused("certificates", {"cert": cert, "key": private_pem("rsa", 1)}) == {
        "@entity": ["certificate does not match key"]
    }


def test_an_alternative_certificate_is_of_another_kind() -> None:
    pair = {"cert": certificate_pem(), "key": private_pem()}
    elliptic = {"cert_alt": certificate_pem("ec"), "key_alt": private_pem("ec")}
    made("certificates", {**pair, **elliptic})
    assert refused("certificates", {**pair, "cert_alt": elliptic["cert_alt"]}) == {
        "@entity": ["all or none of these fields must be set: 'cert_alt', 'key_alt'"]
    }
    wrong = {**elliptic, "key_alt": private_pem("ec", 1)}
    assert refused("certificates", {**pair, **wrong}) == {
        "@entity": ["alternative certificate does not match key"]
    }
    same = {"cert_alt": certificate_pem("rsa", 1), "key_alt": private_pem("rsa", 1)}
    assert refused("certificates", {**pair, **same}) == {
        "@entity": [
            "certificate and alternative certificate need to have different type (e.g. RSA and "
            "ECDSA), the provided certificates were both of the same type"
        ]
    }


def test_what_is_no_certificate_or_key_is_refused_without_being_shown() -> None:
    secret = "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n"
    fields = refused("certificates", {"cert": "x", "key": secret})
    assert fields["cert"].startswith("invalid certificate: ")
    assert fields["key"] == "invalid key: could not be read as a PEM key without passphrase"
    assert "c2VjcmV0" not in str(fields)


@pytest.mark.parametrize(
    "form",
    [serialization.PrivateFormat.PKCS8, serialization.PrivateFormat.TraditionalOpenSSL],
)
def test_an_encrypted_key_is_refused_with_the_reason(form: serialization.PrivateFormat) -> None:
    key = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM,
        form,
        serialization.BestAvailableEncryption(b"secret"),
    )
    fields = refused("certificates", {"cert": certificate_pem(), "key": key.decode()})
    assert fields["key"] == "invalid key: it is encrypted, and can only be kept without passphrase"


def test_references_to_secrets_are_not_looked_into() -> None:
    reference = "{vault://env/my-key}"
    row = made("certificates", {"cert": certificate_pem(), "key": reference})
    assert row["key"] == reference


def test_an_authoritys_certificate_gets_its_digest() -> None:
    row = made("ca_certificates", {"cert": certificate_pem(authority=True), "cert_digest": "x"})
    assert len(row["cert_digest"]) == 64
    assert set(row["cert_digest"]) <= set("0123456789abcdef")


@pytest.mark.parametrize(
    ("cert", "error"),
    [
        (certificate_pem(authority=True) * 2, "please submit only one certificate at a time"),
        (
            certificate_pem(authority=True, days=-1),
            'certificate expired, "Not After" time is in the past',
        ),
        (
            certificate_pem(authority=False),
            'certificate does not appear to be a CA because it is missing the "CA" basic '
            "constraint",
        ),
        (
            certificate_pem(),
            'certificate does not appear to be a CA because it is missing the "CA" basic '
            "constraint",
        ),
    ],
)
def test_what_is_no_authoritys_certificate_is_refused(cert: str, error: str) -> None:
    assert refused("ca_certificates", {"cert": cert}) == {"@entity": [error]}


def test_a_name_for_tls_belongs_to_a_certificate() -> None:
    assert refused("snis", {"name": "1.2.3.4"}) == {
        "name": "must not be an IP",
        "certificate": "required field missing",
    }
    assert made("snis", {"name": "*.a.com", "certificate": {"id": ID}})["name"] == "*.a.com"


JWK = {"kty": "oct", "kid": "k"}
RSA = {
    "kty": "RSA",
    "kid": "k",
    "e": "AQAB",
    "n": "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt"
    "0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5"
    "z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aG"
    "hyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ",
}


@pytest.mark.parametrize(
    ("jwk", "error"),
    [
        ("{", "could not json decode jwk string"),
        ("[]", "could not json decode jwk string"),
        (json.dumps({**RSA, "kid": "x"}), "kid in jwk.kid must be equal to keys.kid"),
        (json.dumps(JWK), "could not load JWK, likely not a valid key"),
        (json.dumps({**RSA, "n": 5}), "could not load JWK, likely not a valid key"),
        (json.dumps({**RSA, "extra": 1}), "Validation error: extra: unknown field"),
    ],
)
def test_a_bad_json_web_key_is_refused(jwk: str, error: str) -> None:
    assert refused("keys", {"kid": "k", "jwk": jwk}) == {"@entity": [error]}


def test_a_key_is_in_one_form() -> None:
    assert made("keys", {"kid": "k", "jwk": json.dumps(RSA)})["pem"] is None
    assert refused("keys", {"kid": "k"}) == {
        "@entity": ["at least one of these fields must be non-empty: 'jwk', 'pem'"]
    }
    both = {"kid": "k", "jwk": json.dumps(RSA), "pem": {"public_key": public_pem()}}
    assert refused("keys", both) == {
        "@entity": ["only one or none of these fields must be set: 'jwk', 'pem'"]
    }


@pytest.mark.parametrize(
    ("pem", "error"),
    [
        (
            {},
            {
                "@entity": [
                    "at least one of these fields must be non-empty: 'private_key', 'public_key'"
                ]
            },
        ),
        ({"public_key": "x"}, "could not load public key"),
        ({"private_key": public_pem()}, "could not load private key"),
        (
            {"public_key": public_pem(), "private_key": private_pem("rsa", 1)},
            "public key does not match private key",
        ),
    ],
)
def test_a_bad_pair_of_keys_is_refused(pem: dict[str, str], error: Any) -> None:
    assert refused("keys", {"kid": "k", "pem": pem}) == {"pem": error}


def test_a_pair_of_keys_may_be_complete_or_half_or_elsewhere() -> None:
    for pem in (
        {"public_key": public_pem(), "private_key": private_pem()},
        {"public_key": public_pem()},
        {"private_key": "{vault://env/key}", "public_key": public_pem("ec")},
    ):
        assert made("keys", {"kid": "k", "pem": pem})["pem"] == {
            "private_key": None,
            "public_key": None,
            **pem,
        }


# -- vaults and the rest


@pytest.mark.parametrize(
    ("data", "fields"),
    [
        ({"name": "env", "prefix": "env"}, {"prefix": "must not be one of: env"}),
        ({"name": "env", "prefix": "A"}, {"prefix": "invalid value: A"}),
        ({"name": "env", "prefix": "a-"}, {"prefix": "invalid value: a-"}),
        ({"name": "env", "prefix": "a"}, {"prefix": "invalid value: a"}),
        ({"name": "env"}, {"prefix": "required field missing"}),
        ({"name": "hcv", "prefix": "my"}, {"name": "vault 'hcv' is not installed"}),
        (
            {"name": "env", "prefix": "my", "config": {"prefix": "1a"}},
            {"config": {"prefix": "invalid value: 1a"}},
        ),
    ],
)
def test_a_bad_vault_is_refused(data: dict[str, Any], fields: Any) -> None:
    assert refused("vaults", data) == fields


def test_a_vault_has_the_configuration_of_its_kind() -> None:
    vault = made("vaults", {"name": "env", "prefix": "my-1", "config": {"prefix": "SECRET_"}})
    assert vault["config"] == {"prefix": "SECRET_"}
    assert made("vaults", {"name": "env", "prefix": "my-1"})["config"] == {"prefix": None}


def test_no_filter_is_installed() -> None:
    fields = refused("filter_chains", {"filters": [{"name": "x"}], "service": {"id": ID}})
    assert fields == {
        "filters": [{"name": "no such filter"}],
        "@entity": ["wasm support is not enabled"],
    }


def test_a_workspace_is_not_named_as_an_entity() -> None:
    fields = refused("workspaces", {"name": "services"})
    assert fields["name"].startswith("must not be one of: workspaces, consumers, ")
    assert made("workspaces", {"name": "default"})["meta"] == {}


def test_ten_thousand_services_and_routes_are_validated_in_two_seconds() -> None:
    services, routes = REGISTRY["services"], REGISTRY["routes"]
    started = time.process_time()
    for n in range(5000):
        service = services.process_insert(
            {"name": f"s{n}", "host": "example.com", "path": "/x", "tags": ["a", "b"]}, CONTEXT
        )
        routes.process_insert(
            {"name": f"r{n}", "service": {"id": service["id"]}, "paths": [f"/p{n}"]}, CONTEXT
        )
    assert time.process_time() - started < 2
