"""References to vaults."""

import pytest
from zope.interface.verify import verifyObject

from kongtx.conf.errors import VaultError
from kongtx.conf.vault import (
    EnvVault,
    IVault,
    Reference,
    is_reference,
    parse_reference,
    resolve,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{vault://env/name}", Reference("env", "name")),
        ("{vault://env/name/}", Reference("env", "name")),
        ("{vault://env/name/key}", Reference("env", "name", "key")),
        ("{vault://aws/a/b/key}", Reference("aws", "a/b", "key")),
        ("{vault://aws/a/b/}", Reference("aws", "a/b")),
        ("{vault://env/a%20b/k%2Fx}", Reference("env", "a b", "k/x")),
        ("{vault://env/name#2}", Reference("env", "name", version=2)),
        (
            "{vault://my-vault/name/key?prefix=SSL_&ttl=#1}",
            Reference("my-vault", "name", "key", {"prefix": "SSL_", "ttl": ""}, 1),
        ),
    ],
)
def test_a_reference_names_vault_resource_key_options_and_version(
    text: str, expected: Reference
) -> None:
    assert parse_reference(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("secret", "not a reference [secret]"),
        ("x{vault://env/a}", "not a reference [x{vault://env/a}]"),
        ("{vault://env/a} ", "not a reference [{vault://env/a} ]"),
        ("{vault:///a}", "reference url is missing host [{vault:///a}]"),
        ("{vault://env}", "reference url is missing path [{vault://env}]"),
        ("{vault://env/}", "reference url has empty path [{vault://env/}]"),
        ("{vault://env///}", "reference url has invalid path [{vault://env///}]"),
        ("{vault://env/a#x}", "reference url has invalid version [{vault://env/a#x}]"),
        (
            "{vault://[x/a}",
            "reference is not url (Invalid IPv6 URL) [{vault://[x/a}]",
        ),
    ],
)
def test_a_malformed_reference_is_refused(text: str, message: str) -> None:
    with pytest.raises(VaultError) as caught:
        parse_reference(text)
    assert str(caught.value) == message


@pytest.mark.parametrize("value", [None, 1, "", "vault://env/a", "{vault://env/a"])
def test_other_values_are_no_references(value: object) -> None:
    assert not is_reference(value)


ENVIRONMENT = {
    "PG_PASSWORD": "s3cret",
    "PG_PASSWORD_PREVIOUS": "0ld",
    "KEYS_PG_PASSWORD": "prefixed",
    "LOGIN": '{"user": "me", "age": 3}',
    "PLAIN": "no json",
    "EMPTY": "",
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{vault://env/pg-password}", "s3cret"),
        ("{vault://env/PG_PASSWORD}", "s3cret"),
        ("{vault://env/pg-password#1}", "s3cret"),
        ("{vault://env/pg-password#2}", "0ld"),
        ("{vault://env/pg-password?prefix=keys-}", "prefixed"),
        ("{vault://env/login/user}", "me"),
        ("{vault://env/login}", '{"user": "me", "age": 3}'),
        ("{vault://env/empty}", ""),
    ],
)
def test_the_env_vault_reads_variables(text: str, expected: str) -> None:
    assert resolve(text, {"env": EnvVault(ENVIRONMENT)}) == expected


def test_settings_hold_unless_the_reference_says_otherwise() -> None:
    vaults = {"env": EnvVault(ENVIRONMENT)}
    settings = {"env": {"prefix": "KEYS_"}}
    assert resolve("{vault://env/pg-password}", vaults, settings) == "prefixed"
    assert resolve("{vault://env/pg-password?prefix=}", vaults, settings) == "s3cret"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{vault://none/x}", "could not find vault (none)"),
        ("{vault://env/x}", "could not get value from external vault (no value found)"),
        (
            "{vault://env/login/name}",
            "could not get value from external vault (could not get subfield value: "
            "subfield name not found in JSON secret)",
        ),
        (
            "{vault://env/login/age}",
            "could not get value from external vault (could not get subfield value: "
            "unexpected int value in JSON secret for subfield age)",
        ),
        (
            "{vault://env/plain/x}",
            "could not get value from external vault (could not get subfield value: "
            "unable to json decode value)",
        ),
    ],
)
def test_what_has_no_value_is_refused_without_telling_secrets(text: str, message: str) -> None:
    with pytest.raises(VaultError) as caught:
        resolve(text, {"env": EnvVault(ENVIRONMENT)})
    assert str(caught.value) == message


def test_the_env_vault_keeps_its_contract() -> None:
    verifyObject(IVault, EnvVault({}))
