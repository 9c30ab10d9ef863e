"""Trails of a known length, made with SQL, and the databases that others are copies of."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from audit_lib import dataset
from audit_lib.cluster import Cluster
from audit_lib.inside import measure
from soak_lib.machine import REPOSITORY, Trouble

# Migrated and empty; and without what a write does for the tree.
FRESH, TREELESS = "fresh", "treeless"
# How many exchanges are proved.
PROOFS = 1020

# The commitments of `dataset.py` commit to nothing, and a verifier would say so.
COMMIT = r"""
    CREATE FUNCTION benchmark_value(value text) RETURNS bytea LANGUAGE sql IMMUTABLE AS $$
        SELECT CASE WHEN value IS NULL THEN '\x00'::bytea
            ELSE '\x01' || int4send(octet_length(value)) || convert_to(value, 'UTF8') END
    $$;
    CREATE FUNCTION benchmark_commit() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE label CONSTANT bytea := 'key-backup-gateway/commitment/v1/';
    BEGIN
        NEW.claimed_commitment := sha256(label || 'claimed' || '\x00' || NEW.claimed_salt
            || benchmark_value(NEW.claimed_user));
        NEW.authenticated_commitment := sha256(label || 'authenticated' || '\x00' || NEW.authenticated_salt
            || benchmark_value(NEW.authenticated_user) || benchmark_value(NEW.device_id)
            || benchmark_value(NEW.is_guest::text));
        -- A chain of one.
        NEW.client_commitment := sha256(label || 'client' || '\x00' || NEW.client_salt
            || benchmark_value(NEW.client_address) || '\x0200000001'
            || benchmark_value(NEW.client_chain ->> 0) || benchmark_value(NEW.user_agent));
        RETURN NEW;
    END
    $$;
    CREATE TRIGGER benchmark_commit BEFORE INSERT ON audit_record
        FOR EACH ROW EXECUTE FUNCTION benchmark_commit();
"""
FORGET = """
    DROP TRIGGER benchmark_commit ON audit_record;
    DROP FUNCTION benchmark_commit();
    DROP FUNCTION benchmark_value(text);
"""


def name(rows: int) -> str:
    return f"trail_{rows}"


@contextlib.contextmanager
def _making(cluster: Cluster, database: str, template: str) -> Iterator[str]:
    """As long as it is not finished it has another name."""
    cluster.psql("postgres", "DROP DATABASE IF EXISTS making")
    cluster.psql("postgres", f"CREATE DATABASE making TEMPLATE {template}")
    yield "making"
    cluster.psql("postgres", f"ALTER DATABASE making RENAME TO {database}")


def make_templates(cluster: Cluster, program: Path) -> None:
    cluster.psql("postgres", f"DROP DATABASE IF EXISTS {FRESH}")
    with _making(cluster, FRESH, "template1") as making:
        measure(program, "migrate", cluster.url(making))
    older = (REPOSITORY / "migrations/postgres/0002_speed.sql").read_text()
    begin, end = "CREATE FUNCTION audit_append", "END\n$$;"
    if older.count(begin) != 1 or end not in older:
        raise Trouble("the migration 0002_speed.sql is not what it was")
    function = older[older.index(begin):].partition(end)[0] + end
    with _making(cluster, TREELESS, FRESH) as making:
        cluster.psql(making, function.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION", 1))


def make(cluster: Cluster, rows: int) -> None:
    """A trail in which every record waits to be sealed. Nobody recorded it: see `dataset.py`."""
    with _making(cluster, name(rows), FRESH) as making:
        cluster.psql(making, COMMIT)
        dataset.make_large(cluster, making, rows)
        cluster.psql(making, FORGET)
        cluster.psql(making, "INSERT INTO audit_pending (record_id) SELECT id FROM audit_record ORDER BY id")
        cluster.psql(making, "VACUUM (ANALYZE) audit_pending")


@contextlib.contextmanager
def copy(cluster: Cluster, template: str) -> Iterator[str]:
    """A database for one measurement."""
    database = "once"
    cluster.psql("postgres", f"DROP DATABASE IF EXISTS {database} (FORCE)")
    cluster.psql("postgres", f"CREATE DATABASE {database} TEMPLATE {template}")
    yield database
    cluster.psql("postgres", f"DROP DATABASE {database} (FORCE)")


def waiting(cluster: Cluster, database: str) -> int:
    return int(cluster.psql(database, "SELECT count(*) FROM audit_pending"))


def exchanges(cluster: Cluster, rows: int) -> list[str]:
    """Some of all, at random. Only the pages with those records were looked at then."""
    percent = min(100.0, 100 * 20 * PROOFS / rows)
    return cluster.psql(name(rows), f"""
        SELECT exchange_id FROM audit_record TABLESAMPLE SYSTEM ({percent})
        WHERE phase = 'intent' ORDER BY random() LIMIT {PROOFS}""").split()


def sizes(cluster: Cluster, database: str) -> dict[str, tuple[int, int]]:
    """The bytes of each table, without and of its indexes; partitions belong to their parent."""
    listed = cluster.psql(database, """
        SELECT coalesce(parent.relname, class.relname),
            sum(pg_table_size(class.oid)), sum(pg_indexes_size(class.oid))
        FROM pg_class AS class
        LEFT JOIN pg_inherits ON inhrelid = class.oid
        LEFT JOIN pg_class AS parent ON parent.oid = inhparent
        WHERE class.relkind = 'r' AND class.relname LIKE 'audit%'
        GROUP BY 1""")
    rows = (line.split("|") for line in listed.splitlines())
    return {table: (int(data), int(indexes)) for table, data, indexes in rows}
