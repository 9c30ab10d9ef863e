"""TLS, HTTP/2 and unix sockets, as curl and nghttp speak them."""

from __future__ import annotations

import signal
import socket
import ssl
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from support.certificates import Authority
from support.curl import curl, put
from support.edge import Edge
from support.gateway import Gateway
from support.http import build, connect, read_answer
from support.process import eventually, free_port
from support.relay import Listener, Origin
from support.synapse import Synapse
from support.trail import by_request

Start = Callable[..., Gateway]
Keep = Callable[[Listener], Listener]
VERSIONS = "/_matrix/client/versions"
PLAIN = "127.0.0.1:0"

NGINX = """
upstream gateway {{
    server unix:{path};
    keepalive 4;
}}
server {{
    listen 127.0.0.1:{port};
    location / {{
        proxy_pass http://gateway;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_set_header Host $http_host;
        proxy_set_header X-Forwarded-For $remote_addr;
        proxy_set_header X-Forwarded-Proto $scheme;
    }}
}}
"""


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


def shown(port: int) -> bytes:
    """The certificate that a new handshake shows."""
    return ssl.PEM_cert_to_DER_cert(ssl.get_server_certificate(("127.0.0.1", port)))


# === TLS ===


@pytest.mark.parametrize(("wanted", "version"), [("--http2", "2"), ("--http1.1", "1.1")])
def test_tls_speaks_what_the_client_asks_for(
    synapse: Synapse, gateway: Start, authority: Authority, listening: Keep, wanted: str, version: str
) -> None:
    origin = listening(Origin(synapse.port))
    pair = authority.issue("gateway")
    served = gateway(origin.url, server={"listen": [PLAIN, {"address": PLAIN, "tls": pair.tls()}]})
    url = f"https://localhost:{served.ports[1]}"
    options = [wanted, "--cacert", str(authority.own.certificate)]
    alice = synapse.register("alice")
    said, body = curl(url + VERSIONS, *options)
    assert (said, "versions" in body) == (f"{version} 200", True)
    assert put(url, alice, {"enabled": True}, *options) == (f"{version} 200", "{}")
    said, body = put(url, alice, {"enabled": "yes"}, *options)
    assert (said, "M_BAD_JSON" in body) == (f"{version} 400", True)
    assert synapse.content(alice) == {"enabled": True}
    assert [record["outcome"] for record in served.records()] == [None, "answered", "refused"]
    (write,) = origin.writes()
    assert write.values("x-forwarded-proto") == ["https"]
    assert write.values("host") == [f"localhost:{served.ports[1]}"]
    # The plain listener beside it is no less plain for that.
    assert curl(served.url + VERSIONS)[0] == "1.1 200"


def test_whoever_speaks_no_tls_at_a_tls_listener_gets_no_answer(
    synapse: Synapse, gateway: Start, authority: Authority
) -> None:
    tls = {"address": PLAIN, "tls": authority.issue("gateway").tls()}
    served = gateway(synapse.url, server={"listen": [tls]})
    with connect(served.port) as connection:
        connection.sendall(build("GET", VERSIONS))
        assert b"HTTP/1" not in connection.recv(4096)


def test_sighup_reads_certificates_again_and_a_bad_one_changes_nothing(
    synapse: Synapse, gateway: Start, authority: Authority
) -> None:
    used = authority.issue("used")
    first = used.der()
    served = gateway(synapse.url, server={"listen": [{"address": PLAIN, "tls": used.tls()}]})
    assert shown(served.port) == first

    def reload() -> None:
        before = served.log.count("certificate")
        served.process.child.send_signal(signal.SIGHUP)
        eventually(lambda: served.log.count("certificate") > before, "a word about the certificate")

    context = ssl.create_default_context(cafile=str(authority.own.certificate))
    with context.wrap_socket(connect(served.port), server_hostname="localhost") as kept:
        ask = build("GET", VERSIONS).replace(b"Connection: close\r\n", b"")

        def is_served() -> bool:
            kept.sendall(ask)
            return read_answer(kept).status == 200

        assert is_served()
        used.replace(by=authority.issue("second"))
        reload()
        second = shown(served.port)
        assert second == used.der() != first
        assert is_served()

        # As when a tool has written one file and not yet the other.
        other = authority.issue("other")
        used.certificate.write_bytes(other.certificate.read_bytes())
        reload()
        assert shown(served.port) == second
        assert '"ERROR"' in served.log and str(used.key) in served.log
        used.certificate.write_text("-----BEGIN CERTIFICATE-----\nnonsense\n")
        reload()
        used.certificate.unlink()
        reload()
        assert shown(served.port) == second
        assert is_served()
        assert kept.getpeercert(binary_form=True) == first

        used.replace(by=other)
        reload()
        assert shown(served.port) == other.der()
        assert is_served()
    key = other.key.read_text().splitlines()[1]
    assert key not in served.log
    assert served.stop() == 0


# === HTTP/2 without TLS ===


def test_http_2_by_prior_knowledge_is_served_and_guarded(
    synapse: Synapse, gateway: Start
) -> None:
    served = gateway(synapse.url)
    alice = synapse.register("alice")
    known = "--http2-prior-knowledge"
    assert curl(served.url + VERSIONS, known)[0] == "2 200"
    assert put(served.url, alice, {"enabled": True}, known, "-H", "X-Request-Id: two") == ("2 200", "{}")
    assert put(served.url, alice, {"enabled": 1}, known)[0] == "2 400"
    assert synapse.content(alice) == {"enabled": True}
    assert [record["phase"] for record in by_request(served.records())["two"]] == ["intent", "outcome"]
    asked = ["nghttp", "-nv", served.url + VERSIONS]
    done = subprocess.run(asked, capture_output=True, text=True, timeout=30)
    assert ":status: 200" in done.stdout, done.stdout


def test_an_offer_to_upgrade_to_http_2_is_not_taken(synapse: Synapse, gateway: Start) -> None:
    served = gateway(synapse.url)
    assert curl(served.url + VERSIONS, "--http2")[0] == "1.1 200"


def test_a_large_upload_and_download_by_http_2_are_whole(
    synapse: Synapse, gateway: Start, tmp_path: Path
) -> None:
    served = gateway(synapse.url)
    alice = synapse.register("alice")
    content, back = tmp_path / "content", tmp_path / "back"
    content.write_bytes(bytes(range(256)) * (20 << 12))
    token = ["-H", f"Authorization: Bearer {alice.token}", "--http2-prior-knowledge"]
    said, body = curl(
        served.url + "/_matrix/media/v3/upload", *token, "--data-binary", f"@{content}", timeout=60
    )
    assert said == "2 200", body
    name = body.rsplit("/", 1)[1].split('"')[0]
    download = f"{served.url}/_matrix/client/v1/media/download/localhost/{name}"
    assert curl(download, *token, "-o", str(back), timeout=60)[0] == "2 200"
    assert back.read_bytes() == content.read_bytes()


# === unix sockets ===


@pytest.mark.parametrize(("mode", "expected"), [(None, 0o660), ("0600", 0o600), ("0666", 0o666)])
def test_a_unix_socket_has_its_mode_and_its_peers_are_believed(
    synapse: Synapse, gateway: Start, tmp_path: Path, mode: str | None, expected: int
) -> None:
    path = tmp_path / "clients.sock"
    listen = {"address": f"unix:{path}"} | ({"mode": mode} if mode else {})
    served = gateway(synapse.url, server={"listen": [PLAIN, listen]})
    assert stat.S_IMODE(path.stat().st_mode) == expected
    alice = synapse.register("alice")
    through = ["--unix-socket", str(path)]
    assert curl("http://localhost" + VERSIONS, *through)[0] == "1.1 200"
    assert curl("http://localhost" + VERSIONS, *through, "--http2-prior-knowledge")[0] == "2 200"
    named = ["-H", "X-Forwarded-For: 203.0.113.7", "-H", "X-Forwarded-Proto: https"]
    assert put("http://localhost", alice, {"enabled": True}, *through, *named)[0] == "1.1 200"
    assert {record["client_address"] for record in served.records()} == {"203.0.113.7"}
    assert served.stop() == 0
    assert not path.exists()


def test_nginx_reaches_it_by_unix_socket(synapse: Synapse, gateway: Start, tmp_path: Path) -> None:
    path = tmp_path / "clients.sock"
    served = gateway(synapse.url, server={"listen": [f"unix:{path}"]})
    port = free_port()
    edge = Edge("nginx", NGINX.format(port=port, path=path), port, tmp_path / "nginx")
    try:
        alice = synapse.register("alice")
        url = f"http://127.0.0.1:{port}"
        for enabled in (True, False):
            assert put(url, alice, {"enabled": enabled}, "--interface", "127.0.0.6")[0] == "1.1 200"
        assert {record["client_address"] for record in served.records()} == {"127.0.0.6"}
    finally:
        edge.stop()


def test_what_a_killed_gateway_left_is_replaced(
    synapse: Synapse, gateway: Start, tmp_path: Path
) -> None:
    path = tmp_path / "clients.sock"
    listen = {"listen": [PLAIN, f"unix:{path}"]}
    gateway(synapse.url, server=listen).stop(signal.SIGKILL)
    with socket.socket(socket.AF_UNIX) as probe, pytest.raises(ConnectionRefusedError):
        probe.connect(str(path))
    gateway(synapse.url, server=listen)
    assert curl("http://localhost" + VERSIONS, "--unix-socket", str(path))[0] == "1.1 200"
