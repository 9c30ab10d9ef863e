"""What is asked for, and what the origin answers: sizes and fields as between Matrix clients and Synapse."""

from __future__ import annotations

import json

SMALL = "/_matrix/client/v3/rooms/!compare:example.org/members"
SYNC = "/_matrix/client/v3/sync?since=s72594_4483_1934_22_31_7_12_4_9&timeout=3600000&set_presence=unavailable"
GUARDED = "/_matrix/client/v3/user/@compare:example.org/account_data/m.key_backup"
VERSIONS = "/_matrix/client/versions"
UPLOAD = "/_matrix/media/v3/upload"
MIB = 2**20

# What a client says with every request.
FIELDS = {
    "Authorization": "Bearer syt_Y29tcGFyZS1hLXByb3h5_QmVuY2htYXJrVG9rZW5YWVpx_1Fq7Zp",
    "User-Agent": "Element X/25.11.0 (Pixel 8; Android 15; BP1A.250505.005; Sdk 1.80)",
    "Accept": "application/json",
}

PREFERENCE = '{"enabled":true}'
_MEMBER = {"content": {"displayname": "Compare", "membership": "join"}, "origin_server_ts": 1764150000000,
           "room_id": "!compare:example.org", "sender": "@compare:example.org", "type": "m.room.member"}
SMALL_BODY = json.dumps({"chunk": [_MEMBER | {"state_key": f"@u{number}:example.org"} for number in range(5)]},
                        separators=(",", ":"))


def download(mebibytes: int) -> str:
    return f"/_matrix/media/v3/download/example.org/{mebibytes}"
