"""The entities that bundled plugins bring: credentials of consumers, tokens, sessions.

Each function gives the entities of one plugin, for C{SchemaRegistry.register_plugin}.
"""

from __future__ import annotations

import hashlib

from kongtx.entities.internal import ratelimiting_metrics, response_ratelimiting_metrics
from kongtx.lib import passwords
from kongtx.schema import (
    Field,
    Schema,
    Transformation,
    array,
    boolean,
    conditional,
    foreign,
    integer,
    string,
)
from kongtx.schema import typedefs as t
from kongtx.schema.formats import parse_url
from kongtx.schema.keys import public_key

_ALGORITHMS = [
    *("HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "ES256", "ES384", "ES512"),
    *("PS256", "PS384", "PS512", "EdDSA"),
]
_ASYMMETRIC = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "EdDSA"]
_SECRET_ROUNDS = 10000


def _owned() -> dict[str, Field]:
    return {
        "id": t.uuid(),
        "created_at": t.auto_timestamp_s(),
        "consumer": foreign("consumers", required=True, on_delete="cascade"),
    }


def key_auth() -> tuple[Schema, ...]:
    """Keys of consumers, which may expire."""
    credentials = Schema(
        "keyauth_credentials",
        {
            **_owned(),
            "key": string(required=False, unique=True, auto=True, len_min=1),
            "tags": t.tags(),
        },
        endpoint_key="key",
        cache_key=["key"],
        ttl=True,
        workspaceable=True,
        admin_path="key-auths",
        nested_name="key-auth",
    )
    return (credentials,)


def hash_password(password: str, consumer_id: str) -> str:
    """How basic-auth keeps a password: SHA-1 of it followed by the consumer's id, in hexadecimal.

    Weak by today's measure, and kept so that databases and files of Kong remain usable.
    """
    return hashlib.sha1((password + consumer_id).encode(), usedforsecurity=False).hexdigest()


def _kept_password(password: str, consumer_id: str) -> dict[str, str]:
    is_hash = passwords.parse(password) is not None
    return {"password": password if is_hash else hash_password(password, consumer_id)}


def check_password(value: str) -> str | None:
    """What looks like a hash is one, rather than a password that nobody means."""
    if not value.startswith(passwords.PREFIX) or passwords.parse(value) is not None:
        return None
    return "not a hash as kongtx password makes it"


def basic_auth() -> tuple[Schema, ...]:
    """Names and passwords of consumers."""
    credentials = Schema(
        "basicauth_credentials",
        {
            **_owned(),
            "username": string(required=True, unique=True),
            "password": string(required=True, encrypted=True, custom_validator=check_password),
            "tags": t.tags(),
        },
        endpoint_key="username",
        cache_key=["username"],
        workspaceable=True,
        admin_path="basic-auths",
        nested_name="basic-auth",
        transformations=[
            Transformation(
                inputs=("password",),
                needs=("consumer.id",),
                on_write=_kept_password,
            )
        ],
    )
    return (credentials,)


def hmac_auth() -> tuple[Schema, ...]:
    """Names and secrets of consumers who sign their requests."""
    credentials = Schema(
        "hmacauth_credentials",
        {
            **_owned(),
            "username": string(required=True, unique=True),
            "secret": string(auto=True),
            "tags": t.tags(),
        },
        endpoint_key="username",
        cache_key=["username"],
        workspaceable=True,
        admin_path="hmac-auths",
        nested_name="hmac-auth",
    )
    return (credentials,)


def _check_public_key(value: str) -> str | None:
    try:
        public_key(value)
    except ValueError:
        return "invalid key"
    return None


def jwt() -> tuple[Schema, ...]:
    """Secrets and public keys of consumers who send JSON Web Tokens."""
    secrets = Schema(
        "jwt_secrets",
        {
            **_owned(),
            "key": string(required=False, unique=True, auto=True),
            "secret": string(auto=True),
            "rsa_public_key": string(),
            "algorithm": string(default="HS256", one_of=_ALGORITHMS),
            "tags": t.tags(),
        },
        endpoint_key="key",
        cache_key=["key"],
        workspaceable=True,
        admin_path="jwts",
        nested_name="jwt",
        entity_checks=[
            conditional(
                "algorithm",
                {"match_any": {"patterns": [f"^{name}$" for name in _ASYMMETRIC]}},
                "rsa_public_key",
                {"required": True, "custom_validator": _check_public_key},
            )
        ],
    )
    return (secrets,)


def acl() -> tuple[Schema, ...]:
    """Groups of consumers."""
    groups = Schema(
        "acls",
        {**_owned(), "group": string(required=True), "tags": t.tags()},
        cache_key=["consumer", "group"],
        workspaceable=True,
    )
    return (groups,)


def check_redirect_uri(value: str) -> str | None:
    """A URI with scheme and host, without fragment (RFC 6749 §3.1.2)."""
    url = parse_url(value)
    if url is None or url.host is None or url.scheme is None:
        return f"cannot parse '{value}'"
    return f"fragment not allowed in '{value}'" if "#" in value else None


def hash_secret(secret: str, salt: bytes | None = None) -> str:
    """A secret as a PBKDF2 hash in PHC form, as oauth2 keeps it when told to.

    @param secret: in clear.
    @param salt: 16 random bytes when not given.
    """
    return passwords.make(secret, salt, _SECRET_ROUNDS)


def _hash_client_secret(wanted: bool, secret: str) -> dict[str, str]:
    return {"client_secret": hash_secret(secret)} if wanted else {}


def _oauth2_credentials() -> Schema:
    return Schema(
        "oauth2_credentials",
        {
            **_owned(),
            "name": string(required=True),
            "client_id": string(required=False, unique=True, auto=True),
            "client_secret": string(required=False, auto=True, encrypted=True),
            "hash_secret": boolean(required=True, default=False),
            "redirect_uris": array(string(custom_validator=check_redirect_uri), required=False),
            "tags": t.tags(),
            "client_type": string(
                required=True, default="confidential", one_of=["confidential", "public"]
            ),
        },
        endpoint_key="client_id",
        cache_key=["client_id"],
        workspaceable=True,
        admin_path="oauth2",
        transformations=[
            Transformation(
                inputs=("hash_secret",), needs=("client_secret",), on_write=_hash_client_secret
            )
        ],
    )


def _granted() -> dict[str, Field]:
    return {
        "id": t.uuid(),
        "created_at": t.auto_timestamp_s(),
        "service": foreign("services", default=None, on_delete="cascade"),
        "credential": foreign("oauth2_credentials", required=True, on_delete="cascade"),
    }


def _oauth2_authorization_codes() -> Schema:
    return Schema(
        "oauth2_authorization_codes",
        {
            **_granted(),
            "code": string(required=False, unique=True, auto=True),
            "authenticated_userid": string(required=False),
            "scope": string(),
            "challenge": string(required=False),
            "challenge_method": string(required=False, one_of=["S256"]),
            "plugin": foreign("plugins", default=None, on_delete="cascade"),
        },
        ttl=True,
        workspaceable=True,
        generate_admin_api=False,
        db_export=False,
    )


def _oauth2_tokens() -> Schema:
    return Schema(
        "oauth2_tokens",
        {
            **_granted(),
            "token_type": string(required=True, one_of=["bearer"], default="bearer"),
            "expires_in": integer(required=True),
            "access_token": string(required=False, unique=True, auto=True),
            "refresh_token": string(required=False, unique=True),
            "authenticated_userid": string(required=False),
            "scope": string(),
        },
        endpoint_key="access_token",
        cache_key=["access_token"],
        ttl=True,
        workspaceable=True,
    )


def oauth2() -> tuple[Schema, ...]:
    """Applications, and the codes and tokens granted to them."""
    return (_oauth2_credentials(), _oauth2_authorization_codes(), _oauth2_tokens())


def session() -> tuple[Schema, ...]:
    """Sessions of browsers, when they are kept in the database."""
    sessions = Schema(
        "sessions",
        {
            "id": t.uuid(),
            "session_id": string(unique=True, required=True),
            "expires": integer(),
            "data": string(),
            "created_at": t.auto_timestamp_s(),
        },
        endpoint_key="session_id",
        cache_key=["session_id"],
        ttl=True,
        db_export=False,
    )
    return (sessions,)


def mtls_auth() -> tuple[Schema, ...]:
    """Names in certificates that stand for consumers, of one authority or of any."""
    credentials = Schema(
        "mtls_auth_credentials",
        {
            **_owned(),
            "subject_name": string(required=True, len_min=1),
            "ca_certificate": foreign("ca_certificates", on_delete="cascade"),
            "tags": t.tags(),
        },
        cache_key=["subject_name", "ca_certificate"],
        workspaceable=True,
        admin_path="mtls-auths",
        nested_name="mtls-auth",
    )
    return (credentials,)


def acme() -> tuple[Schema, ...]:
    """Accounts, challenges and certificates of acme."""
    storage = Schema(
        "acme_storage",
        {
            "id": t.uuid(),
            "key": string(required=True, unique=True, auto=True),
            "value": string(required=True, auto=True),
            "created_at": t.auto_timestamp_s(),
        },
        cache_key=["key"],
        ttl=True,
    )
    return (storage,)


def rate_limiting() -> tuple[Schema, ...]:
    """Counters kept in the database."""
    return (ratelimiting_metrics(),)


def response_ratelimiting() -> tuple[Schema, ...]:
    """Counters kept in the database."""
    return (response_ratelimiting_metrics(),)


#: The entities of each bundled plugin that has any, by the plugin's name.
PLUGIN_ENTITIES = {
    "key-auth": key_auth,
    "basic-auth": basic_auth,
    "hmac-auth": hmac_auth,
    "jwt": jwt,
    "acl": acl,
    "oauth2": oauth2,
    "session": session,
    "acme": acme,
    "mtls-auth": mtls_auth,
    "rate-limiting": rate_limiting,
    "response-ratelimiting": response_ratelimiting,
}
