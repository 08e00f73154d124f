"""No secret is ever logged."""

import base64
import json
import urllib.parse

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kongtx.runtime.logs.redact import Redactor

PASSWORD = 'pa"ss w/örd'


@pytest.mark.parametrize(
    "form",
    [
        PASSWORD,
        urllib.parse.quote(PASSWORD, safe=""),
        urllib.parse.quote_plus(PASSWORD),
        json.dumps({"x": PASSWORD})[7:-2],
        json.dumps({"x": PASSWORD}, ensure_ascii=False)[7:-2],
        base64.b64encode(PASSWORD.encode()).decode(),
    ],
)
def test_a_secret_is_found_in_every_form_it_travels_in(form):
    assert Redactor([PASSWORD])(f"before {form} after".encode()) == b"before ****** after"


@given(st.lists(st.text(min_size=4), min_size=1), st.text(), st.text())
def test_no_secret_is_left_in_what_is_written(secrets, before, after):
    written = Redactor(secrets)((before + secrets[0] + after).encode("utf-8", "replace"))
    for secret in secrets:
        # A mask may by chance complete a secret made of the mask's own characters.
        if "*" not in secret:
            assert secret.encode("utf-8", "replace") not in written


def test_the_longer_of_two_secrets_goes_first():
    assert Redactor(["abcd", "abcdefgh"])(b"abcdefgh abcd") == b"****** ******"


def test_a_private_key_is_found_line_by_line():
    body = ["MIIEvQIBADANBgkqhkiG9w0BAQEFAASC", "BKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj"]
    key = "\n".join(["-----BEGIN PRIVATE KEY-----", *body, "-----END PRIVATE KEY-----", ""])
    redact = Redactor([key])
    assert redact(f"oops {body[1]}\\x0A".encode()) == b"oops ******\\x0A"
    assert redact(b"-----BEGIN PRIVATE KEY-----") == b"-----BEGIN PRIVATE KEY-----"


def test_empty_and_very_short_secrets_are_not_looked_for():
    assert Redactor(["", "abc", None])(b"abc") == b"abc"


def test_secrets_learnt_later_are_found_too():
    redact = Redactor(["first-secret"])
    redact.add("second-secret", None)
    assert redact(b"first-secret second-secret") == b"****** ******"
