"""hmac-auth, with signatures that the standard library makes."""

from __future__ import annotations

import base64
import hashlib
import hmac
from email.utils import formatdate
from typing import Any

import pytest

from kongtx.plugins.hmac_auth.handler import HMACAuth
from kongtx.testing.plugins import PluginRunner
from kongtx.testing.request import Answer, FakeRequest
from tests.plugins.consumers import BOB, credential, node_with

NOW = 1_700_000_000
DATE = formatdate(NOW, usegmt=True).encode()
UNVERIFIED = "HMAC signature cannot be verified"
NO_DATE = (
    "HMAC signature cannot be verified, a valid date or x-date header is required for HMAC "
    "Authentication"
)
WRONG = "HMAC signature does not match"


def authorization(
    text: bytes,
    headers: str = "date request-line",
    algorithm: str = "sha256",
    secret: bytes = b"secret",
    username: str = "bob",
    scheme: str = "hmac",
) -> bytes:
    made = base64.b64encode(hmac.new(secret, text, algorithm).digest()).decode()
    return (
        f'{scheme} username="{username}", algorithm="hmac-{algorithm}", '
        f'headers="{headers}", signature="{made}"'
    ).encode()


def request(
    value: bytes | None, *headers: tuple[bytes, bytes], date: bytes = DATE, **attributes: Any
) -> FakeRequest:
    given = [(b"date", date), *headers]
    if value is not None:
        given.append((b"authorization", value))
    return FakeRequest(headers=given, target=b"/a?b=1", method=b"GET", **attributes)


SIGNED = b"date: " + DATE + b"\nGET /a?b=1 HTTP/1.1"


def access(request: FakeRequest, **config: Any) -> Answer | None:
    node = node_with("hmacauth_credentials", credential(username="bob", secret="secret"))
    return PluginRunner(HMACAuth(lambda: NOW), config, node).access(request)


@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "sha384", "sha512"])
def test_a_signed_request_is_accepted(algorithm: str) -> None:
    one = request(authorization(SIGNED, algorithm=algorithm))
    assert access(one) is None
    assert one.consumer == BOB
    assert one.get_header(b"x-credential-identifier") == b"bob"


@pytest.mark.parametrize(
    ("headers", "text"),
    [
        ("request-line", b"GET /a?b=1 HTTP/1.1"),
        ("@request-target", b"@request-target: get /a?b=1"),
        ("X-A missing", b"X-A: 1\nmissing:"),
        ("", b":"),
    ],
)
def test_what_is_signed(headers: str, text: bytes) -> None:
    assert access(request(authorization(text, headers), (b"x-a", b"1"))) is None


def test_http2_is_written_with_its_zero() -> None:
    value = authorization(b"GET /a?b=1 HTTP/2.0", "request-line")
    assert access(request(value, http_version=b"2")) is None


def test_the_date_may_be_x_date() -> None:
    one = request(authorization(b"", "date"), (b"x-date", DATE), date=b"yesterday")
    assert access(one).message == WRONG


@pytest.mark.parametrize(
    ("one", "config", "message"),
    [
        (request(None), {}, "Unauthorized"),
        (request(authorization(SIGNED), date=b"yesterday"), {}, NO_DATE),
        (
            request(authorization(SIGNED), date=formatdate(NOW - 301, usegmt=True).encode()),
            {},
            NO_DATE,
        ),
        (request(b"hmac nonsense"), {}, UNVERIFIED),
        (request(authorization(SIGNED)), {"enforce_headers": ["date", "x-a"]}, UNVERIFIED),
        (request(authorization(SIGNED)), {"algorithms": ["hmac-sha1"]}, UNVERIFIED),
        (request(authorization(SIGNED, username="eve")), {}, UNVERIFIED),
        (request(authorization(SIGNED, secret=b"wrong")), {}, WRONG),
        (request(authorization(SIGNED + b"x")), {}, WRONG),
    ],
)
def test_anything_else_is_refused(one: FakeRequest, config: dict[str, Any], message: str) -> None:
    answer = access(one, realm="shop", **config)
    assert answer == Answer(401, b"", [(b"WWW-Authenticate", b'hmac realm="shop"')], message)


@pytest.mark.parametrize(
    ("body", "digest", "accepted"),
    [
        (b"body", b"body", True),
        (b"body", b"other", False),
        (b"body", None, False),
        (b"", None, True),
    ],
)
def test_the_body_is_verified(body: bytes, digest: bytes | None, accepted: bool) -> None:
    headers = []
    if digest is not None:
        made = base64.b64encode(hashlib.sha256(digest).digest())
        headers.append((b"digest", b"SHA-256=" + made))
    answer = access(request(authorization(SIGNED), *headers, body=body), validate_request_body=True)
    assert (answer.message if answer else None) == (None if accepted else WRONG)


def test_the_signature_is_hidden_from_the_upstream() -> None:
    one = request(authorization(SIGNED))
    assert access(one, hide_credentials=True) is None
    assert one.get_header(b"authorization") is None


def test_what_is_no_signature_is_hidden_too() -> None:
    one = request(b"Bearer x")
    assert access(one, hide_credentials=True).message == UNVERIFIED
    assert one.get_header(b"authorization") is None


def test_proxy_authorization_comes_first() -> None:
    one = request(b"Basic x", (b"proxy-authorization", authorization(SIGNED, scheme="Hmac")))
    assert access(one) is None
