"""An authority that speaks ACME, by certbot's library. Every method waits: it is for threads."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import attrs
import josepy
import requests
from acme import challenges, client, crypto_util, errors, messages
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from requests.adapters import HTTPAdapter

from kongtx.plugins.acme.domains import end_of, issuer_of
from kongtx.plugins.acme.errors import ACMEError

HTTP_01 = "http-01"
TLS_ALPN_01 = "tls-alpn-01"
#: Seconds that one answer of an authority may take.
TIMEOUT = 20
_POLL = timedelta(seconds=1.5)


@attrs.frozen
class Proof:
    """What shows that a name is held.

    @ivar kind: L{HTTP_01} or L{TLS_ALPN_01}.
    @ivar key_authorization: of the token and the account's key.
    """

    kind: str
    host: str
    token: str
    key_authorization: str
    challenge: Any = attrs.field(repr=False)


@attrs.frozen
class Account:
    """Who asks an authority, and how to reach it.

    @ivar url: of the directory.
    @ivar key: the account's private key, in PEM form.
    """

    url: str
    email: str
    key: str = attrs.field(repr=False)
    eab_kid: str | None = None
    eab_hmac_key: str | None = attrs.field(default=None, repr=False)


class Authority:
    """One conversation with an authority.

    @param trust: makes the context that verifies the authority's own certificate.
    """

    def __init__(
        self, account: Account, trust: Callable[[], ssl.SSLContext], user_agent: str
    ) -> None:
        self._account = account
        key, algorithm = _account_key(account.key)
        self._key = key
        self._net = client.ClientNetwork(key, alg=algorithm, user_agent=user_agent, timeout=TIMEOUT)
        self._net.session.mount("https://", _Verifying(trust()))
        self._client: Any = None

    def connect(self) -> None:
        """Read the directory, and register the account if it is not known yet.

        @raise ACMEError: the authority refuses, or does not answer.
        """
        account = self._account
        with _told():
            directory = client.ClientV2.get_directory(account.url, self._net)
            self._client = client.ClientV2(directory, self._net)
            binding = None
            if account.eab_kid and account.eab_hmac_key:
                binding = messages.ExternalAccountBinding.from_data(
                    account_public_key=self._key.public_key(),
                    kid=account.eab_kid,
                    hmac_key=account.eab_hmac_key,
                    directory=directory,
                )
            wanted = messages.NewRegistration.from_data(
                email=account.email,
                terms_of_service_agreed=True,
                external_account_binding=binding,
            )
            try:
                self._client.new_account(wanted)
            except errors.ConflictError as known:
                self._net.account = messages.RegistrationResource(
                    uri=known.location, body=messages.Registration()
                )

    def order(self, host: str, key: str, kinds: Sequence[str]) -> tuple[Any, list[Proof]]:
        """Order a certificate.

        @param key: its private key, in PEM form.
        @param kinds: of proofs that can be given, the best first.
        @return: the order, and what has to be shown before it goes on.
        @raise ACMEError: the authority refuses, or does not answer.
        """
        with _told():
            request = crypto_util.make_csr(key.encode(), domains=[host])
            order = self._client.new_order(request)
            waiting = (each for each in order.authorizations if _status(each) != "valid")
            return order, [self._proof(each.body, host, kinds) for each in waiting]

    def _proof(self, authorization: Any, host: str, kinds: Sequence[str]) -> Proof:
        offered = {each.to_json()["type"]: each for each in authorization.challenges}
        for kind in kinds:
            if kind in offered:
                token = offered[kind].to_json()["token"]
                # All kinds of tokens are authorized alike; the library has a class for this one.
                http = challenges.HTTP01(token=josepy.decode_b64jose(token))
                return Proof(kind, host, token, http.key_authorization(self._key), offered[kind])
        raise ACMEError(
            f"the authority offers to validate {host} by {', '.join(offered)}, not by "
            + " or ".join(kinds)
        )

    def answer(self, proofs: Sequence[Proof]) -> None:
        """Say that the proofs can be seen now.

        @raise ACMEError: the authority refuses, or does not answer.
        """
        with _told():
            for proof in proofs:
                # The answer to any kind of challenge is an empty object.
                response = challenges.HTTP01Response(key_authorization=proof.key_authorization)
                self._client.answer_challenge(proof.challenge, response)

    def is_validated(self, order: Any) -> bool:
        """Whether all proofs have been seen.

        @raise ACMEError: one was refused.
        """
        with _told():
            found = [self._client.poll(each)[0] for each in order.authorizations]
        for each in found:
            if _status(each) not in ("pending", "valid"):
                problems = [one.error for one in each.body.challenges if one.error is not None]
                why = "; ".join(_words(problem) for problem in problems) or _status(each)
                raise ACMEError(f"validation of {each.body.identifier.value} failed: {why}")
        return all(_status(each) == "valid" for each in found)

    def finish(self, order: Any, preferred: str | None) -> str | None:
        """The certificate with its chain, in PEM form; L{None} if it is not issued yet.

        @param preferred: common name of who issued the last certificate, if there is a choice.
        @raise ACMEError: the authority refuses, or does not answer.
        """
        with _told():
            try:
                done = self._client.poll_finalization(
                    order, datetime.now() + _POLL, fetch_alternative_chains=bool(preferred)
                )
            except errors.TimeoutError:
                return None
        chains = [done.fullchain_pem, *(done.alternative_fullchains_pem or ())]
        fitting = (each for each in chains if preferred and issuer_of(each) == preferred)
        try:
            chosen: str = next(fitting, chains[0])
            end_of(chosen)
        except ValueError:
            raise ACMEError("the authority's certificate cannot be read") from None
        return chosen


class _Verifying(HTTPAdapter):
    """Connections that one context verifies, and no list of the library's own."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        super().__init__()

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, ssl_context=self._context, **options)

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        conn.cert_reqs = "CERT_REQUIRED"


def _account_key(pem: str) -> tuple[Any, Any]:
    try:
        key: Any = load_pem_private_key(pem.encode(), None)
    except (ValueError, TypeError):
        raise ACMEError("the account's private key cannot be read") from None
    if isinstance(key, rsa.RSAPrivateKey):
        return josepy.JWKRSA(key=key), josepy.RS256
    algorithms = {256: josepy.ES256, 384: josepy.ES384, 521: josepy.ES512}
    if getattr(key, "key_size", None) not in algorithms:
        raise ACMEError("the account's private key is neither RSA nor on a NIST curve")
    return josepy.JWKEC(key=key), algorithms[key.key_size]


def _status(resource: Any) -> str:
    return str(resource.body.status.name)


def _words(problem: Any) -> str:
    return " ".join(f"{problem.code or problem.typ}: {problem.detail}".split())


@contextmanager
def _told() -> Iterator[None]:
    """What goes wrong within, in one line."""
    try:
        yield
    except messages.Error as error:
        raise ACMEError(f"the authority refuses: {_words(error)}") from None
    except requests.RequestException as error:
        raise ACMEError(f"the authority cannot be reached: {_cause(error)}") from None
    except (errors.Error, josepy.DeserializationError) as error:
        told = " ".join(str(error).split()) or type(error).__name__
        raise ACMEError(f"the authority's answer cannot be used: {told}") from None


def _cause(error: BaseException) -> str:
    """What is at the bottom of layers of exceptions."""
    inner: Any = error
    while inner.args and isinstance(inner.args[-1], BaseException):
        inner = inner.args[-1]
    inner = getattr(inner, "reason", inner)
    return " ".join(str(inner).split())
