"""The certificates of listeners: as configured, or made at the first start."""

from __future__ import annotations

import datetime
import os

from twisted.logger import Logger

from kongtx.conf import Configuration
from kongtx.conf.syntax import pem
from kongtx.runtime.privileges import User
from kongtx.tls.defaults import default_files, ensure_defaults
from kongtx.tls.pairs import Pair

#: The kinds of listeners, each with the start of its properties' names.
PREFIXES = {"proxy": "", "admin": "admin_", "status": "status_"}

log = Logger()


def make_default_certificates(conf: Configuration, user: User | None = None) -> None:
    """Make the certificates of those listeners that have been given none.

    @param user: whom the workers run as.
    @raise OSError: they cannot be written.
    """
    directory = conf.prefixed("ssl")

    def own(path: str) -> None:
        if user is not None:
            os.chown(path, user.uid, user.gid)

    now = datetime.datetime.now(datetime.UTC)
    for kind, prefix in PREFIXES.items():
        if getattr(conf, f"{kind}_ssl_enabled") and not getattr(conf, f"{prefix}ssl_cert"):
            for path in ensure_defaults(directory, kind, now, own):
                log.info("made a self-signed {kind} certificate: {path}", kind=kind, path=path)


def configured_pairs(conf: Configuration, kind: str) -> list[Pair]:
    """The certificates of a kind of listeners, as configured or made by default.

    @raise OSError: a file cannot be read.
    """
    prefix = PREFIXES[kind]
    name = f"{prefix}ssl_cert"
    certificates, keys = getattr(conf, name), getattr(conf, f"{name}_key")
    if not certificates:
        files = default_files(conf.prefixed("ssl"), kind)
        certificates = [each.certificate for each in files]
        keys = [each.key for each in files]
    return [
        Pair(pem.read(certificate).decode(), pem.read(key).decode(), name)
        for certificate, key in zip(certificates, keys, strict=True)
    ]


def client_pair(conf: Configuration) -> Pair | None:
    """The certificate that upstreams are shown by default.

    @raise OSError: a file cannot be read.
    """
    if not conf.client_ssl or not conf.client_ssl_cert or not conf.client_ssl_cert_key:
        return None
    chain, key = pem.read(conf.client_ssl_cert), pem.read(conf.client_ssl_cert_key)
    return Pair(chain.decode(), key.decode(), "client_ssl_cert")
