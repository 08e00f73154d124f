"""basic-auth."""

from __future__ import annotations

import base64
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor

from kongtx.lib import passwords
from kongtx.plugins.basic_auth.handler import BasicAuth, Remembered, hash_password
from kongtx.testing.node import make_node
from kongtx.testing.plugins import PluginRunner
from kongtx.testing.request import Answer, FakeRequest
from tests.plugins.consumers import BOB, credential, node_with

ROW = credential(username="bob", password="")
ROW["password"] = hash_password(b"pass:word", ROW)
REFUSED = Answer(401, b"", [(b"WWW-Authenticate", b'Basic realm="service"')], "Unauthorized")


def basic(text: bytes, scheme: bytes = b"Basic ") -> bytes:
    return scheme + base64.b64encode(text)


def access(request: FakeRequest, **config: Any) -> Answer | None:
    node = node_with("basicauth_credentials", ROW)
    return PluginRunner(BasicAuth(), config, node).access(request)


def test_the_stored_password_is_the_contracts_hash() -> None:
    row = {"consumer": {"id": "d8b6b4e2-1d3c-4f0b-9e0a-000000000000"}}
    assert hash_password(b"kong", row) == "ab98628eb0a767b0582f3bc6fac3d409b09d5bd8"


@pytest.mark.parametrize(
    "headers",
    [
        [(b"authorization", basic(b"bob:pass:word"))],
        [(b"authorization", basic(b"bob:pass:word", b"  basic   "))],
        [(b"proxy-authorization", basic(b"bob:pass:word"))],
        [
            (b"proxy-authorization", basic(b"eve:x")),
            (b"authorization", basic(b"bob:pass:word")),
        ],
        [(b"proxy-authorization", b"Bearer x"), (b"authorization", basic(b"bob:pass:word"))],
    ],
)
def test_user_and_password_are_found(headers: list[tuple[bytes, bytes]]) -> None:
    one = FakeRequest(headers=headers)
    assert access(one) is None
    assert one.consumer == BOB
    assert one.get_header(b"x-credential-identifier") == b"bob"


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(b"authorization", basic(b"bob:wrong"))],
        [(b"authorization", basic(b"eve:pass:word"))],
        [(b"authorization", basic(b":pass:word"))],
        [(b"authorization", basic(b"bob"))],
        [(b"authorization", b"Basic !!!")],
        [(b"authorization", b"Basic")],
        [(b"authorization", basic(b"\xff\xfe:x"))],
        [
            (b"proxy-authorization", basic(b"bob:wrong")),
            (b"authorization", basic(b"bob:pass:word")),
        ],
    ],
)
def test_anything_else_is_refused_in_the_same_words(headers: list[tuple[bytes, bytes]]) -> None:
    assert access(FakeRequest(headers=headers)) == REFUSED


def test_what_was_looked_at_in_vain_is_hidden_too() -> None:
    one = FakeRequest(headers=[(b"proxy-authorization", b"x"), (b"authorization", b"Bearer x")])
    assert access(one, hide_credentials=True) == REFUSED
    assert one.headers == []


def test_what_was_looked_at_is_hidden_from_the_upstream() -> None:
    proxy, own = basic(b"bob:pass:word"), basic(b"other:x")
    one = FakeRequest(headers=[(b"proxy-authorization", proxy), (b"authorization", own)])
    assert access(one, hide_credentials=True) is None
    assert one.get_header(b"proxy-authorization") is None
    assert one.get_header(b"authorization") == own


SLOW = {**ROW, "password": passwords.make("pass:word", rounds=1000)}


async def login(runner: PluginRunner, password: bytes) -> Answer | None:
    one = FakeRequest(headers=[(b"authorization", basic(b"bob:" + password))])
    answer: Answer | None = await runner.start("access", one)
    assert one.consumer == (BOB if answer is None else None)
    return answer


@pytest_twisted.ensureDeferred
async def test_a_slow_hash_is_compared_with_beside_other_work() -> None:
    rows = {"consumers": [dict(BOB)], "basicauth_credentials": [SLOW]}
    node = make_node(rows, reactor=reactor)
    runner = PluginRunner(BasicAuth(), {}, node)
    assert await login(runner, b"wrong") == REFUSED
    assert await login(runner, b"pass:word") is None
    # What was right once is known at once, without a thread; what was wrong never is.
    one = FakeRequest(headers=[(b"authorization", basic(b"bob:pass:word"))])
    assert runner.run("access", one) is None
    assert await login(runner, b"pass:wor") == REFUSED


def test_no_more_passwords_are_remembered_than_allowed() -> None:
    hashed = passwords.parse(SLOW["password"])
    assert hashed is not None
    remembered = Remembered(2)
    for password in (b"a", b"b"):
        assert remembered.note(True, hashed, password) is True
    assert remembered.knows(hashed, b"a")
    assert remembered.note(False, hashed, b"wrong") is False
    assert remembered.note(True, hashed, b"c") is True
    found = [remembered.knows(hashed, each) for each in (b"a", b"b", b"c", b"wrong")]
    assert found == [True, False, True, False]


def test_nothing_is_remembered_of_another_hash_of_the_same_password() -> None:
    first, second = (passwords.parse(passwords.make("p", rounds=1000)) for _ in range(2))
    assert first is not None
    assert second is not None
    remembered = Remembered()
    remembered.note(True, first, b"p")
    assert not remembered.knows(second, b"p")
