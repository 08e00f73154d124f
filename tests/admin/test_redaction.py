"""Answers without private keys."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest_twisted
import treq

from kongtx.admin.answers import Answer
from kongtx.admin.redaction import redacted
from kongtx.testing.gateway import GatewayUnderTest
from tests.pki import certificate_pem, private_pem, public_pem

Make = Callable[..., Awaitable[GatewayUnderTest]]


def test_private_keys_are_hidden_wherever_they_are() -> None:
    rsa, ec = private_pem("rsa"), private_pem("ec")
    old = rsa.replace("PRIVATE KEY", "RSA PRIVATE KEY")
    entity = {"id": "1", "cert": certificate_pem(), "key": rsa, "key_alt": None, "n": 1}
    body = {
        "data": [entity, {"pem": {"private_key": ec, "public_key": public_pem()}}],
        "next": None,
    }
    body["config"] = f"certificates:\n- key: |\n{old}\n  tags: []\n"
    shown: Any = redacted(Answer(200, body)).body
    assert shown == {
        "data": [
            {**entity, "key": "[redacted]\n"},
            {"pem": {"private_key": "[redacted]\n", "public_key": public_pem()}},
        ],
        "next": None,
        "config": "certificates:\n- key: |\n[redacted]\n\n  tags: []\n",
    }
    assert redacted(Answer(200, b"x " + rsa.encode())).body == b"x [redacted]\n"
    assert "PRIVATE" not in json.dumps(redacted(Answer(200, {"key": rsa[:200]})).body)


def test_keys_in_json_show_their_public_members() -> None:
    key = {"kty": "EC", "crv": "P-256", "x": "a", "y": "b", "d": "secret"}
    shown: Any = redacted(Answer(200, {"jwk": json.dumps(key)})).body
    assert json.loads(shown["jwk"]) == {**key, "d": "[redacted]"}
    assert redacted(Answer(200, {"jwk": "{vault://env/k}"})).body == {"jwk": "{vault://env/k}"}
    assert redacted(Answer(200, {"jwk": "secret"})).body == {"jwk": "[redacted]"}
    assert redacted(Answer(204)).body is None


@pytest_twisted.ensureDeferred
async def test_the_admin_api_hides_keys_if_so_configured(make_gateway: Make) -> None:
    certificate = {"cert": certificate_pem(), "key": private_pem()}
    for redacts in ("off", "on"):
        gateway = await make_gateway(admin_redact_keys=redacts)
        url = f"{gateway.admin_url}/certificates"
        answers = [await treq.post(url, json=certificate, persistent=False)]
        answers.append(await treq.get(url, persistent=False))
        for answer in answers:
            text = (await answer.content()).decode()
            assert answer.code in (200, 201)
            assert ("PRIVATE KEY" in text, "[redacted]" in text) == (
                redacts == "off",
                redacts == "on",
            )
            assert "BEGIN CERTIFICATE" in text
