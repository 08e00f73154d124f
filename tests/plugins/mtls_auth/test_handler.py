"""mtls-auth without a gateway: which certificates are believed."""

from __future__ import annotations

import datetime
import ssl
from typing import Any

import pytest

from kongtx.tls.errors import UnusableAuthority
from kongtx.tls.peer import SKIP, STRICT, Authorities, check_revocations, facts_of, refusal_of
from tests.tls.kit import authority, ca_pem, crl_pem, issued, self_signed

NOW = datetime.datetime.now(datetime.UTC)
DAY = datetime.timedelta(days=1)


def chain_of(leaf: Any) -> list[bytes]:
    return [ssl.PEM_cert_to_DER_cert(each.bytes().decode()) for each in leaf.cert_chain_pems]


GOOD = chain_of(issued("client.test"))
REVOKING = crl_pem(authority(), [issued("revoked.test").cert_chain_pems[0].bytes()])


@pytest.mark.parametrize(
    ("chain", "why"),
    [
        (GOOD, None),
        (chain_of(issued("client.test", number=1)), "unable to get local issuer certificate"),
        (chain_of(issued("old.test", not_after=NOW - DAY)), "certificate has expired"),
        (
            [ssl.PEM_cert_to_DER_cert(self_signed("me.test")["cert"])],
            "self-signed certificate",
        ),
        ([b"nonsense"], "unreadable certificate"),
        (chain_of(authority().create_child_ca().issue_cert("client.test")), None),
    ],
)
def test_a_certificate_must_lead_to_an_authority(chain: list[bytes], why: str | None) -> None:
    assert refusal_of(chain, Authorities((ca_pem(),))) == why


def test_an_authority_in_between_is_enough_only_if_so_configured() -> None:
    child = authority().create_child_ca()
    chain, pem = chain_of(child.issue_cert("client.test")), child.cert_pem.bytes().decode()
    assert refusal_of(chain, Authorities((pem,))) == "unable to get issuer certificate"
    assert refusal_of(chain, Authorities((pem,), allows_partial=True)) is None


@pytest.mark.parametrize(
    ("name", "lists", "mode", "why"),
    [
        ("revoked.test", (REVOKING,), "IGNORE_CA_ERROR", "certificate revoked"),
        ("revoked.test", (REVOKING,), STRICT, "certificate revoked"),
        ("revoked.test", (REVOKING,), SKIP, None),
        ("client.test", (REVOKING,), STRICT, None),
        ("client.test", (), "IGNORE_CA_ERROR", None),
        ("client.test", (), STRICT, "unable to get certificate CRL"),
        ("client.test", (crl_pem(authority(1), []),), "IGNORE_CA_ERROR", None),
        ("client.test", (crl_pem(authority(1), []),), STRICT, "unable to get certificate CRL"),
    ],
)
def test_revocations_count_as_the_mode_says(
    name: str, lists: tuple[str, ...], mode: str, why: str | None
) -> None:
    chain = chain_of(issued(name))
    assert refusal_of(chain, Authorities((ca_pem(),), lists, mode)) == why


def test_an_authority_in_between_that_is_revoked_counts_although_the_leafs_list_is_missing() -> (
    None
):
    child = authority().create_child_ca()
    chain, revoking = chain_of(child.issue_cert("client.test")), [child.cert_pem.bytes()]
    lists = (crl_pem(authority(), revoking),)
    assert refusal_of(chain, Authorities((ca_pem(),), lists)) == "certificate revoked"
    assert refusal_of(chain, Authorities((ca_pem(),), (crl_pem(authority(), []),))) is None


def test_what_cannot_be_read_is_no_authority() -> None:
    with pytest.raises(UnusableAuthority):
        refusal_of(GOOD, Authorities(("nonsense",)))
    assert check_revocations("nonsense") == "invalid certificate revocation list"
    assert check_revocations(REVOKING) is None


def test_names_are_told_in_one_line() -> None:
    leaf = issued("a.test", "b@mail.test", "10.0.0.1", common_name="evil\r\nX-Admin: yes")
    facts = facts_of(chain_of(leaf)[0])
    assert facts.alternative_names == ("a.test", "b@mail.test", "10.0.0.1")
    assert facts.common_names == ("evil\r\nX-Admin: yes",)
    assert facts.subject.startswith("CN=evil\\0D\\0AX-Admin: yes,")
