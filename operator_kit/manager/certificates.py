"""Certificates of the endpoint: from files, looked at again so that they can be renewed under it, or made for this run.

A renewal that cannot be used (half-written, key and certificate of different pairs) is logged once, and the old pair stays.
"""

from __future__ import annotations

import logging
import os
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import NamedTemporaryFile

from operator_kit.clock import Clock
from operator_kit.manager.endpoint import EndpointError
from operator_kit.observe.metrics import Registry as Metrics

__all__ = ["CertificateFiles", "self_signed"]

LOOK_EVERY = 1.0
"""Seconds between two looks at the files, at most; they are looked at when somebody connects."""

_log = logging.getLogger("operator_kit.endpoint")


class CertificateFiles:
    """A certificate (with its chain) and its key, in PEM files. Call it for the context of the next connection. Thread-safe.

    Raises:
        EndpointError: the files cannot be used, the first time.
    """

    def __init__(self, certificate: Path, key: Path, *, clock: Clock | None = None, metrics: Metrics | None = None) -> None:
        metrics = metrics or Metrics()
        self._read = metrics.counter("certwatcher_read_certificate_total", "Total number of certificate reads")
        self._errors = metrics.counter("certwatcher_read_certificate_errors_total", "Total number of certificate read errors")
        self._files = (certificate, key)
        self._clock = clock or Clock()
        self._lock = threading.Lock()
        self._looked = self._clock.monotonic()
        self._stamp = self._look()
        try:
            self._context = self._load()
        except EndpointError:
            self._errors.inc()
            raise

    def __call__(self) -> ssl.SSLContext:
        """The context, with what is in the files now."""
        with self._lock:
            now = self._clock.monotonic()
            if now - self._looked >= LOOK_EVERY:
                self._looked = now
                stamp = self._look()
                if stamp != self._stamp:
                    self._stamp = stamp
                    self._renew()
            return self._context

    def _renew(self) -> None:
        try:
            self._context = self._load()
        except EndpointError as exc:
            self._errors.inc()
            _log.warning("the certificate was changed and cannot be used, the old one stays: %s", exc)
        else:
            _log.info("loaded the certificate %s anew", self._files[0])

    def _look(self) -> tuple[object, ...]:
        stamps: list[object] = []
        for file in self._files:
            try:
                stat = file.stat()
                stamps.append((stat.st_mtime_ns, stat.st_size, stat.st_ino))
            except OSError:
                stamps.append(None)
        return tuple(stamps)

    def _load(self) -> ssl.SSLContext:
        certificate, key = self._files
        self._read.inc()
        for file in self._files:
            try:
                file.read_bytes()
            except OSError as exc:
                raise EndpointError(f"certificate file {file} cannot be read: {exc.strerror or exc}") from None
        try:
            return _context(certificate, key)
        except ssl.SSLError as exc:
            if "KEY_VALUES_MISMATCH" in str(exc):
                raise EndpointError(f"the key {key} is not the one of the certificate {certificate}") from None
            raise EndpointError(
                f"{certificate} and {key} are not a certificate and its key in PEM: {exc.reason or exc}"
            ) from None
        except OSError as exc:  # among others a key that asks for a password
            raise EndpointError(f"{certificate} and {key} cannot be used: {exc}") from None


def _context(certificate: Path | str, key: Path | str) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    context.load_cert_chain(certificate, key, password=lambda: b"")  # never ask on the terminal
    return context


def self_signed(clock: Clock | None = None) -> ssl.SSLContext:
    """A context with a certificate made for this run, for whoever verifies none: Prometheus with `insecure_skip_verify`.

    The key never reaches a disk where the system can help it.

    Raises:
        EndpointError: the package cryptography is not installed.
    """
    try:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec
    except ImportError as exc:
        raise EndpointError(
            f"metrics_secure without metrics_cert_file and metrics_key_file makes a certificate, which needs {exc.name}: "
            "pip install 'operator-kit[tls]', or give the files"
        ) from None
    from datetime import timedelta

    now = (clock or Clock()).now()
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "operator-kit")])
    names = {"localhost", socket.gethostname()}
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=3650))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(each) for each in sorted(names)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM) + key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    with _as_file(pem) as path:
        return _context(path, path)


@contextmanager
def _as_file(content: bytes) -> Iterator[str]:
    """A path to read it from, in memory where the system has such files: OpenSSL reads keys from paths alone."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("operator-kit")
        try:
            os.write(descriptor, content)
            yield f"/proc/self/fd/{descriptor}"
        finally:
            os.close(descriptor)
        return
    with NamedTemporaryFile(delete=False) as file:
        try:
            file.write(content)
            file.close()
            yield file.name
        finally:
            with suppress(OSError):
                Path(file.name).unlink()
