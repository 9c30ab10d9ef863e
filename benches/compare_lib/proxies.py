"""nginx and HAProxy, each with one worker and at its best, doing the same work as the gateway."""

from __future__ import annotations

import os
import time
from pathlib import Path

from soak_lib.machine import Process, Trouble, wait_for

from . import accounting
from .ports import free, listens

# Enough for all long polls and their connections to the origin.
CONNECTIONS = 16384

NGINX = """
worker_processes 1;
{user}
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/nginx-errors.txt;
events {{ worker_connections {connections}; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  keepalive_requests 1000000000;
  keepalive_timeout 1h;
  client_max_body_size 0;
  upstream origin {{
    server 127.0.0.1:{origin};
    keepalive 512;
    keepalive_requests 1000000000;
    keepalive_timeout 1h;
  }}
  proxy_http_version 1.1;
  proxy_set_header Connection "";
  proxy_set_header Host $http_host;
  proxy_set_header X-Forwarded-For $remote_addr;
  proxy_set_header X-Forwarded-Proto $scheme;
  proxy_set_header X-Forwarded-Host $http_host;
  proxy_set_header X-Request-Id $request_id;
  proxy_read_timeout 1h;
  # No answer waits on a disk.
  proxy_max_temp_file_size 0;
  ssl_certificate {certificate};
  ssl_certificate_key {certificate};
  ssl_protocols TLSv1.3;

  server {{
    listen 127.0.0.1:{http} backlog=4096;
    listen 127.0.0.1:{http2} http2 backlog=4096;
    listen 127.0.0.1:{https} ssl backlog=4096;
    location / {{ proxy_pass http://origin; }}
  }}
  # For large bodies: what is cheapest for it.
  server {{
    listen 127.0.0.1:{bodies} backlog=4096;
    {large}
    location / {{ proxy_pass http://origin; }}
  }}
}}
"""
LARGE = """
    proxy_request_buffering off;
    client_body_buffer_size 256k;
    proxy_buffering off;
    proxy_buffer_size 512k;
    proxy_buffers 8 512k;
    proxy_busy_buffers_size 1m;
"""

HAPROXY = """
global
  nbthread 1
  # What is spliced goes in as large pieces as a pipe may have.
  tune.pipesize 1048576
  # With more it asks for more files than this script does.
  maxconn 6000
  ssl-default-bind-options ssl-min-ver TLSv1.3

defaults
  mode http
  timeout connect 5s
  timeout http-request 30s
  timeout http-keep-alive 1h
  timeout client 1h
  timeout server 1h
  http-reuse always
  # A client that has left ends its long poll.
  option abortonclose
  option splice-request
  option splice-response

frontend clients
  bind 127.0.0.1:{http}
  bind 127.0.0.1:{http2} proto h2
  bind 127.0.0.1:{https} ssl crt {certificate}
  unique-id-format %[uuid()]
  unique-id-header X-Request-Id
  http-request set-header X-Forwarded-For %[src]
  http-request set-header X-Forwarded-Proto https if {{ ssl_fc }}
  http-request set-header X-Forwarded-Proto http unless {{ ssl_fc }}
  http-request set-header X-Forwarded-Host %[req.hdr(host)]
  default_backend homeserver

backend homeserver
  server origin 127.0.0.1:{origin} pool-purge-delay 1h
"""


class Proxy:
    """One of those that are compared: runs once it is made, serves once the `with` block is entered."""

    name = ""

    def __init__(self, folder: Path, command: list[str], http: int, **others: int) -> None:
        """Ports: `http` is HTTP/1.1; `http2` (by prior knowledge), `https` and `bodies` if they are others."""
        self.http = http
        self.http2 = others.get("http2", http)
        self.https = others.get("https", 0)
        self.bodies = others.get("bodies", http)
        self.started = time.monotonic()
        self.process = Process(command, folder / "output.txt")

    def __enter__(self) -> Proxy:
        wait_for(self._listens, f"{self.name} listens")
        return self

    def __exit__(self, *_: object) -> None:
        self.process.stop()

    def cpu(self) -> float:
        """The CPU seconds it has used."""
        return accounting.cpu(accounting.family(self.process.pid))

    def resident(self) -> int:
        """The bytes of memory it holds."""
        return accounting.resident(accounting.family(self.process.pid))

    def _listens(self) -> bool:
        if not self.process.running():
            raise Trouble(f"{self.name} ended by itself:\n{self.process.log()[-2000:]}")
        return listens(self.http)


class Nginx(Proxy):
    name = "nginx"

    def __init__(self, folder: Path, origin: int, certificate: Path) -> None:
        ports = {"http": free(), "http2": free(), "https": free(), "bodies": free()}
        config = folder / "nginx.conf"
        config.write_text(NGINX.format(
            folder=folder, origin=origin, certificate=certificate, connections=CONNECTIONS, large=LARGE,
            # As root it would serve as a user who cannot write into the temporary folder.
            user="user root;" if os.geteuid() == 0 else "", **ports,
        ))
        super().__init__(folder, ["nginx", "-p", str(folder), "-c", str(config)], **ports)


class HAProxy(Proxy):
    name = "HAProxy"

    def __init__(self, folder: Path, origin: int, certificate: Path) -> None:
        ports = {"http": free(), "http2": free(), "https": free()}
        config = folder / "haproxy.cfg"
        config.write_text(HAPROXY.format(origin=origin, certificate=certificate, **ports))
        super().__init__(folder, ["haproxy", "-db", "-f", str(config)], **ports)

