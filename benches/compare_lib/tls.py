"""Small requests over TLS: what one costs on a connection that is kept, and on a new one."""

from __future__ import annotations

import socket
import ssl
import subprocess
from pathlib import Path

from soak_lib.machine import Trouble

from . import content
from .load import Load
from .proxies import Proxy
from .requests import Requests


class Tls(Requests):
    word = "tls"
    title = "TLS from the client, keep-alive: CPU per request"
    limit = 1.1
    notes = (
        "TLS: 1.3, with the same certificate for a P-256 key, X25519 and TLS_AES_256_GCM_SHA384. wrk resumes the "
        "session of a connection when it opens it anew; for full handshakes a library that was loaded into it "
        "makes it forget.",
    )

    def load(self, proxy: Proxy) -> Load:
        return self.wrk(f"https://127.0.0.1:{proxy.https}", close=False)


class TlsNew(Requests):
    word = "tls"
    title = "the same, new connection per request, full handshake: CPU"
    limit = 1.1

    def prepare(self) -> None:
        self.forgetting = _compiled(self.bench.folder)

    def load(self, proxy: Proxy) -> Load:
        return self.wrk(f"https://127.0.0.1:{proxy.https}", close=True, preload=self.forgetting)


class TlsResumed(Requests):
    word = "tls"
    title = "the same, new connection per request, session resumed: CPU"
    limit = 1.1

    def prepare(self) -> None:
        for proxy in self.bench.shared():
            if not _resumes(proxy.https):
                raise Trouble(f"{proxy.name} resumes no session")

    def load(self, proxy: Proxy) -> Load:
        return self.wrk(f"https://127.0.0.1:{proxy.https}", close=True)


def _compiled(folder: Path) -> Path:
    library = folder / "no_resumption.so"
    source = Path(__file__).with_name("no_resumption.c")
    done = subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"],
                          capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Trouble(f"no_resumption.c could not be compiled:\n{done.stderr}")
    return library


def _resumes(port: int) -> bool:
    """Whether a second connection goes on with the session of the first. Both speak as the notes say."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    session = None
    for _ in range(2):
        with socket.create_connection(("127.0.0.1", port), 10) as plain, \
                context.wrap_socket(plain, session=session) as connection:
            resumed = connection.session_reused
            spoken = connection.version(), connection.cipher()[0]
            connection.sendall(f"GET {content.VERSIONS} HTTP/1.1\r\nHost: compare.example.org\r\n\r\n".encode())
            # What lets the session be resumed comes with the first answer.
            connection.recv(4096)
            session = connection.session
    if spoken != ("TLSv1.3", "TLS_AES_256_GCM_SHA384"):
        raise Trouble(f"port {port} speaks {spoken}")
    return resumed
