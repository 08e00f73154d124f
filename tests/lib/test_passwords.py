"""Slow hashes of passwords."""

from __future__ import annotations

import pytest

from kongtx.lib.passwords import Hash, make, parse

#: Of C{password} with the salt 0 to 15 and 1000 rounds.
MADE = make("password", bytes(range(16)), 1000)


def test_a_hash_is_in_phc_form() -> None:
    head, salt = "$pbkdf2-sha512$i=1000,l=32$", "AAECAwQFBgcICQoLDA0ODw"
    assert MADE.startswith(f"{head}{salt}$")
    assert len(MADE) == len(head) + len(salt) + 1 + 43


def test_a_known_hash_is_of_its_password() -> None:
    # The first half of a published vector for PBKDF2-HMAC-SHA-512: one round, salt "salt".
    digest = bytes.fromhex("867f70cf1ade02cff3752599a3a53dc4af34c7a669815ae5d513554e1c8cf252")
    assert Hash(1, b"salt", digest).matches(b"password")
    assert not Hash(2, b"salt", digest).matches(b"password")


def test_only_its_password_matches() -> None:
    hashed = parse(MADE)
    assert hashed is not None
    assert hashed.matches(b"password")
    assert not hashed.matches(b"Password")
    assert not hashed.matches(b"")


def test_each_hash_has_a_salt_of_its_own() -> None:
    assert make("password", rounds=1000) != make("password", rounds=1000)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "5baa61e4c9b93f3f0682250b6cf8331b7ee68fd8",
        MADE + "\n",
        MADE[:-1],
        MADE.replace("sha512", "sha1"),
        MADE.replace("i=1000", "i=0"),
        MADE.replace("i=1000", "i=99999999"),
        MADE.replace("l=32", "l=31"),
        "$pbkdf2-sha512$i=1000,l=3$AAEC$AAEC",
    ],
)
def test_anything_else_is_no_hash(text: str) -> None:
    assert parse(text) is None
