"""The homeserver's configuration and the requests of `deploy/try`, which says what it is all for.

`prepare FOLDER`: writes the configuration, prints three free ports (Synapse, gateway, admin).
`answers URL`: exit 0 if URL answers 200.
`rewrite DATABASE COPY`: copies an SQLite database, and changes one byte of it: who wrote.
`requests FOLDER ORIGIN GATEWAY`: registers alice at the homeserver, then sends the requests
through the gateway. Exit 1 if an answer is not what it should be.
`story FOLDER ADMIN`: asks for alice's story, as the auditor's page has it. Exit 1 if it is not told.
"""

import base64
import contextlib
import hashlib
import hmac
import http.client
import json
import secrets
import socket
import sqlite3
import sys
import time
import urllib.parse
from pathlib import Path

GOOD = '{"enabled":true}'
BAD = '{"enabled":"yes"}'
PLAIN = "/_matrix/client/v3/user/@alice:localhost/account_data/m.key_backup"
# The same account data, spelt as a homeserver also reads it.
ODD = "/_matrix/client/unstable/user/%40alice%3Alocalhost/account_data/m%2Ekey%5Fbackup?x"

# Method, target, body, and the status it must have.
REQUESTS = [
    ("PUT", PLAIN, GOOD, 200),
    ("PUT", PLAIN, BAD, 400),
    ("PUT", ODD, '{"enabled":false}', 200),
    ("GET", PLAIN, None, 200),
]
WRITES = sum(method == "PUT" for method, *_ in REQUESTS)


def free_ports(count):
    """Ports that nobody listens on just now, all different."""
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def prepare(folder):
    folder = Path(folder)
    synapse, gateway, admin = free_ports(3)
    config = {
        "server_name": "localhost",
        # Clients follow this after their login. If it named Synapse, they would go round the gateway.
        "public_baseurl": f"http://127.0.0.1:{gateway}/",
        "report_stats": False,
        "signing_key": "ed25519 a_try " + base64.b64encode(secrets.token_bytes(32)).decode().rstrip("="),
        "macaroon_secret_key": secrets.token_hex(32),
        "registration_shared_secret": secrets.token_hex(32),
        "trusted_key_servers": [],
        "media_store_path": str(folder / "media"),
        "pid_file": str(folder / "synapse.pid"),
        "database": {"name": "sqlite3", "args": {"database": str(folder / "homeserver.db")}},
        "listeners": [
            {
                "port": synapse,
                "bind_addresses": ["127.0.0.1"],
                "type": "http",
                "x_forwarded": True,
                "resources": [{"names": ["client"]}],
            }
        ],
        # It is here to answer at once, and its passwords guard nothing.
        "bcrypt_rounds": 4,
        "presence": {"enabled": False},
    }
    (folder / "homeserver.yaml").write_text(json.dumps(config, indent=2))
    print(synapse, gateway, admin)


def send(base, method, target, body=None, token=None):
    """Status and body of the answer. The target goes out as it is given."""
    connection = http.client.HTTPConnection(urllib.parse.urlsplit(base).netloc, timeout=30)
    fields = {} if token is None else {"Authorization": f"Bearer {token}"}
    if body is not None:
        fields["Content-Type"] = "application/json"
    try:
        connection.request(method, target, body, fields)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def answers(url):
    try:
        return send(url, "GET", urllib.parse.urlsplit(url).path)[0] == 200
    except (OSError, http.client.HTTPException):
        return False


def register(origin, secret):
    """alice, with the password alice, through Synapse's admin API."""
    path = "/_synapse/admin/v1/register"
    nonce = json.loads(send(origin, "GET", path)[1])["nonce"]
    mac = hmac.new(secret.encode(), f"{nonce}\0alice\0alice\0notadmin".encode(), hashlib.sha1)
    body = {"nonce": nonce, "username": "alice", "password": "alice", "mac": mac.hexdigest()}
    status, answer = send(origin, "POST", path, json.dumps(body))
    if status != 200:
        raise SystemExit(f"Synapse did not register alice: {status} {answer}")


def log_in(gateway):
    """An access token, as any client gets it."""
    body = {
        "type": "m.login.password",
        "identifier": {"type": "m.id.user", "user": "alice"},
        "password": "alice",
    }
    status, answer = send(gateway, "POST", "/_matrix/client/v3/login", json.dumps(body))
    if status != 200:
        raise SystemExit(f"alice could not log in through the gateway: {status} {answer}")
    return json.loads(answer)["access_token"]


def requests(folder, origin, gateway):
    config = json.loads((Path(folder) / "homeserver.yaml").read_text())
    register(origin, config["registration_shared_secret"])
    token = log_in(gateway)
    wrong = 0
    for method, target, body, expected in REQUESTS:
        status, answer = send(gateway, method, target, body, token)
        print(f"\n{method} {target}", *([body] if body else []), sep="\n  ")
        print(f"→ {status} {answer}", flush=True)
        if status != expected:
            print(f"  should have been {expected}")
            wrong += 1
    print()
    return wrong == 0


def story(folder, admin):
    """A line for each change of alice's."""
    token = (Path(folder) / "token").read_text().splitlines()[0]
    until = time.monotonic() + 30
    # What is asked for often is summed up within seconds.
    while True:
        status, answer = send(admin, "GET", "/api/v1/users/@alice%3Alocalhost", token=token)
        told = json.loads(answer) if status == 200 else {}
        if told.get("profile") and len(told["changes"]) >= WRITES:
            break
        if time.monotonic() > until:
            print(f"the auditor's page says: {status} {answer}")
            return False
        time.sleep(0.2)
    for change in told["changes"]:
        record = change["record"]
        from_to = f"{change['from'] or 'not known'} → {change['to'] or 'nothing usable'}"
        why = ", ".join(record["violations"])
        print(f"  {record['recorded_at'][11:19]}  {from_to:24} {change['became']:9} {why}".rstrip())
    print(f"  now: {told['profile']['preference']}")
    return True


def rewrite(database, copy):
    """Where a row says who wrote, one letter of the name becomes another."""
    with contextlib.closing(sqlite3.connect(database)) as source:
        with contextlib.closing(sqlite3.connect(copy)) as target:
            source.backup(target)
    bytes_before = Path(copy).read_bytes()
    # A row has the type right before the user; no index has.
    at = bytes_before.index(b"m.key_backup@alice:localhost") + len(b"m.key_backup@")
    Path(copy).write_bytes(bytes_before[:at] + b"m" + bytes_before[at + 1 :])
    print(f"  byte {at} of {Path(copy).name}: @alice:localhost is now @mlice:localhost")


def main():
    command, *arguments = sys.argv[1:]
    commands = {
        "prepare": prepare,
        "answers": answers,
        "requests": requests,
        "story": story,
        "rewrite": rewrite,
    }
    sys.exit(commands[command](*arguments) is False)


if __name__ == "__main__":
    main()
