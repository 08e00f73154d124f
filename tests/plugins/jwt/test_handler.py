"""jwt, with tokens that PyJWT signs."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from kongtx.plugins.jwt.handler import JWT
from kongtx.plugins.jwt.token import BadToken, parse
from kongtx.testing.plugins import PluginRunner
from kongtx.testing.request import Answer, FakeRequest
from tests.plugins.consumers import BOB, GUEST, credential, node_with

NOW = 1_700_000_000
SECRET = "a secret of at least thirty-two bytes"
RSA = rsa.generate_private_key(65537, 2048)
EC = ec.generate_private_key(ec.SECP256R1())
ED = ed25519.Ed25519PrivateKey.generate()


def row(algorithm: str = "HS256", **fields: Any) -> dict[str, Any]:
    return credential(
        **{
            "key": "issuer",
            "secret": SECRET,
            "rsa_public_key": None,
            "algorithm": algorithm,
            **fields,
        }
    )


def public(key: Any) -> str:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def signed(key: Any = SECRET, algorithm: str = "HS256", **claims: Any) -> str:
    return jwt.encode({"iss": "issuer", **claims}, key, algorithm)


def bearer(token: str) -> FakeRequest:
    return FakeRequest(headers=[(b"authorization", b"Bearer " + token.encode())])


def access(
    request: FakeRequest, credential_: dict[str, Any] | None = None, **config: Any
) -> Answer | None:
    node = node_with("jwt_secrets", credential_ or row())
    return PluginRunner(JWT(lambda: NOW), config, node).access(request)


def body(answer: Answer | None) -> Any:
    return json.loads(answer.body)


@pytest.mark.parametrize(
    ("algorithm", "key", "public_key"),
    [
        ("HS256", SECRET, None),
        ("HS384", SECRET * 2, None),
        ("HS512", SECRET * 2, None),
        ("RS256", RSA, public(RSA)),
        ("PS512", RSA, public(RSA)),
        ("ES256", EC, public(EC)),
        ("EdDSA", ED, public(ED)),
    ],
)
def test_a_token_is_accepted(algorithm: str, key: Any, public_key: str | None) -> None:
    secret = key if isinstance(key, str) else "unused"
    one = bearer(signed(key, algorithm))
    assert access(one, row(algorithm, secret=secret, rsa_public_key=public_key)) is None
    assert one.consumer == BOB
    assert one.get_header(b"x-credential-identifier") == b"issuer"
    assert one.shared["authenticated_jwt_token"] == signed(key, algorithm) or algorithm != "HS256"


def test_a_token_is_found_in_query_cookie_and_header() -> None:
    token = signed().encode()
    assert access(FakeRequest(target=b"/?jwt=" + token)) is None
    cookie = FakeRequest(headers=[(b"cookie", b"a=b; tok=" + token)])
    assert access(cookie, cookie_names=["tok"]) is None
    header = FakeRequest(headers=[(b"x-token", b"bearer  " + token)])
    assert access(header, header_names=["X-Token"]) is None
    same_twice = FakeRequest(
        target=b"/?jwt=" + token, headers=[(b"authorization", b"Bearer " + token)]
    )
    assert access(same_twice) is None


def test_without_a_token_the_client_is_challenged() -> None:
    answer = access(FakeRequest(), realm="shop")
    assert (answer.status, body(answer)) == (401, {"message": "Unauthorized"})
    assert (b"WWW-Authenticate", b'Bearer realm="shop"') in answer.headers


def test_several_tokens_are_refused() -> None:
    one = FakeRequest(
        target=b"/?jwt=" + signed(x=1).encode(),
        headers=[(b"authorization", b"Bearer " + signed(x=2).encode())],
    )
    answer = access(one)
    assert body(answer) == {"message": "Multiple tokens provided"}
    assert (b"WWW-Authenticate", b'Bearer error="invalid_token"') in answer.headers


def segment(value: Any) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


HEADER = segment({"alg": "HS256"})


@pytest.mark.parametrize(
    ("token", "message"),
    [
        ("x", "Bad token; invalid JSON"),
        ("!!.!!.!!", "Bad token; invalid JSON"),
        (f"{segment([])}.{segment({})}.x", "Bad token; invalid JSON"),
        (f"{segment({'alg': 'none'})}.{segment({})}.", "Bad token; invalid alg"),
        (f"{segment({})}.{segment({})}.x", "Bad token; invalid alg"),
        (f"{HEADER}.{segment(None)}.x", "Bad token; invalid claims"),
        (f"{HEADER}.{segment({})}.!", "Bad token; invalid signature"),
        (f"{HEADER}.{segment({})}.", "Bad token; invalid signature"),
        (f"{HEADER}.{segment({})}.{segment(b'x')}", "No mandatory 'iss' in claims"),
        (f"{HEADER}.{segment({'iss': ''})}.{segment(b'x')}", "Invalid 'iss' in claims"),
        (
            f"{HEADER}.{segment({'iss': 'eve'})}.{segment(b'x')}",
            "No credentials found for given 'iss'",
        ),
        (signed(SECRET * 2, "HS512"), "Invalid algorithm"),
        (signed("another secret of thirty-two bytes"), "Invalid signature"),
    ],
)
def test_a_bad_token_is_refused_with_the_reason(token: str, message: str) -> None:
    assert body(access(bearer(token))) == {"message": message}


@pytest.mark.parametrize("alg", ["none", "None", "NONE", "nOnE"])
def test_no_token_goes_unsigned(alg: str) -> None:
    token = f"{segment({'alg': alg})}.{segment({'iss': 'issuer'})}.{segment(b'x')}"
    assert access(bearer(token), row()).status == 401


def test_a_public_key_is_no_shared_secret() -> None:
    public_key = public(RSA)
    head = f"{HEADER}.{segment({'iss': 'issuer'})}"
    forged = hmac.new(public_key.encode(), head.encode(), hashlib.sha256).digest()
    one = bearer(f"{head}.{segment(forged)}")
    answer = access(one, row("RS256", rsa_public_key=public_key))
    assert body(answer) == {"message": "Invalid algorithm"}


def test_a_credential_without_its_key_is_told() -> None:
    answer = access(bearer(signed(EC, "ES256")), row("ES256"))
    assert body(answer) == {"message": "Invalid key/secret"}


@pytest.mark.parametrize(
    ("claims", "errors"),
    [
        ({"exp": NOW + 1, "nbf": NOW}, None),
        ({"exp": NOW, "nbf": NOW}, {"exp": "token expired"}),
        (
            {"exp": NOW - 5, "nbf": NOW + 1},
            {"exp": "token expired", "nbf": "token not valid yet"},
        ),
        ({}, {"exp": "must be a number", "nbf": "must be a number"}),
        ({"exp": "soon", "nbf": 0}, {"exp": "must be a number"}),
        ({"exp": NOW + 4000, "nbf": 0}, {"exp": "exceeds maximum allowed expiration"}),
    ],
)
def test_registered_claims(claims: dict[str, Any], errors: dict[str, str] | None) -> None:
    answer = access(
        bearer(signed(**claims)), claims_to_verify=["exp", "nbf"], maximum_expiration=3600
    )
    assert (answer and body(answer)) == errors


def test_the_key_may_be_named_by_another_claim_or_in_the_header() -> None:
    assert access(bearer(jwt.encode({"aud": "issuer"}, SECRET)), key_claim_name="aud") is None
    token = jwt.encode({}, SECRET, headers={"kid": "issuer"})
    assert access(bearer(token), key_claim_name="kid") is None


def test_a_secret_may_be_base64() -> None:
    secret = base64.urlsafe_b64encode(SECRET.encode()).decode()
    assert access(bearer(signed()), row(secret=secret), secret_is_base64=True) is None


def test_a_credential_whose_consumer_is_gone() -> None:
    answer = access(bearer(signed()), row(consumer={"id": GUEST["id"].replace("1", "2")}))
    assert body(answer) == {"message": "Could not find consumer for 'iss=issuer'"}


@given(st.one_of(st.text(), st.binary().map(lambda raw: segment(raw) + "." + segment(raw) + ".x")))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    try:
        token = parse(text)
    except BadToken:
        return
    assert token.algorithm != "none"
