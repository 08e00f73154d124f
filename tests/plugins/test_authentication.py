"""What all authenticating plugins have in common, tried with key-auth."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from kongtx.plugins.key_auth.handler import KeyAuth
from kongtx.testing.plugins import PluginRunner
from kongtx.testing.request import FakeRequest
from tests.plugins.consumers import BOB, GUEST, credential, node_with

KEY = credential(key="secret")
SPOOFED = [
    (b"x-consumer-id", b"spoofed"),
    (b"x-consumer-custom-id", b"spoofed"),
    (b"x-consumer-username", b"spoofed"),
    (b"x-credential-identifier", b"spoofed"),
    (b"x-anonymous-consumer", b"spoofed"),
]


def runner(**config: Any) -> PluginRunner:
    return PluginRunner(KeyAuth(), config, node_with("keyauth_credentials", KEY))


def request(key: bytes = b"secret", **attributes: Any) -> FakeRequest:
    return FakeRequest(headers=[(b"apikey", key), *SPOOFED], **attributes)


def told(request: FakeRequest) -> dict[bytes, bytes]:
    return {name: value for name, value in request.headers if name.lower().startswith(b"x-")}


def test_the_upstream_is_told_who_asks_and_the_clients_own_words_are_removed() -> None:
    one = request()
    assert runner().access(one) is None
    assert (one.consumer, one.credential) == (BOB, KEY)
    assert told(one) == {
        b"X-Consumer-ID": BOB["id"].encode(),
        b"X-Consumer-Custom-ID": b"42",
        b"X-Consumer-Username": b"bob",
        b"X-Credential-Identifier": KEY["id"].encode(),
    }


def test_without_anonymous_a_failure_answers() -> None:
    answer = runner().access(request(b"wrong"))
    assert (answer.status, answer.message) == (401, "Unauthorized")


def test_with_anonymous_a_failure_lets_the_guest_through() -> None:
    for name in ("guest", GUEST["id"]):
        one = request(b"wrong")
        assert runner(anonymous=name).access(one) is None
        assert (one.consumer, one.credential) == (GUEST, None)
        assert told(one) == {
            b"X-Consumer-ID": GUEST["id"].encode(),
            b"X-Consumer-Username": b"guest",
            b"X-Anonymous-Consumer": b"true",
        }


def test_with_anonymous_a_credential_already_found_is_enough() -> None:
    one = request(b"wrong", consumer=BOB, credential={"id": "other"})
    assert runner(anonymous="guest").access(one) is None
    assert one.credential == {"id": "other"}


def test_with_anonymous_a_later_success_replaces_the_guest() -> None:
    one = request(consumer=GUEST)
    assert runner(anonymous="guest").access(one) is None
    assert one.consumer == BOB
    assert b"X-Anonymous-Consumer" not in told(one)


def test_an_anonymous_consumer_that_does_not_exist_is_a_fault() -> None:
    answer = runner(anonymous="nobody").access(request(b"wrong"))
    assert answer.status == 500


def test_preflights_pass_if_so_configured() -> None:
    preflight = FakeRequest(method=b"OPTIONS")
    assert runner(run_on_preflight=False).access(preflight) is None
    assert runner().access(preflight).status == 401


def test_what_has_to_be_waited_for_is_waited_for() -> None:
    one = runner(anonymous="guest")
    gate: Deferred[Any] = Deferred()
    one.node.cache.values.update({})
    one.node.store["keyauth_credentials"].select_by = lambda field, value: gate  # type: ignore[method-assign]
    waiting: list[Any] = []
    asked = request()
    one.start("access", asked).addBoth(waiting.append)
    assert waiting == []
    gate.callback(None)
    assert waiting == [None]
    assert asked.consumer == GUEST


def test_a_database_that_fails_is_not_taken_for_a_wrong_key() -> None:
    one = runner(anonymous="guest")

    async def broken(field: str, value: str) -> None:
        raise ConnectionError("database is down")

    one.node.store["keyauth_credentials"].select_by = broken  # type: ignore[method-assign]
    failures: list[Any] = []
    one.start("access", request()).addErrback(failures.append)
    assert failures[0].check(ConnectionError)


def test_credentials_that_were_seen_work_while_the_database_is_away() -> None:
    one = runner()
    assert one.access(request()) is None
    one.node.store["keyauth_credentials"].rows.clear()
    one.node.store["consumers"].rows.clear()
    assert one.access(request()) is None
