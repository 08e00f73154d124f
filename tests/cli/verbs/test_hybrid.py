"""C{hybrid gen_cert}."""

import datetime
import stat
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from kongtx.conf import from_values
from tests.cli.conftest import Run, failure


def test_a_pair_is_made_in_the_current_directory(run: Run, tmp_path: Path) -> None:
    result = run("hybrid", "gen_cert")
    assert (result.exit_code, result.output) == (
        0,
        "Successfully generated certificate/key pairs, they have been written to: "
        f"'{tmp_path}/cluster.crt' and '{tmp_path}/cluster.key'.\n",
    )
    assert stat.S_IMODE((tmp_path / "cluster.crt").stat().st_mode) == 0o644
    assert stat.S_IMODE((tmp_path / "cluster.key").stat().st_mode) == 0o600
    certificate = x509.load_pem_x509_certificate((tmp_path / "cluster.crt").read_bytes())
    key = load_pem_private_key((tmp_path / "cluster.key").read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    assert key.curve.name == "secp384r1"
    assert certificate.public_key() == key.public_key()
    assert certificate.subject.rfc4514_string() == "CN=kong_clustering"
    certificate.verify_directly_issued_by(certificate)
    validity = certificate.not_valid_after_utc - certificate.not_valid_before_utc
    assert validity == datetime.timedelta(days=1095)
    assert (tmp_path / "cluster.key").read_text().startswith("-----BEGIN PRIVATE KEY-----")


def test_nodes_take_the_pair(run: Run, tmp_path: Path) -> None:
    run("hybrid", "gen_cert", "a.crt", "a.key")
    configuration = from_values(
        role="control_plane",
        cluster_cert=str(tmp_path / "a.crt"),
        cluster_cert_key=str(tmp_path / "a.key"),
    )
    assert configuration.role == "control_plane"


@pytest.mark.parametrize("option", ["-d", "--days"])
def test_the_days_may_be_given(run: Run, tmp_path: Path, option: str) -> None:
    assert run("hybrid", "gen_cert", option, "3").exit_code == 0
    certificate = x509.load_pem_x509_certificate((tmp_path / "cluster.crt").read_bytes())
    validity = certificate.not_valid_after_utc - certificate.not_valid_before_utc
    assert validity == datetime.timedelta(days=3)


def test_both_paths_are_needed(run: Run) -> None:
    result = run("hybrid", "gen_cert", "a.crt")
    assert (result.exit_code, result.stderr) == (
        1,
        failure("both cert and key path needs to be provided"),
    )


@pytest.mark.parametrize("existing", ["a.crt", "a.key"])
def test_nothing_is_overwritten(run: Run, tmp_path: Path, existing: str) -> None:
    (tmp_path / existing).write_text("kept")
    result = run("hybrid", "gen_cert", "a.crt", "a.key")
    assert (result.exit_code, result.stderr) == (
        1,
        failure(f"{tmp_path}/{existing} already exists.\nWill not overwrite it."),
    )
    assert [path.name for path in tmp_path.iterdir()] == [existing]
    assert (tmp_path / existing).read_text() == "kept"
