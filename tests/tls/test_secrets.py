"""What goes wrong with keys is told without them."""

from __future__ import annotations

import datetime
import ssl
from typing import Any

import pytest
import pytest_twisted
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
)
from twisted.logger import formatEvent, globalLogPublisher

from kongtx.tls.certificates import ServerCertificates, pairs_of
from kongtx.tls.client import ClientMaterial, ClientSettings
from kongtx.tls.errors import EncryptedKey, TLSError, UnusableAuthority, UnusableCertificate
from kongtx.tls.expiry import expiry_of
from kongtx.tls.pairs import Pair, load_pair
from kongtx.tls.reasons import explain
from tests.tls.kit import chain_pem, entity, get, issued, key_pem, port_of

ID = "00000000-0000-4000-8000-000000000001"
LEAF = issued("a.test")
CHAIN, KEY = chain_pem(LEAF), key_pem(LEAF)
ENCRYPTED = (
    ec.generate_private_key(ec.SECP256R1())
    .private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x"))
    .decode()
)


@pytest.mark.parametrize(
    ("chain", "key", "error", "why"),
    [
        (CHAIN, ENCRYPTED, EncryptedKey, "the private key is encrypted"),
        (
            CHAIN,
            key_pem(issued("b.test")),
            UnusableCertificate,
            "the private key does not belong to the certificate",
        ),
        ("nonsense", KEY, UnusableCertificate, "cannot be read"),
        (CHAIN, "nonsense", UnusableCertificate, "cannot be read"),
    ],
)
def test_unusable_pairs_are_refused_clearly_and_discreetly(
    chain: str, key: str, error: type[Exception], why: str
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with pytest.raises(error) as caught:
        load_pair(context, Pair(chain, key, "certificate 7"))
    text = str(caught.value)
    assert text.startswith("certificate 7: ")
    assert why in text
    for line in key.splitlines()[1:-1]:
        assert line not in text


def test_no_key_is_in_a_repr() -> None:
    secret = KEY.splitlines()[1]
    pair = Pair(CHAIN, KEY)
    material = ClientMaterial(str, pair=pair)
    for each in (pair, ClientSettings(pair), material):
        assert secret not in repr(each)


def certificates(row: dict[str, Any], resolve: Any = str) -> ServerCertificates:
    def make(pairs: Any) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        for pair in pairs:
            load_pair(context, pair)
        return context

    made = ServerCertificates(make, resolve)
    made.update({"1": {"id": "1", **row}}, [{"name": "*", "certificate": {"id": "1"}}], ["1"])
    return made


def test_a_context_is_made_once_until_its_certificate_changes() -> None:
    made = certificates({"cert": CHAIN, "key": KEY})
    first = made.find("a.test")
    assert first is not None
    assert made.find("b.test") is first
    made.update({"1": {"id": "1", "cert": CHAIN, "key": KEY}}, [], ["1"])
    assert made.find("a.test") is None


def test_vault_references_stand_for_texts() -> None:
    texts = {"{vault://env/c}": CHAIN, "{vault://env/k}": KEY}
    row = {"id": "1", "cert": "{vault://env/c}", "key": "{vault://env/k}"}
    assert pairs_of(row, texts.__getitem__) == [Pair(CHAIN, KEY)]


def test_what_is_not_there_is_named() -> None:
    made = certificates({"cert": CHAIN, "key": "{vault://env/k}"}, lambda text: ENCRYPTED)
    with pytest.raises(TLSError, match="certificate 1: the private key is encrypted"):
        made.find("a.test")
    material = ClientMaterial(str)
    with pytest.raises(UnusableCertificate, match="certificate x does not exist"):
        material.pair_of("x")
    with pytest.raises(UnusableAuthority, match="CA certificate x does not exist"):
        material.authorities_of(["x"])
    with pytest.raises(UnusableAuthority, match="cannot be loaded from /nowhere"):
        ClientMaterial(str, ["/nowhere"]).context(ClientSettings(verify=True))


def test_the_end_of_a_certificate_is_foreseen() -> None:
    now = datetime.datetime.now(datetime.UTC)
    soon = chain_pem(issued("soon.test", not_after=now + datetime.timedelta(days=10)))
    past = chain_pem(issued("past.test", not_after=now - datetime.timedelta(days=2)))
    found = expiry_of(soon, now)
    assert found is not None
    assert found[1] == 9
    assert expiry_of(past, now)[1] == -3  # type: ignore[index]
    assert expiry_of(CHAIN, now) is None
    assert expiry_of("nonsense", now) is None


def test_reasons_are_words() -> None:
    alert = ssl.SSLError(1, "[SSL: TLSV1_ALERT_UNKNOWN_CA] tlsv1 alert unknown ca (_ssl.c:1)")
    alert.reason = "TLSV1_ALERT_UNKNOWN_CA"
    untrusted = ssl.SSLCertVerificationError(1, "x")
    untrusted.verify_message = "Hostname mismatch, certificate is not valid for 'a.test'."
    other = ssl.SSLError(1, "x")
    other.reason = "WRONG_VERSION_NUMBER"
    address = ssl.SSLCertVerificationError(1, "x")
    address.verify_message = "IP address mismatch, certificate is not valid for '127.0.0.1'."
    told = [explain(each) for each in (alert, untrusted, address, other, TimeoutError(), None)]
    assert told == [
        "it refused the connection: unknown ca",
        "its certificate is not trusted: hostname mismatch, certificate is not valid for 'a.test'",
        "its certificate is not trusted: IP address mismatch, "
        "certificate is not valid for '127.0.0.1'",
        "wrong version number",
        "it took too long",
        "it closed the connection",
    ]


@pytest_twisted.ensureDeferred
async def test_no_key_is_in_any_log_event(
    make_gateway: Any, openssl_server: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []

    def observe(event: dict[str, Any]) -> None:
        events.append(formatEvent(event) + repr(event))

    shown, wrong, broken = issued("own.test"), issued("client.test", number=1), issued("b.test")
    monkeypatch.setenv("BROKEN_KEY", key_pem(broken))
    route = {"name": "r", "paths": ["/"], "protocols": ["http", "https"]}
    globalLogPublisher.addObserver(observe)
    try:
        gateway = await make_gateway(
            {
                "certificates": [
                    entity(shown, "own.test"),
                    {**entity(wrong), "id": ID},
                    {**entity(issued("c.test"), "c.test"), "key": "{vault://env/broken-key}"},
                ],
                "services": [
                    {
                        "name": "s",
                        "url": f"https://127.0.0.1:{openssl_server}",
                        "client_certificate": ID,
                        "routes": [route],
                    }
                ],
            },
            proxy_listen="127.0.0.1:0 ssl",
            log_level="debug",
        )
        port = port_of(gateway.url)
        assert (await get(port, "own.test")).status == 502
        with pytest.raises(ssl.SSLError):
            await get(port, "c.test")
    finally:
        globalLogPublisher.removeObserver(observe)
    assert any("unknown ca" in event for event in events)
    assert any("does not belong" in event for event in events)
    for leaf in (shown, wrong, broken):
        secret = key_pem(leaf).splitlines()[1]
        assert not any(secret in event for event in events)
