"""What is wrong with where it should listen is said clearly, and ends the start."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.certificates import Authority
from support.gateway import binary, run, to_toml
from support.process import Process, free_port

PLAIN = "127.0.0.1:0"
FAILED, CONFIGURATION = 1, 78


def start(folder: Path, command: str, *listen: Any, **env: str) -> tuple[int, str]:
    """Exit code and output of a gateway that does not start."""
    config = folder / "gateway.toml"
    sections = {
        "server": {"listen": list(listen), "admin_listen": PLAIN},
        "origin": {"url": "http://127.0.0.1:1"},
        "database": {"url": f"sqlite:{folder}/audit.db"},
    }
    config.write_text(to_toml(sections))
    done = run(command, "--config", str(config), timeout=30, env={**os.environ, **env})
    assert "panicked" not in done.stderr
    return done.returncode, done.stdout + done.stderr


def tls(certificate: Path, key: Path) -> dict[str, Any]:
    return {"address": PLAIN, "tls": {"certificate_file": str(certificate), "key_file": str(key)}}


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.mark.parametrize("command", ["check", "serve"])
def test_certificates_that_cannot_be_used_are_a_mistake_of_the_configuration(
    authority: Authority, tmp_path: Path, command: str
) -> None:
    one, two = authority.issue("one"), authority.issue("two")
    missing, folder, nonsense, empty = (tmp_path / name for name in ("missing", "folder", "nonsense", "empty"))
    folder.mkdir()
    nonsense.write_text("-----BEGIN CERTIFICATE-----\nnonsense\n")
    empty.touch()
    for listen, said in {
        "missing": (tls(missing, one.key), [str(missing), "No such file"]),
        "missing key": (tls(one.certificate, missing), [str(missing), "No such file"]),
        "unreadable": (tls(folder, one.key), [str(folder), "cannot be read"]),
        "nonsense": (tls(nonsense, one.key), [str(nonsense), "not well-formed PEM"]),
        "empty": (tls(empty, one.key), [str(empty), "no certificate"]),
        "the wrong way round": (tls(one.key, one.certificate), [str(one.key), "no certificate"]),
        "of another": (tls(one.certificate, two.key), [str(two.key), "not that of"]),
    }.values():
        code, output = start(tmp_path, command, listen)
        assert (code, [part for part in said if part not in output]) == (CONFIGURATION, []), output
        assert two.key.read_text().splitlines()[1] not in output


def test_a_socket_that_nobody_passed_is_said_with_those_that_were(tmp_path: Path) -> None:
    code, output = start(tmp_path, "serve", "fd:clients")
    assert code in (FAILED, CONFIGURATION)
    assert "fd:clients" in output and "no socket of this name was passed" in output
    # Somebody else's variable is not ours.
    stale = {"LISTEN_PID": "1", "LISTEN_FDS": "1", "LISTEN_FDNAMES": "clients"}
    code, output = start(tmp_path, "serve", "fd:clients", **stale)
    assert code in (FAILED, CONFIGURATION)
    assert "no socket of this name was passed" in output


def test_a_socket_of_another_name_is_not_taken_for_ours(tmp_path: Path) -> None:
    config = tmp_path / "gateway.toml"
    config.write_text(
        to_toml(
            {
                "server": {"listen": ["fd:clients"], "admin_listen": PLAIN},
                "origin": {"url": "http://127.0.0.1:1"},
            }
        )
    )
    port = free_port()
    command = ["systemd-socket-activate", "-l", f"127.0.0.1:{port}", "--fdname=others"]
    command += [str(binary()), "serve", "--config", str(config)]
    activated = Process(command, tmp_path / "output.txt", cwd=tmp_path)
    activated.wait_for(lambda: "Listening on" in activated.log, "listening")
    with socket.create_connection(("127.0.0.1", port)):
        assert activated.child.wait(20) in (FAILED, CONFIGURATION)
    assert "fd:clients" in activated.log and "there is others" in activated.log


@pytest.fixture
def taken(tmp_path: Path) -> Callable[[str], str]:
    """Addresses that cannot be listened on."""
    sockets: list[socket.socket] = []

    def take(kind: str) -> str:
        if kind == "tcp":
            sockets.append(socket.create_server(("127.0.0.1", 0)))
            return f"127.0.0.1:{sockets[-1].getsockname()[1]}"
        path = tmp_path / "taken"
        if kind == "unix":
            sockets.append(socket.socket(socket.AF_UNIX))
            sockets[-1].bind(str(path))
            sockets[-1].listen()
        elif kind == "file":
            path.write_text("somebody's data")
        else:
            path = tmp_path / "missing" / "clients.sock"
        return f"unix:{path}"

    return take


@pytest.mark.parametrize(
    ("kind", "said"),
    [("tcp", "in use"), ("unix", "listen"), ("file", "socket"), ("no folder", "No such file")],
)
def test_an_address_that_cannot_be_listened_on_is_named(
    taken: Callable[[str], str], tmp_path: Path, kind: str, said: str
) -> None:
    address = taken(kind)
    code, output = start(tmp_path, "serve", address)
    assert code == FAILED, output
    assert f"cannot listen on {address}" in output and said in output.replace(address, ""), output
    if kind == "file":
        assert (tmp_path / "taken").read_text() == "somebody's data"
