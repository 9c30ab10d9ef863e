"""A real Synapse, with users."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import itertools
import json
import secrets
import signal
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from .http import Answer, request
from .process import Process, free_port

STABLE = "m.key_backup"
UNSTABLE = "m.org.matrix.custom.backup_disabled"
SERVER_NAME = "localhost"


@dataclass
class User:
    """Someone with an access token."""

    name: str
    user_id: str
    token: str
    device_id: str
    password: str

    def path(self, event_type: str = STABLE, version: str = "v3") -> str:
        """The plain path of this user's account data."""
        return account_data_path(self.user_id, event_type, version)


def account_data_path(user_id: str, event_type: str = STABLE, version: str = "v3") -> str:
    return (
        f"/_matrix/client/{version}/user/{quote(user_id, safe='')}"
        f"/account_data/{quote(event_type, safe='')}"
    )


class Synapse:
    """One running Synapse, on SQLite, with an appservice that owns `@bridge_.*`."""

    def __init__(
        self, venv: Path, folder: Path, msc3391: bool = False, server_name: str = SERVER_NAME
    ) -> None:
        python = venv / "bin" / "python"
        if not python.exists():
            raise AssertionError(f"{venv} is missing: `tests/run e2e` makes it")
        folder.mkdir(parents=True, exist_ok=True)
        self.server_name = server_name
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        # The same, on a unix socket.
        self.socket = folder / "homeserver.sock"
        self.as_token = "as_" + secrets.token_hex(16)
        self._secret = secrets.token_hex(16)
        self._numbers = itertools.count(1)
        config = self._configuration(folder, msc3391)
        (folder / "homeserver.yaml").write_text(json.dumps(config))
        self.process = Process(
            [str(python), "-m", "synapse.app.homeserver", "-c", str(folder / "homeserver.yaml")],
            folder / "output.txt",
            cwd=folder,
            # Three of them on a small machine: one malloc arena each is plenty.
            env={"MALLOC_ARENA_MAX": "1"},
        )
        try:
            self.process.wait_for(self._answers, "Synapse answering", timeout=120)
        except BaseException:
            self.stop()
            raise

    def _configuration(self, folder: Path, msc3391: bool) -> dict[str, Any]:
        appservice = {
            "id": "bridge",
            "url": None,
            "as_token": self.as_token,
            "hs_token": secrets.token_hex(16),
            "sender_localpart": "bridge_bot",
            "rate_limited": False,
            "namespaces": {"users": [{"exclusive": True, "regex": "@bridge_.*"}]},
        }
        (folder / "appservice.yaml").write_text(json.dumps(appservice))
        logging = {
            "version": 1,
            "handlers": {"file": {"class": "logging.FileHandler", "filename": str(folder / "log.txt")}},
            "root": {"level": "INFO", "handlers": ["file"]},
        }
        (folder / "logging.yaml").write_text(json.dumps(logging))
        listener = {
            "type": "http",
            "x_forwarded": True,
            "resources": [{"names": ["client", "federation"], "compress": False}],
        }
        plenty = {"per_second": 10000, "burst_count": 10000}
        return {
            "server_name": self.server_name,
            "report_stats": False,
            "signing_key": "ed25519 a_test " + base64.b64encode(secrets.token_bytes(32)).decode().rstrip("="),
            "macaroon_secret_key": secrets.token_hex(16),
            "registration_shared_secret": self._secret,
            "trusted_key_servers": [],
            "log_config": str(folder / "logging.yaml"),
            "media_store_path": str(folder / "media"),
            "pid_file": str(folder / "pid"),
            "database": {"name": "sqlite3", "args": {"database": str(folder / "homeserver.db")}},
            "serve_server_wellknown": True,
            "listeners": [
                {"port": self.port, "bind_addresses": ["127.0.0.1"], **listener},
                {"path": str(self.socket), **listener},
            ],
            "app_service_config_files": [str(folder / "appservice.yaml")],
            "experimental_features": {"msc3391_enabled": msc3391},
            # Cheap on purpose: the passwords guard nothing.
            "bcrypt_rounds": 4,
            "presence": {"enabled": False},
            "allow_guest_access": True,
            "rc_message": plenty,
            "rc_registration": plenty,
            "rc_login": {"address": plenty, "account": plenty, "failed_attempts": plenty},
        }

    def _answers(self) -> bool:
        try:
            return request(self.port, "GET", "/_matrix/client/versions", timeout=5).status == 200
        # As long as nobody listens there, the kernel may connect us with ourselves.
        except (OSError, http.client.HTTPException):
            return False

    def stop(self) -> None:
        # It keeps nothing that anybody wants.
        self.process.stop(signal.SIGKILL)

    def register(self, name: str | None = None, exactly: bool = False) -> User:
        """A new user; the name is made unique, if it need not be `exactly` this."""
        name = name if name and exactly else f"{name or 'user'}{next(self._numbers)}"
        password = "pw-" + secrets.token_hex(8)
        path = "/_synapse/admin/v1/register"
        nonce = request(self.port, "GET", path).json()["nonce"]
        mac = hmac.new(
            self._secret.encode(), f"{nonce}\0{name}\0{password}\0notadmin".encode(), hashlib.sha1
        )
        body = {
            "nonce": nonce,
            "username": name,
            "password": password,
            "admin": False,
            "mac": mac.hexdigest(),
        }
        answer = request(self.port, "POST", path, body=body)
        assert answer.status == 200, answer
        said = answer.json()
        return User(name, said["user_id"], said["access_token"], said["device_id"], password)

    def log_in(self, user: User, device_id: str | None = None) -> User:
        """The same user on another device, with an ID that the client chooses if it is given."""
        body = {
            "type": "m.login.password",
            "identifier": {"type": "m.id.user", "user": user.user_id},
            "password": user.password,
            **({"device_id": device_id} if device_id is not None else {}),
        }
        answer = request(self.port, "POST", "/_matrix/client/v3/login", body=body)
        assert answer.status == 200, answer
        said = answer.json()
        return replace(user, token=said["access_token"], device_id=said["device_id"])

    def register_bridged(self, name: str) -> str:
        """A new user of the appservice, without a device. Returns its user ID."""
        name = f"bridge_{name}{next(self._numbers)}"
        body = {"type": "m.login.application_service", "username": name, "inhibit_login": True}
        answer = request(
            self.port, "POST", "/_matrix/client/v3/register", token=self.as_token, body=body
        )
        assert answer.status == 200, answer
        return str(answer.json()["user_id"])

    def read(self, user: User, event_type: str = STABLE) -> Answer:
        """What is stored, asked of Synapse itself."""
        return request(self.port, "GET", user.path(event_type), token=user.token)

    def content(self, user: User, event_type: str = STABLE) -> Any:
        """The stored content; `None` if there is none."""
        answer = self.read(user, event_type)
        if answer.status == 404:
            return None
        assert answer.status == 200, answer
        return answer.json()

    def write(self, user: User, content: Any, event_type: str = STABLE) -> None:
        """Stores `content` behind the gateway's back."""
        answer = request(self.port, "PUT", user.path(event_type), token=user.token, body=content)
        assert answer.status == 200, answer
