"""The origin: an nginx with one worker, behind it a server for long polls, and beside it one for uploads."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

from soak_lib.machine import Process, wait_for
from soak_lib.origin import Holding

from . import content
from .ports import free, listens

CONFIG = """
worker_processes 1;
{user}
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/nginx-errors.txt;
events {{ worker_connections 16384; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  default_type application/json;
  sendfile on;
  keepalive_requests 1000000000;
  keepalive_timeout 1h;
  # As Synapse's answers have them.
  add_header Cache-Control 'no-cache, no-store, must-revalidate';
  add_header Access-Control-Allow-Origin '*';
  add_header Access-Control-Allow-Methods 'GET, HEAD, POST, PUT, DELETE, OPTIONS';
  add_header Access-Control-Allow-Headers 'X-Requested-With, Content-Type, Authorization, Date';

  server {{
    listen 127.0.0.1:{port} backlog=4096;
    root {folder}/files;
    location = /_matrix/client/versions {{ return 200 '{{"versions":["v1.19"]}}'; }}
    location = {small} {{ return 200 '{small_body}'; }}
    location = {guarded} {{ return 200 '{preference}'; }}
    location ~ ^/_matrix/media/v3/download/example.org/(?<size>[0-9]+)$ {{ try_files /$size =404; }}
    location = /_matrix/client/v3/sync {{
      proxy_pass http://unix:{folder}/holding.sock;
      proxy_read_timeout 1h;
    }}
    location / {{ return 404 '{{"errcode":"M_UNRECOGNIZED","error":"Unrecognized request"}}'; }}
  }}
}}
"""


class Origin:
    """Listens once it is made. Leaving the `with` block ends it."""

    def __init__(self, folder: Path, sizes: tuple[int, ...]) -> None:
        """`sizes`: of the files there are, in MiB."""
        self.port, self.uploads = free(), free()
        files = folder / "files"
        files.mkdir(parents=True)
        for mebibytes in sizes:
            (files / str(mebibytes)).write_bytes(os.urandom(content.MIB) * mebibytes)
        config = folder / "nginx.conf"
        config.write_text(CONFIG.format(
            folder=folder, port=self.port,
            # As root it would serve as a user who cannot read the temporary folder.
            user="user root;" if os.geteuid() == 0 else "",
            small=content.SMALL, small_body=content.SMALL_BODY,
            guarded=content.GUARDED, preference=content.PREFERENCE,
        ))
        self.holding = Holding(folder / "holding.sock")
        sink = [sys.executable, str(Path(__file__).with_name("sink.py")), str(self.uploads)]
        self._stack = contextlib.ExitStack()
        enter = self._stack.enter_context
        enter(self.holding)
        enter(Process(["nginx", "-p", str(folder), "-c", str(config)], folder / "nginx-output.txt"))
        enter(Process(sink, folder / "sink-output.txt"))

    def __enter__(self) -> Origin:
        for port in (self.port, self.uploads):
            wait_for(lambda p=port: listens(p), "the origin listens")
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()
