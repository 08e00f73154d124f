"""The certificates that listeners show at first."""

from __future__ import annotations

import datetime
import stat
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from kongtx.tls.defaults import default_files, ensure_defaults

NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


def test_they_are_made_once_under_kongs_names(tmp_path: Path) -> None:
    owned: list[str] = []
    made = ensure_defaults(str(tmp_path), "admin", NOW, owned.append)
    names = {"admin-kong-default", "admin-kong-default-ecdsa"}
    files = {path.name: path for path in tmp_path.iterdir()}
    assert set(files) == {f"{name}.{kind}" for name in names for kind in ("crt", "key")}
    assert sorted(owned) == sorted(map(str, files.values()))
    assert len(made) == 2
    for name in names:
        assert stat.S_IMODE(files[f"{name}.key"].stat().st_mode) == 0o600
    before = {name: path.read_bytes() for name, path in files.items()}
    assert ensure_defaults(str(tmp_path), "admin", NOW) == []
    assert {name: path.read_bytes() for name, path in files.items()} == before


def test_they_are_for_localhost_and_both_kinds_of_clients(tmp_path: Path) -> None:
    ensure_defaults(str(tmp_path), "proxy", NOW)
    kinds = (rsa.RSAPublicKey, ec.EllipticCurvePublicKey)
    for files, kind in zip(default_files(str(tmp_path), "proxy"), kinds, strict=True):
        certificate = x509.load_pem_x509_certificate(Path(files.certificate).read_bytes())
        assert isinstance(certificate.public_key(), kind)
        assert certificate.not_valid_after_utc - NOW == datetime.timedelta(days=7300)
        extensions = certificate.extensions
        names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert names.get_values_for_type(x509.DNSName) == ["localhost"]
        assert not extensions.get_extension_for_class(x509.BasicConstraints).value.ca
