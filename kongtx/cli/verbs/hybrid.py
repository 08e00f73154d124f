"""C{kongtx hybrid}. Kong: kong/cmd/hybrid.lua."""

from __future__ import annotations

import datetime
import os

import click
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

from kongtx.cli.errors import CommandError
from kongtx.cli.options import Group, pass_output
from kongtx.cli.output import Output

#: The name that nodes expect of each other in C{shared} mode, in Kong as well.
COMMON_NAME = "kong_clustering"


@click.group("hybrid", cls=Group)
def command() -> None:
    """Help to run control planes and data planes."""


@command.command("gen_cert")
@click.argument("paths", nargs=-1, metavar="[CERT KEY]", type=click.Path())
@click.option(
    "-d",
    "--days",
    type=click.IntRange(min=1),
    default=3 * 365,
    show_default=True,
    help="Days for which the certificate is valid.",
)
@pass_output
def gen_cert(output: Output, paths: tuple[str, ...], days: int) -> None:
    """Make the certificate and key that all nodes of a cluster share.

    They are written to CERT and KEY, or to cluster.crt and cluster.key in the current directory.
    """
    if len(paths) not in (0, 2):
        raise CommandError("both cert and key path needs to be provided")
    certificate_path, key_path = map(os.path.abspath, paths or ("cluster.crt", "cluster.key"))
    for path in (certificate_path, key_path):
        if os.path.lexists(path):
            raise CommandError(f"{path} already exists.\nWill not overwrite it.")
    certificate, key = make_pair(datetime.datetime.now(datetime.UTC), days)
    _write(key_path, key, 0o600)
    _write(certificate_path, certificate, 0o644)
    output.info(
        "Successfully generated certificate/key pairs, they have been written to: "
        f"'{certificate_path}' and '{key_path}'."
    )


def make_pair(now: datetime.datetime, days: int) -> tuple[bytes, bytes]:
    """A self-signed certificate and its key (P-384), as PEM.

    @param now: when the certificate begins to be valid.
    """
    key = ec.generate_private_key(ec.SECP384R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, COMMON_NAME)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=days))
        .sign(key, hashes.SHA384())
    )
    return (
        certificate.public_bytes(Encoding.PEM),
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    )


def _write(path: str, data: bytes, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with open(descriptor, "wb") as stream:
        os.fchmod(descriptor, mode)
        stream.write(data)
