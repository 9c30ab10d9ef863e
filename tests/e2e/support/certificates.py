"""Certificates, made by `openssl`."""

from __future__ import annotations

import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path

# Nothing but what the command line says: a distribution's own file would make every certificate a CA.
CONFIG = "[req]\ndistinguished_name = name\n[name]\n"


@dataclass
class Pair:
    """A certificate and its key, in PEM."""

    certificate: Path
    key: Path

    def der(self) -> bytes:
        """The certificate, as it is shown in a handshake."""
        return ssl.PEM_cert_to_DER_cert(self.certificate.read_text())

    def replace(self, by: Pair) -> None:
        """From now on these files hold what those of `by` hold."""
        self.certificate.write_bytes(by.certificate.read_bytes())
        self.key.write_bytes(by.key.read_bytes())

    def tls(self) -> dict[str, str]:
        """For a listener's table."""
        return {"certificate_file": str(self.certificate), "key_file": str(self.key)}


class Authority:
    """A CA of our own."""

    def __init__(self, folder: Path, name: str = "ca") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        (folder / "openssl.cnf").write_text(CONFIG)
        self.own = self._make(name, "basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign")

    def issue(self, name: str, host: str = "DNS:localhost,IP:127.0.0.1") -> Pair:
        return self._make(
            name, "basicConstraints=critical,CA:FALSE", f"subjectAltName={host}", issuer=self.own
        )

    def _make(self, name: str, *extensions: str, issuer: Pair | None = None) -> Pair:
        pair = Pair(self._folder / f"{name}.pem", self._folder / f"{name}.key")
        command = ["openssl", "req", "-x509", "-config", str(self._folder / "openssl.cnf")]
        command += ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        command += ["-subj", f"/CN={name}", "-days", "2"]
        command += ["-out", str(pair.certificate), "-keyout", str(pair.key)]
        for extension in extensions:
            command += ["-addext", extension]
        if issuer is not None:
            command += ["-CA", str(issuer.certificate), "-CAkey", str(issuer.key)]
        subprocess.run(command, check=True, capture_output=True, timeout=60)
        pair.key.chmod(0o600)
        return pair
