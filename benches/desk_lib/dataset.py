"""The trail that an auditor looks into: many users, with devices, clients, refusals, and a few oddities.

What users read is what they wrote last, but for some drifts; so a summary of it is that of a real trail.
"""

from __future__ import annotations

from audit_lib import dataset
from audit_lib.cluster import Cluster

USERS, PRIME, CHUNK = dataset.USERS, dataset.PRIME, dataset.CHUNK
# A write that is forwarded is two records, a read or a refusal one: so many come of an exchange.
PER_EXCHANGE = 1.6

# What few have: exchanges of that client, and refusals for that reason.
RARE, RARE_AGENT, RARE_CODE = 12, "Nheko/0.12.0", "unportable_number"
COMMON_CLIENT, COMMON_CODE, UNSEEN_CODE = "Element X/", "field_not_boolean", "too_deep"
# Behind one address is a tenth of all.
OFFICE = "203.0.113.10"
# What some thousands of users had in the first week, and nobody has had since.
OLD_AGENT, OLD_ADDRESS = "SchildiChat/1.6.36 (Android 13)", "198.51.100.7"
# Whose client does not stop writing.
BUSY_USER = "@user0:example.org"

STABLE, UNSTABLE = "m.key_backup", "m.org.matrix.custom.backup_disabled"
DESKTOP = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)"

# The first ones are the most frequent.
AGENTS = (
    *(f"Element X/26.{minor:02}.0 (iPhone15,2; iOS 18.5; Scale/3.00)" for minor in range(10, 3, -1)),
    *(f"Element X/26.{minor:02}.0 (Google Pixel 8; Android 15; Sdk 26.{minor:02})" for minor in range(10, 3, -1)),
    *(f"{DESKTOP} Element/1.12.{patch} Chrome/140.0.0.0 Electron/38.2.0 Safari/537.36" for patch in range(9, 0, -1)),
    *(f"{DESKTOP} Chrome/{major}.0.0.0 Safari/537.36" for major in range(142, 136, -1)),
    *(f"Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:{major}.0) Gecko/20100101 Firefox/{major}.0"
      for major in range(145, 140, -1)),
    *(f"Element/1.6.{patch} (Samsung SM-S911B; Android 14; MatrixAndroidSdk2 1.6.{patch})" for patch in (44, 42)),
    "FluffyChat/2.2.0 (Android)", "Cinny/4.10.2", "matrix-nio/0.25.2",
)

# Of a thousand refusals so many.
CODES = {
    '["field_not_boolean"]': 430, '["field_missing"]': 250, '["not_json"]': 150, '["duplicate_member"]': 70,
    '["extra_member"]': 40, '["field_not_boolean", "duplicate_member"]': 20, '["not_an_object"]': 20,
    '["unportable_text"]': 10, '["too_large"]': 5, '["encoded"]': 5,
}


def drawn(of: str, seed: int, below: int) -> str:
    """A number from 0, the same for the same `of`."""
    return f"((hashint8extended({of}, {seed}) & 4611686018427387903) % {below})"


def text(value: str) -> str:
    """A literal."""
    return "'" + value.replace("'", "''") + "'"


def array(values: tuple[str, ...]) -> str:
    return "(ARRAY[" + ", ".join(map(text, values)) + "])"


def _code() -> str:
    """Why it is refused."""
    cases, up_to = [], 0
    for codes, share in CODES.items():
        up_to += share
        cases.append(f"WHEN chance < {up_to} THEN {text(codes)}")
    return f"(CASE WHEN is_rare THEN '[\"{RARE_CODE}\"]' {' '.join(cases)} END)::jsonb"


# `OFFSET 0` keeps Postgres from working out one thing in many places.
#
# Every user's exchanges are numbered from `of_user` on, and twenty of them are a stretch with one preference, that is
# written (or cleared) with the first of it: of both types, by those who have both.
EXCHANGES = """
    SELECT *,
        CASE WHEN is_busy OR of_user = 0 THEN 'stable' WHEN of_user % 10 IN (0, 1) THEN 'unstable'
            WHEN of_user % 10 = 2 AND turn % 2 = 1 THEN 'unstable' ELSE 'stable' END AS type,
        is_busy OR turn % 20 = 0 OR of_user % 10 = 2 AND turn % 20 = 1 AS is_first,
        CASE WHEN of_user = 0 THEN 50 ELSE {of_stretch} END AS wish,
        {dice} AS dice, {chance} AS chance,
        (NOT is_busy AND of_user % 2 = 1 AND {which} = 0)::int AS device
    FROM (
        SELECT number, of_user, at, is_busy, number / {users} + of_user AS turn,
            number % ({exchanges} / {rare}) = 5 AS is_rare, number % ({exchanges} / {rare}) = 9 AS has_rare_agent,
            number < {exchanges} / 25 AS is_old
        FROM (
            SELECT number, number % 200 = 77 AS is_busy,
                CASE WHEN number % 200 = 77 THEN 0 ELSE number::bigint * {prime} % {users} END AS of_user,
                {start} + (now() - interval '1 minute' - ({start})) * (number::float8 / {exchanges}) AS at
            FROM generate_series({first}, {last} - 1) AS number
        ) AS numbered
    ) AS turned OFFSET 0"""

# What becomes of each; and what the types say, which those of a few users say differently.
FATES = """
    SELECT *,
        CASE WHEN is_first THEN 'answered' WHEN is_rare OR dice < 1050 THEN 'refused'
            WHEN turn % 20 = 19 AND dice < 5050 THEN 'observed' WHEN is_read AND dice BETWEEN 90000 AND 90003 THEN 'drift'
            WHEN is_read THEN 'answered' WHEN dice >= 99890 THEN 'open' WHEN dice >= 99790 THEN 'unanswered'
            WHEN dice >= 99740 THEN 'failed' WHEN dice >= 99730 THEN 'foreign' ELSE 'answered' END AS fate,
        CASE WHEN (wish < 75) <> (of_user % 1000 = 2 AND type = 'unstable') THEN 'enabled' ELSE 'disabled' END AS value
    FROM (
        SELECT *, wish < 4 AS is_cleared, NOT is_first AND (wish < 4 OR chance < 400) AS is_read FROM ({exchanges}) AS e
    ) AS looked OFFSET 0"""

RECORDS = """
    SELECT *, fate IN ('refused', 'observed') AS is_bad,
        CASE WHEN fate IN ('refused', 'observed') THEN 'write' WHEN is_first AND is_cleared THEN 'clear'
            WHEN is_read THEN 'read' ELSE 'write' END AS action,
        '@user' || of_user || ':example.org' AS name,
        (1000 + chance * 9) * interval '1 microsecond' AS took
    FROM ({fates}) AS f OFFSET 0"""

ROWS = """
    SELECT {identity}, 'exchange', {exchange}, phase, r.at + CASE phase WHEN 'outcome' THEN took ELSE interval '0' END,
        'gateway-' || number % 3 + 1 || '.example.org',
        ('01930000-0000-7000-8000-0000000000a' || number % 3)::uuid, '0.3.0', action,
        CASE type WHEN 'stable' THEN {stable} ELSE {unstable} END, name,
        CASE WHEN action = 'read' THEN NULL WHEN fate = 'foreign' THEN '@user' || of_user + 1 || ':example.org'
            ELSE name END,
        CASE WHEN action <> 'read' THEN {device} END, CASE WHEN action <> 'read' THEN false END,
        address, jsonb_build_array(address), agent,
        {salt}, {salt}, {salt}, {commitment}, {commitment}, {commitment},
        CASE WHEN is_bad OR is_cleared THEN NULL WHEN fate <> 'drift' THEN value
            WHEN value = 'enabled' THEN 'disabled' ELSE 'enabled' END,
        CASE WHEN is_bad THEN 'refuse' WHEN action = 'clear' THEN 'clear' WHEN NOT is_cleared THEN 'accept' END,
        CASE WHEN is_bad THEN {code} ELSE '[]' END,
        CASE WHEN phase = 'intent' THEN NULL WHEN fate IN ('refused', 'unanswered', 'failed') THEN fate
            ELSE 'answered' END,
        CASE WHEN phase = 'intent' OR fate IN ('refused', 'unanswered', 'failed') THEN NULL
            WHEN fate = 'foreign' THEN 403 WHEN action = 'read' AND is_cleared THEN 404 ELSE 200 END,
        '01930000-0000-7000-8000-000000000000', CASE WHEN action <> 'read' THEN {commitment} END, 1000 + chance * 9,
        CASE WHEN phase = 'intent' THEN NULL WHEN fate = 'foreign' THEN 'M_FORBIDDEN'
            WHEN action = 'read' AND is_cleared THEN 'M_NOT_FOUND' END
    FROM ({records}) AS r
    CROSS JOIN LATERAL (SELECT {address} AS address, {agent} AS agent OFFSET 0) AS c
    JOIN (VALUES ('intent'), ('outcome')) AS phases (phase) ON CASE phase
        WHEN 'intent' THEN action <> 'read' AND fate <> 'refused' ELSE fate <> 'open' END"""

ADDRESS = f"""CASE WHEN is_old AND of_user % 30 = 8 THEN '{OLD_ADDRESS}' WHEN {drawn("number", 6, 10)} = 0 THEN '{OFFICE}'
    WHEN device = 1 THEN '100.64.' || {drawn("of_user", 8, 4)} || '.' || {drawn("of_user", 9, 250)}
    WHEN of_user % 5 = 0 THEN '2001:db8::' || to_hex(of_user)
    ELSE '10.' || of_user / 131072 || '.' || of_user / 512 % 256 || '.' || of_user / 2 % 256 END"""
AGENT = f"""CASE WHEN has_rare_agent THEN {text(RARE_AGENT)}
    WHEN is_old AND of_user % 30 = 7 THEN {text(OLD_AGENT)} ELSE {array(AGENTS)}[1 + floor({len(AGENTS)}
    * power({drawn("of_user * 2 + device + turn / 40 * 1000003", 4, 1000)} / 1000.0::float8, 2.5))::int] END"""


def chunk(first: int, last: int, exchanges: int) -> str:
    """The statement that inserts these exchanges, of so many."""
    start = f"date_trunc('month', now()) - interval '{dataset.MONTHS - 1} months'"
    made = EXCHANGES.format(
        of_stretch=drawn("of_user * 1000 + turn / 20", 7, 100), dice=drawn("number", 2, 100_000),
        chance=drawn("number", 1, 1000), which=drawn("number", 5, 3), users=USERS, prime=PRIME, rare=RARE,
        exchanges=exchanges, start=start, first=first, last=last)
    rows = ROWS.format(
        records=RECORDS.format(fates=FATES.format(exchanges=made)), address=ADDRESS, agent=AGENT, code=_code(),
        identity=dataset.uuid("r.at + CASE phase WHEN 'outcome' THEN took ELSE interval '0' END",
                              "md5(phase || number)"),
        exchange=dataset.uuid("r.at", "md5(number::text)"), stable=text(STABLE), unstable=text(UNSTABLE),
        device="upper(left(md5('device ' || of_user || ' ' || device), 10))",
        salt="decode(repeat('a5', 16), 'hex')", commitment="decode(repeat('5a', 32), 'hex')")
    return f"INSERT INTO audit_record ({dataset.COLUMNS}, errcode) {rows}"


def make(cluster: Cluster, database: str, rows: int) -> int:
    """About so many, none of them sealed, without what the trail's own triggers would do; how many there are then.

    Indexes are made after the rows: that is quicker."""
    dataset.make_partitions(cluster, database)
    indexes = cluster.psql(database, """
        SELECT indexrelid::regclass || '|' || pg_get_indexdef(indexrelid) FROM pg_index
        WHERE indrelid = 'audit_record'::regclass AND NOT indisprimary""")
    named = [line.split("|", 1) for line in indexes.splitlines()]
    cluster.psql(database, "; ".join(f"DROP INDEX {name}" for name, _ in named))
    exchanges = int(rows / PER_EXCHANGE)
    for first in range(0, exchanges, CHUNK):
        cluster.psql(database, "SET session_replication_role = replica; "
                     + chunk(first, min(first + CHUNK, exchanges), exchanges))
    for _, definition in named:
        # As one statement for the parent, so that each partition's is made and attached.
        cluster.psql(database, f"SET maintenance_work_mem = '512MB'; {definition.replace(' ON ONLY ', ' ON ')}")
    cluster.psql(database, "INSERT INTO audit_pending (record_id) SELECT id FROM audit_record ORDER BY id")
    cluster.psql(database, "VACUUM (ANALYZE)")
    return int(cluster.psql(database, "SELECT count(*) FROM audit_record"))
