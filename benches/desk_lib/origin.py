"""The homeserver's stand-in: an nginx that knows every user by a token, and takes what they write."""

from __future__ import annotations

import contextlib
import os
import socket
from pathlib import Path

from soak_lib.machine import Process, free_port, wait_for

CONFIG = """
worker_processes 1;
{user}
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/nginx-errors.txt;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  default_type application/json;
  keepalive_requests 1000000000;
  keepalive_timeout 1h;
  map $http_authorization $number {{ '~^Bearer t(?<found>[0-9]+)$' $found; default ''; }}
  server {{
    listen 127.0.0.1:{port};
    location = /_matrix/client/versions {{ return 200 '{{"versions":["v1.19"]}}'; }}
    location = /_matrix/client/v3/account/whoami {{
      if ($number != '') {{ return 200 '{{"user_id":"@user$number:example.org","device_id":"DEVICE$number"}}'; }}
      return 401 '{{"errcode":"M_UNKNOWN_TOKEN","error":"nobody"}}';
    }}
    location /_matrix/client/v3/user/ {{ return 200 '{{}}'; }}
    location / {{ return 404 '{{"errcode":"M_UNRECOGNIZED","error":"Unrecognized request"}}'; }}
  }}
}}
"""


class Origin:
    """Listens once the `with` block is entered; leaving it ends it."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.port = free_port()
        config = folder / "nginx.conf"
        # As root it would serve as a user who cannot read the temporary folder.
        user = "user root;" if os.geteuid() == 0 else ""
        config.write_text(CONFIG.format(folder=folder, port=self.port, user=user))
        self.process = Process(["nginx", "-p", str(folder), "-c", str(config)], folder / "nginx-output.txt")

    def __enter__(self) -> Origin:
        wait_for(self._listens, "the origin listens")
        return self

    def __exit__(self, *_: object) -> None:
        self.process.stop()

    def _listens(self) -> bool:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            return True
        return False
