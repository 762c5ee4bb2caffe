"""Which certificates are trusted, against real handshakes."""

from __future__ import annotations

import hashlib
import ssl
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from faults import Certificates, certificates
from lambdakit._aws.transport import AMAZON_ROOTS, Trust
from lambdakit.exceptions import ConfigurationError

# https://www.amazontrust.com/repository/: SHA-256 of the certificate, and of its SubjectPublicKeyInfo.
PUBLISHED = {
    "8ecde6884f3d87b1125ba31ac3fcb13d7016de7f57cc904fe1cb97c6ae98196e": (
        "fbe3018031f9586bcbf41727e417b7d1c45c2f47f93be372a17b96b50757d5a2"
    ),
    "1ba5b2aa8c65401a82960118f80bec4f62304d83cec4713a19c39c011ea46db4": (
        "7f4296fc5b6a4e3b35d3c369623e364ab1af381d8fa7121533c9d6c633ea2461"
    ),
    "18ce6cfe7bf14e60b2e347b8dfe868cb31d02ebb3ada271569f50343b46db3a4": (
        "36abc32656acfc645c61b71613c4bf21c787f5cabbee48348d58597803d7abc9"
    ),
    "e35d28419ed02025cfa69038cd623962458da5c695fbdea3c22b0bfb25897092": (
        "f7ecded5c66047d28ed6466b543c40e0743abe81d109254dcf845d4c2c7853c5"
    ),
    "568d6905a2c88708a4b3025190edcfedb1974a606a13c6e5290fcb2ae63edab5": (
        "2b071c59a0a0ae76b0eadb2bad23bad4580b69c3601b630c2eaf0613afa83f92"
    ),
}
UNKNOWN, EXPIRED, HOST = 20, 10, 62
TOOL = Path(__file__).parents[2] / "tools" / "amazon_roots.py"


@pytest.fixture(scope="module")
def certs(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Certificates of an authority of this test's own."""
    return certificates(tmp_path_factory.mktemp("certificates"))


def failed(code: int) -> ssl.SSLCertVerificationError:
    """A verification that failed with this code of OpenSSL."""
    error = ssl.SSLCertVerificationError()
    error.verify_code = code
    return error


def fingerprints(context: ssl.SSLContext) -> set[bytes]:
    """The certificates that are loaded."""
    return {hashlib.sha256(der).digest() for der in context.get_ca_certs(binary_form=True)}


def loaded(path: str | Path) -> set[bytes]:
    """Those that a file holds."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(path)
    return fingerprints(context)


def sequences(der: bytes) -> set[str]:
    """SHA-256 of every SEQUENCE in a certificate; its SubjectPublicKeyInfo is one of them."""
    found: set[str] = set()
    for at in range(len(der) - 4):
        if der[at] == 0x30:
            more = der[at + 1] & 0x7F if der[at + 1] & 0x80 else 0
            length = int.from_bytes(der[at + 2 : at + 2 + more], "big") if more else der[at + 1]
            found.add(hashlib.sha256(der[at : at + 2 + more + length]).hexdigest())
    return found


def test_the_roots_are_those_that_amazon_publishes() -> None:
    """Five certificates, by fingerprint, each with the key that is published."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(AMAZON_ROOTS)
    found = {hashlib.sha256(der).hexdigest(): sequences(der) for der in context.get_ca_certs(binary_form=True)}
    assert found.keys() == PUBLISHED.keys()
    assert [name for name, key in PUBLISHED.items() if key not in found[name]] == []


def test_no_root_expires_within_a_year() -> None:
    """This fails while there is time to ship others."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(AMAZON_ROOTS)
    in_a_year = time.time() + 365 * 24 * 3600
    expiring = [root for root in context.get_ca_certs() if ssl.cert_time_to_seconds(root["notAfter"]) < in_a_year]
    assert expiring == []


@pytest.mark.skipif(not TOOL.exists(), reason="the scripts are not part of the distribution")
def test_the_roots_are_what_the_public_bundle_has() -> None:
    """The script would write the same file again."""
    assert subprocess.run([sys.executable, TOOL, "--check"], check=False).returncode == 0


def test_amazons_roots_come_first() -> None:
    """The usual host costs five certificates, not 140."""
    assert loaded(AMAZON_ROOTS) == fingerprints(Trust(environ={}).context("kms.eu-west-1.amazonaws.com"))


@pytest.mark.parametrize(
    "environ",
    [{}, {"AWS_CA_BUNDLE": AMAZON_ROOTS}, {"REQUESTS_CA_BUNDLE": AMAZON_ROOTS}, {"SSL_CERT_FILE": AMAZON_ROOTS}],
)
def test_every_context_verifies_certificate_and_host_with_tls_1_2_or_later(environ: dict[str, str]) -> None:
    """There is no setting against it."""
    trust = Trust(environ=environ)
    contexts = [trust.context("a.example")]
    trust.fall_back_to_system_store("b.example", failed(UNKNOWN))
    contexts.append(trust.context("b.example"))
    expected = [(ssl.CERT_REQUIRED, True, ssl.TLSVersion.TLSv1_2)] * 2
    assert expected == [(one.verify_mode, one.check_hostname, one.minimum_version) for one in contexts]


def test_an_unknown_issuer_is_looked_up_in_the_full_store_once_for_a_host() -> None:
    """The other hosts stay with the roots; the context of the full store is built once."""
    trust = Trust(environ={})
    first = trust.context("a.example")
    assert [trust.fall_back_to_system_store("a.example", failed(UNKNOWN)) for _ in range(2)] == [True, False]
    full = trust.context("a.example")
    assert full is not first
    assert trust.context("b.example") is first
    assert trust.fall_back_to_system_store("b.example", failed(UNKNOWN))
    assert trust.context("b.example") is full


@pytest.mark.parametrize("code", [2, 18, 19, 20, 21])
def test_an_issuer_is_unknown_by_these_codes(code: int) -> None:
    """The chain does not lead to what was loaded."""
    assert Trust(environ={}).fall_back_to_system_store("a.example", failed(code)) is True


@pytest.mark.parametrize("code", [EXPIRED, HOST, 9, 23, 64])
def test_whatever_else_is_wrong_with_a_certificate_is_wrong_with_every_store(code: int) -> None:
    """Expired, not yet valid, revoked, of another host or address: no second attempt."""
    assert Trust(environ={}).fall_back_to_system_store("a.example", failed(code)) is False


@pytest.mark.parametrize("variable", ["AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"])
def test_a_named_bundle_is_the_only_one(certs: Certificates, variable: str) -> None:
    """Neither Amazon's roots nor the full store are tried then."""
    trust = Trust(environ={variable: str(certs.root)})
    assert loaded(certs.root) == fingerprints(trust.context("a.example"))
    assert trust.fall_back_to_system_store("a.example", failed(UNKNOWN)) is False


@pytest.mark.parametrize(
    ("nearer", "other"),
    [
        ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"),
        ("AWS_CA_BUNDLE", "SSL_CERT_FILE"),
        ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"),
    ],
)
def test_the_nearer_setting_counts(nearer: str, other: str, certs: Certificates) -> None:
    """In the order that botocore has."""
    trust = Trust(environ={nearer: str(certs.root), other: str(certs.unknown_root)})
    assert loaded(certs.root) == fingerprints(trust.context("a.example"))


@pytest.mark.parametrize("variable", ["AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"])
def test_a_bundle_may_be_a_directory(variable: str, tmp_path: Path) -> None:
    """As requests has it; it is read on demand."""
    trust = Trust(environ={variable: str(tmp_path)})
    assert fingerprints(trust.context("a.example")) == set()
    assert trust.fall_back_to_system_store("a.example", failed(UNKNOWN)) is False


def test_a_named_directory_is_read_on_demand(tmp_path: Path) -> None:
    """SSL_CERT_DIR alone is a bundle too; a list of directories needs one that exists."""
    trust = Trust(environ={"SSL_CERT_DIR": f"{tmp_path / 'none'}:{tmp_path}"})
    assert fingerprints(trust.context("a.example")) == set()
    assert trust.fall_back_to_system_store("a.example", failed(UNKNOWN)) is False


def test_an_empty_variable_counts_as_not_set() -> None:
    """As everywhere with AWS's variables."""
    trust = Trust(environ={"AWS_CA_BUNDLE": "", "SSL_CERT_FILE": "", "SSL_CERT_DIR": ""})
    assert loaded(AMAZON_ROOTS) == fingerprints(trust.context("a.example"))


@pytest.mark.parametrize("variable", ["AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"])
def test_a_missing_bundle_is_an_error_that_names_the_variable(variable: str, tmp_path: Path) -> None:
    """Every time, not only the first: nothing is trusted instead."""
    trust = Trust(environ={variable: str(tmp_path / "missing")})
    for _ in range(2):
        with pytest.raises(ConfigurationError, match=f"{variable} names .*missing.*unset it"):
            trust.context("a.example")


def test_a_bundle_without_certificates_is_an_error_that_names_the_variable(tmp_path: Path) -> None:
    """The cause is chained."""
    (tmp_path / "empty.pem").write_text("nothing")
    with pytest.raises(ConfigurationError, match="AWS_CA_BUNDLE") as caught:
        Trust(environ={"AWS_CA_BUNDLE": str(tmp_path / "empty.pem")}).context("a.example")
    assert isinstance(caught.value.__cause__, ssl.SSLError)


def test_a_package_without_the_roots_uses_the_full_store(tmp_path: Path) -> None:
    """Whoever left the file out has a slower function, not a broken one."""
    trust = Trust(environ={}, roots=str(tmp_path / "missing.pem"))
    assert fingerprints(ssl.create_default_context()) == fingerprints(trust.context("a.example"))


def test_this_process_is_the_default(certs: Certificates, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its variables are read when the first context is built."""
    trust = Trust()
    monkeypatch.setenv("AWS_CA_BUNDLE", str(certs.root))
    assert loaded(certs.root) == fingerprints(trust.context("a.example"))


def test_threads_share_one_context() -> None:
    """32 threads at once build it once."""
    trust = Trust(environ={})
    barrier = threading.Barrier(32)
    seen: list[ssl.SSLContext] = []

    def ask() -> None:
        barrier.wait()
        seen.append(trust.context("a.example"))

    threads = [threading.Thread(target=ask) for _ in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(seen), len({id(context) for context in seen})) == (32, 1)


def test_a_repr_tells_which_hosts_need_the_full_store() -> None:
    """They are slower to reach first."""
    trust = Trust(environ={})
    trust.fall_back_to_system_store("b.example", failed(UNKNOWN))
    trust.fall_back_to_system_store("a.example", failed(UNKNOWN))
    assert repr(trust) == "Trust(named=False, full=['a.example', 'b.example'])"
