"""The rows: those that are there before, and those that the references insert."""

from __future__ import annotations

from .cluster import Cluster

# As `users.rs` has it.
USERS, ACTIVE, PRIME = 100_000, 4_096, 7_919
# Over so many months, this one the last; so many days of each, that every row is in the past.
MONTHS = 6
RUN = "'01930000-0000-7000-8000-0000000000aa'::uuid"
# Rows a transaction of the making.
CHUNK = 250_000
INDEXES = ("exchange", "claimed_user", "authenticated_user", "intent")

AGENT = ("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
         "Element/1.12.4 Chrome/140.0.0.0 Electron/38.2.0 Safari/537.36")

COLUMNS = """
    id, kind, exchange_id, phase, recorded_at, instance, run_id, version, action, event_type,
    claimed_user, authenticated_user, device_id, is_guest, client_address, client_chain, user_agent,
    claimed_salt, authenticated_salt, client_salt, claimed_commitment, authenticated_commitment,
    client_commitment, preference, verdict, violations, outcome, origin_status, request_id,
    body_sha256, duration_us"""


def uuid(at: str, rest: str) -> str:
    """A UUIDv7 of the time `at`; `rest` are 19 hexadecimal digits and more."""
    millis = f"lpad(to_hex((extract(epoch FROM {at}) * 1000)::bigint), 12, '0')"
    return f"({millis} || '7' || left({rest}, 19))::uuid"


def values(user: str, phase: str, at: str, identity: str, exchange: str) -> str:
    """One record such as a guarded write makes, in the order of `COLUMNS`."""
    # pgbench would take what follows a colon for a variable.
    name = f"'@user' || {user} || chr(58) || 'example.org'"
    salt = "decode(repeat('a5', 16), 'hex')"
    commitment = "decode(repeat('5a', 32), 'hex')"
    return f"""
        {identity}, 'exchange', {exchange}, {phase}, {at}, 'gateway-1.example.org', {RUN}, '0.3.0',
        'write', 'm.key_backup', {name}, {name}, 'ABCDEFGHIJ', false, '192.0.2.17',
        '["192.0.2.17"]'::jsonb, '{AGENT}', {salt}, {salt}, {salt}, {commitment}, {commitment},
        {commitment}, 'enabled', 'accept', '[]'::jsonb,
        CASE WHEN {phase} = 'outcome' THEN 'answered' END,
        CASE WHEN {phase} = 'outcome' THEN 200 END,
        '01930000-0000-7000-8000-000000000000', {commitment}, 4321"""


def insert(table: str, rows: int) -> str:
    """What the references do: so many new rows, half of them intents, of those who are active."""
    random = "replace(gen_random_uuid()::text, '-', '')"
    at = "clock_timestamp()"
    phase = "CASE WHEN number % 2 = 0 THEN 'intent' ELSE 'outcome' END"
    made = values("of_user", phase, at, uuid(at, random), uuid(at, random))
    return (f"INSERT INTO {table} ({COLUMNS}) SELECT {made} FROM (SELECT number, "
            f"(random() * {ACTIVE - 1})::bigint * {PRIME} % {USERS} AS of_user "
            f"FROM generate_series(1, {rows}) AS number) AS made;".replace("\n", " "))


def fill(cluster: Cluster, database: str, table: str, rows: int) -> None:
    """Exchanges spread evenly over `MONTHS`, an intent and an outcome each; every user has as many."""
    start = f"date_trunc('month', now()) - interval '{MONTHS - 1} months'"
    for first in range(0, rows // 2, CHUNK):
        last = min(first + CHUNK, rows // 2)
        at = "made.at + (phase = 'outcome')::int * interval '5 ms'"
        made = values("of_user", "phase", at,
                      uuid(at, "md5(phase || number)"), uuid("made.at", "md5(number::text)"))
        cluster.psql(database, f"""
            INSERT INTO {table} ({COLUMNS}) SELECT {made}
            FROM (
                SELECT number, number::bigint * {PRIME} % {USERS} AS of_user,
                    {start} + (now() - interval '1 minute' - ({start})) * (number::float8 / {rows // 2}) AS at
                FROM generate_series({first}, {last - 1}) AS number
            ) AS made, (VALUES ('intent'), ('outcome')) AS phases (phase)""")


def make_partitions(cluster: Cluster, database: str) -> None:
    """Those of the months before this one; the migration has made the others."""
    cluster.psql(database, f"""
        SELECT audit_make_partition((date_trunc('month', now() AT TIME ZONE 'UTC')
            - make_interval(months => ago)) AT TIME ZONE 'UTC')
        FROM generate_series(1, {MONTHS - 1}) AS ago""")


def make_large(cluster: Cluster, database: str, rows: int) -> None:
    """The trail of years. Its indexes are made after its rows: that is quicker."""
    make_partitions(cluster, database)
    definitions = [
        cluster.psql(database, f"SELECT pg_get_indexdef('audit_record_{name}'::regclass)")
        for name in INDEXES
    ]
    cluster.psql(database, "; ".join(f"DROP INDEX audit_record_{name}" for name in INDEXES))
    fill(cluster, database, "audit_record", rows)
    for definition in definitions:
        # As one statement for the parent, so that each partition's is made and attached.
        cluster.psql(database, f"SET maintenance_work_mem = '1GB'; {definition.replace(' ON ONLY ', ' ON ')}")
    cluster.psql(database, "VACUUM (ANALYZE) audit_record")


def make_references(cluster: Cluster, database: str) -> None:
    """A table with the columns, indexes and partitions of audit_record, and a bare one."""
    cluster.psql(database, """
        CREATE TABLE reference_record (LIKE audit_record INCLUDING ALL) PARTITION BY RANGE (id);
        CREATE TABLE bare_record (LIKE audit_record INCLUDING DEFAULTS);
        DO $$
        DECLARE part record;
        BEGIN
            FOR part IN
                SELECT child.relname AS name, pg_get_expr(child.relpartbound, child.oid) AS bound
                FROM pg_inherits JOIN pg_class AS child ON child.oid = inhrelid
                WHERE inhparent = 'audit_record'::regclass
            LOOP
                EXECUTE format('CREATE TABLE %I PARTITION OF reference_record %s',
                    replace(part.name, 'audit', 'reference'), part.bound);
            END LOOP;
        END
        $$;""")


def start_over(cluster: Cluster, database: str, rows: int) -> None:
    """The small trail and the references have `rows` rows again."""
    for table in ("audit_record", "reference_record", "bare_record"):
        cluster.psql(database, f"TRUNCATE {table}")
        fill(cluster, database, table, rows)
    cluster.psql(database, "VACUUM ANALYZE audit_record, reference_record, bare_record")
