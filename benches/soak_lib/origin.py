"""The origin: an nginx with one worker, and behind it a server for long polls and tunnels.

Its log has one line for each request: the kind that the request says it is, and the status. What is
counted at the end is therefore what reached the origin, not what anybody believes to have sent.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import threading
from collections import Counter
from pathlib import Path

from .kinds import DOWNLOAD, MEDIA, PREFERENCE, PROFILE, ROOMS, STORED
from .machine import Process, free_port, wait_for

CONFIG = """
worker_processes 1;
{user}
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/nginx-errors.txt;
events {{ worker_connections 8192; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  default_type application/json;
  # What is read stays in memory, so that the disk belongs to the trail.
  client_body_buffer_size 256k;
  log_format kind '$arg_kind $status';
  log_format whoami 'whoami $status';
  map $http_authorization $named {{
    '~^Bearer t(?<number>[0-9]+)$' '@u$number:example.org';
    default '';
  }}

  server {{
    listen 127.0.0.1:{port} backlog=4096;
    root {folder}/files;
    access_log {folder}/requests.txt kind;

    location = /_matrix/client/versions {{ access_log off; return 200 '{{"versions":["v1.19"]}}'; }}
    location = /_matrix/client/v3/account/whoami {{
      access_log {folder}/requests.txt whoami;
      if ($named) {{ return 200 '{{"user_id":"$named","device_id":"SOAK"}}'; }}
      return 401 '{{"errcode":"M_UNKNOWN_TOKEN","error":"nobody"}}';
    }}
    location /_matrix/client/v3/profile/ {{ return 200 '{PROFILE}'; }}
    location /_matrix/media/v3/download/ {{ try_files /download.json =500; }}
    # Server-side includes make nginx forget the length: the answer is chunked.
    location = /_matrix/client/v3/publicRooms {{ ssi on; ssi_types *; try_files /rooms.json =500; }}
    location = /_matrix/client/v3/slow {{ limit_rate 8k; try_files /rooms.json =500; }}
    location = /_matrix/media/v3/upload {{
      # Unlike `return`, this reads the body to its end before it answers.
      client_max_body_size 0;
      proxy_pass_request_body off;
      proxy_set_header Content-Length '';
      proxy_pass http://unix:{folder}/uploaded.sock;
    }}
    location = /_matrix/client/v3/sync {{ proxy_pass http://unix:{folder}/holding.sock; }}
    location = /tunnel {{
      proxy_http_version 1.1;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection upgrade;
      proxy_pass http://unix:{folder}/holding.sock;
    }}
    location /_matrix/client/v3/user/@soak:example.org/ {{
      if ($request_method = PUT) {{ return 200 '{STORED}'; }}
      return 200 '{PREFERENCE}';
    }}
    location / {{ return 404 '{{"errcode":"M_NOT_FOUND","error":"Account data not found"}}'; }}
  }}
  server {{
    listen unix:{folder}/uploaded.sock;
    location / {{ return 200 '{MEDIA}'; }}
  }}
}}
"""

SWITCHING = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: soak\r\n\r\n"


class Origin:
    """Listens once it is made. Leaving the `with` block ends it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.holding = Holding(folder / "holding.sock")
        files = folder / "files"
        files.mkdir()
        (files / "download.json").write_text(DOWNLOAD)
        (files / "rooms.json").write_text(ROOMS)
        config = folder / "nginx.conf"
        # As root it would serve as a user who cannot read the temporary folder.
        user = "user root;" if os.geteuid() == 0 else ""
        bodies = {"PROFILE": PROFILE, "MEDIA": MEDIA, "PREFERENCE": PREFERENCE, "STORED": STORED}
        config.write_text(CONFIG.format(folder=folder, port=self.port, user=user, **bodies))
        self.process = Process(
            ["nginx", "-p", str(folder), "-c", str(config)], folder / "nginx-output.txt"
        )
        self._stack = contextlib.ExitStack()
        self._stack.enter_context(self.holding)
        self._stack.enter_context(self.process)

    def __enter__(self) -> Origin:
        wait_for(self._listens, "nginx listens")
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _listens(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return True

    def counted(self) -> Counter[str]:
        """How many requests of each kind were heard. Complete once nginx is at rest."""
        with (self.folder / "requests.txt").open() as lines:
            return Counter(line.split(" ", 1)[0] for line in lines)


class Holding:
    """Takes long polls, which it never answers, and tunnels, which it opens. Ends neither."""

    def __init__(self, path: Path) -> None:
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(512)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._ended = False
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Holding:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended = True
        self._thread.join(5)

    def held(self) -> int:
        """How many of them are open: still wanted, as far as the origin knows."""
        # The other one is the listener.
        return len(self._selector.get_map()) - 1

    def _run(self) -> None:
        while not self._ended:
            for key, _ in self._selector.select(0.2):
                self._step(key.fileobj)

    def _step(self, ready: socket.socket) -> None:
        if ready is self._listener:
            self._selector.register(ready.accept()[0], selectors.EVENT_READ)
            return
        try:
            heard = ready.recv(65_536)
            if b"GET /tunnel" in heard:
                ready.sendall(SWITCHING)
        except OSError:
            heard = b""
        if not heard:
            self._selector.unregister(ready)
            ready.close()
