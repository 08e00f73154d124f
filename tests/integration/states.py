"""A configuration for clients that make a gateway have what a file says."""

from __future__ import annotations

import ssl
from hashlib import sha256
from typing import Any

import trustme


def state() -> dict[str, Any]:
    """Every kind of entity that decK and the open source gateway both know."""
    authority = trustme.CA()
    issued = authority.issue_cert("secure.test")
    return {
        "_format_version": "3.0",
        "_info": {"select_tags": ["team-a"]},
        "services": [
            {
                "name": "users",
                "host": "users.test",
                "port": 8080,
                "path": "/v1",
                "tags": ["extra"],
                "routes": [
                    {
                        "name": "users",
                        "paths": ["/users", "~/people/\\d+$"],
                        "methods": ["GET", "POST"],
                        "plugins": [{"name": "cors", "config": {"origins": ["https://a.test"]}}],
                    }
                ],
                "plugins": [{"name": "rate-limiting", "config": {"minute": 5, "policy": "local"}}],
            },
            {"name": "secure", "host": "secure.test", "protocol": "https", "port": 443},
        ],
        "routes": [{"name": "alone", "hosts": ["alone.test"], "protocols": ["https"]}],
        "upstreams": [
            {
                "name": "users.test",
                "algorithm": "consistent-hashing",
                "hash_on": "header",
                "hash_on_header": "x-user",
                "healthchecks": {"active": {"healthy": {"interval": 5, "successes": 2}}},
                "targets": [
                    {"target": "10.0.0.1:80", "weight": 10},
                    {"target": "b.test:8080"},
                ],
            }
        ],
        "consumers": [
            {
                "username": "bob",
                "custom_id": "1",
                "keyauth_credentials": [{"key": "a-key"}],
                "hmacauth_credentials": [{"username": "bob", "secret": "s"}],
                "jwt_secrets": [{"key": "issuer", "secret": "s", "algorithm": "HS256"}],
                "acls": [{"group": "admins"}],
                "plugins": [{"name": "request-size-limiting"}],
            }
        ],
        "certificates": [
            {
                "id": "6f1ac8d4-3c8e-4a1c-9d4e-6a9d7f3b0001",
                "cert": issued.cert_chain_pems[0].bytes().decode(),
                "key": issued.private_key_pem.bytes().decode(),
                "snis": [{"name": "secure.test"}],
            }
        ],
        "ca_certificates": [
            {
                "id": "6f1ac8d4-3c8e-4a1c-9d4e-6a9d7f3b0002",
                "cert": authority.cert_pem.bytes().decode(),
                # Left out it would be a difference: clients cannot tell that it is computed.
                "cert_digest": sha256(
                    ssl.PEM_cert_to_DER_cert(authority.cert_pem.bytes().decode())
                ).hexdigest(),
            }
        ],
        "vaults": [{"name": "env", "prefix": "my-env", "config": {"prefix": "SECRET_"}}],
        "plugins": [{"name": "prometheus"}, {"name": "key-auth", "enabled": False}],
    }
