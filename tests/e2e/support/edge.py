"""nginx and HAProxy, as they stand before the gateway."""

from __future__ import annotations

import http.client
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from .gateway import REPOSITORY
from .http import request
from .process import Process, free_port

DEPLOY = REPOSITORY / "deploy"
NAMES = ["nginx", "haproxy"]

# The one line that the comments tell an operator to change.
BEFORE_EVERYTHING = {
    "nginx": ("    default homeserver;", "    default key_backup_gateway;"),
    "haproxy": ("    default_backend homeserver", "    default_backend key_backup_gateway"),
}

# What surrounds the http block's own part. nginx started by root wants to drop its rights, and
# could then not read the test's folder.
NGINX = """
daemon off;
{user}
pid {folder}/pid;
error_log {folder}/error.txt;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/site.conf;
}}
"""

Changes = list[tuple[str, str]]


def replaced(text: str, changes: Changes) -> str:
    """`text` with each change made. All of them must have been possible, exactly once."""
    for old, new in changes:
        assert text.count(old) == 1, f"{old!r} is there {text.count(old)} times"
        text = text.replace(old, new)
    return text


def answers_versions(port: int) -> bool:
    try:
        return request(port, "GET", "/_matrix/client/versions", timeout=5).status == 200
    # As long as nobody listens there, the kernel may connect us with ourselves.
    except (OSError, http.client.HTTPException):
        return False


class Edge:
    """nginx or HAProxy with `config`, listening on `port`.

    nginx's is the inside of its http block, HAProxy's the whole file.
    """

    def __init__(
        self,
        name: str,
        config: str,
        port: int,
        folder: Path,
        ready: Callable[[int], bool] = answers_versions,
    ) -> None:
        self.port = port
        folder.mkdir(parents=True, exist_ok=True)
        command = getattr(self, f"_{name}")(config, folder)
        binary = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")
        assert binary, f"{name} is missing: `tests/run e2e` installs it"
        self.process = Process([binary, *command], folder / f"{name}.txt", cwd=folder)
        try:
            self.process.wait_for(lambda: ready(port), f"{name} answering")
        except BaseException:
            self.process.stop()
            raise

    def _nginx(self, config: str, folder: Path) -> list[str]:
        (folder / "site.conf").write_text(config)
        user = "user root;" if os.geteuid() == 0 else ""
        (folder / "nginx.conf").write_text(NGINX.format(folder=folder, user=user))
        return ["-p", str(folder), "-e", str(folder / "error.txt"), "-c", str(folder / "nginx.conf")]

    def _haproxy(self, config: str, folder: Path) -> list[str]:
        (folder / "haproxy.cfg").write_text(config)
        return ["-db", "-f", str(folder / "haproxy.cfg")]

    def stop(self) -> None:
        self.process.stop()


def deployed(
    name: str, before: str, gateway: int, homeserver: int, folder: Path, *more: tuple[str, str]
) -> Edge:
    """With the very file from `deploy/` but for addresses and TLS, and what `more` changes.

    The gateway gets the guarded routes, or, if it is `before` "everything", the rest as well.
    """
    port = free_port()
    changes = [
        ("127.0.0.1:8009", f"127.0.0.1:{gateway}"),
        ("127.0.0.1:8008", f"127.0.0.1:{homeserver}"),
        *more,
    ]
    if before == "everything":
        changes.append(BEFORE_EVERYTHING[name])
    if name == "nginx":
        config = (DEPLOY / "nginx.conf").read_text()
        config = "".join(line for line in config.splitlines(True) if "ssl_certificate" not in line)
        changes += [
            ("listen 443 ssl;", f"listen 127.0.0.1:{port};"),
            ("    listen [::]:443 ssl;\n", ""),
        ]
    else:
        config = (DEPLOY / "haproxy.cfg").read_text()
        bind = "bind :443 ssl crt /etc/haproxy/certs/matrix.example.org.pem alpn h2,http/1.1"
        changes.append((bind, f"bind 127.0.0.1:{port}"))
    return Edge(name, replaced(config, changes), port, folder)
