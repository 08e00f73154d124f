"""key-auth."""

from __future__ import annotations

from typing import Any

import pytest

from kongtx.cache.values import Loaded
from kongtx.plugins.authentication import credential_to_cache
from kongtx.plugins.key_auth.handler import KeyAuth
from kongtx.testing.plugins import PluginRunner
from kongtx.testing.request import Answer, FakeRequest
from tests.plugins.consumers import BOB, credential, node_with

FORM = (b"content-type", b"application/x-www-form-urlencoded")


def access(request: FakeRequest, **config: Any) -> Answer | None:
    node = node_with("keyauth_credentials", credential(key="k1"), credential(key="k2", id="2"))
    return PluginRunner(KeyAuth(), config, node).access(request)


@pytest.mark.parametrize(
    ("request_", "config"),
    [
        (FakeRequest(headers=[(b"apikey", b"k1")]), {}),
        (FakeRequest(target=b"/?apikey=k1"), {}),
        (FakeRequest(headers=[(b"x-key", b"k1")]), {"key_names": ["apikey", "X-Key"]}),
        (FakeRequest(target=b"/?apikey=other", headers=[(b"apikey", b"k1")]), {}),
        (FakeRequest(body=b"apikey=k1", headers=[FORM]), {"key_in_body": True}),
        (
            FakeRequest(body=b'{"apikey":"k1"}', headers=[(b"content-type", b"application/json")]),
            {"key_in_body": True},
        ),
    ],
)
def test_a_key_is_found(request_: FakeRequest, config: dict[str, Any]) -> None:
    assert access(request_, **config) is None
    assert request_.consumer == BOB


@pytest.mark.parametrize(
    ("request_", "config", "message"),
    [
        (FakeRequest(), {}, "No API key found in request"),
        (FakeRequest(target=b"/?apikey"), {}, "No API key found in request"),
        (
            FakeRequest(target=b"/?apikey=k1", headers=[(b"apikey", b"")]),
            {},
            "No API key found in request",
        ),
        (FakeRequest(headers=[(b"apikey", b"wrong")]), {}, "Unauthorized"),
        (
            FakeRequest(headers=[(b"apikey", b"k1"), (b"apikey", b"k1")]),
            {},
            "Duplicate API key found",
        ),
        (FakeRequest(target=b"/?apikey=k1&apikey=k1"), {}, "Duplicate API key found"),
        (
            FakeRequest(target=b"/?apikey=k1"),
            {"key_in_query": False},
            "No API key found in request",
        ),
        (
            FakeRequest(headers=[(b"apikey", b"k1")]),
            {"key_in_header": False},
            "No API key found in request",
        ),
        (FakeRequest(body=b"apikey=k1", headers=[FORM]), {}, "No API key found in request"),
        (
            FakeRequest(body=b"apikey=k1&apikey=k2", headers=[FORM]),
            {"key_in_body": True},
            "Duplicate API key found",
        ),
        (
            FakeRequest(body=b"{", headers=[(b"content-type", b"application/json")]),
            {"key_in_body": True},
            "No API key found in request",
        ),
        (FakeRequest(body=b"apikey=k1"), {"key_in_body": True}, "No API key found in request"),
    ],
)
def test_a_request_without_a_good_key_is_refused(
    request_: FakeRequest, config: dict[str, Any], message: str
) -> None:
    answer = access(request_, **config)
    assert answer == Answer(401, b"", [(b"WWW-Authenticate", b"Key")], message)
    assert request_.consumer is None


def test_the_realm_is_told() -> None:
    assert access(FakeRequest(), realm="shop").headers == [
        (b"WWW-Authenticate", b'Key realm="shop"')
    ]


def test_a_key_is_hidden_from_the_upstream() -> None:
    one = FakeRequest(target=b"/?a=%31&apikey=k1&b=2", headers=[(b"x-other", b"1")])
    assert access(one, hide_credentials=True) is None
    assert one.query == b"a=%31&b=2"
    one = FakeRequest(target=b"/?apikey=x", headers=[(b"apikey", b"k1")])
    assert access(one, hide_credentials=True) is None
    assert one.query == b""
    assert one.get_header(b"apikey") is None


def test_a_key_is_hidden_in_the_body_too() -> None:
    one = FakeRequest(body=b"apikey=k1&a=1", headers=[FORM])
    assert access(one, hide_credentials=True, key_in_body=True) is None
    assert one.upstream_body == b"a=1"
    one = FakeRequest(body=b"apikey=k1&a=1", headers=[FORM, (b"apikey", b"k1")])
    assert access(one, hide_credentials=True, key_in_body=True) is None
    assert one.upstream_body == b"a=1"


def test_the_body_comes_before_the_header_of_a_later_name() -> None:
    one = FakeRequest(body=b"first=k1", headers=[FORM, (b"second", b"wrong")])
    names = {"key_names": ["first", "second"], "key_in_body": True}
    assert access(one, **names) is None
    one = FakeRequest(body=b"second=k1", headers=[FORM, (b"first", b"wrong")])
    assert access(one, **names).message == "Unauthorized"


def test_a_key_that_no_name_is_configured_for_is_not_found() -> None:
    one = FakeRequest(body=b"apikey=k1", headers=[FORM])
    answer = access(one, key_names=[], key_in_body=True)
    assert answer.message == "No API key found in request"


def test_an_expired_key_is_not_held_longer_than_it_is_valid() -> None:
    row = credential(key="k", ttl=7)
    assert credential_to_cache(row) == Loaded(row, 7)
    assert credential_to_cache(credential(key="k", ttl=None)) == credential(key="k", ttl=None)
    assert credential_to_cache(None) is None
