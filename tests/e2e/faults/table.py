"""Every fault, by its name: the README has a row for each, and each is held by tests."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """What happens, and which tests hold what must come of it: `FILE::FUNCTION`, from `tests/`."""

    name: str
    sentence: str
    tests: tuple[str, ...]


_GATEWAY = "e2e/faults/test_gateway.py"
_SPOOL = "e2e/faults/test_spool.py"
_ORIGIN = "e2e/faults/test_origin.py"
_POSTGRES = (
    "e2e/faults/test_postgres.py::test_postgres_without_a_spool",
    "e2e/faults/test_postgres.py::test_postgres_behind_a_spool",
)

TABLE = (
    Fault(
        "kill-gateway",
        "`kill -9` of the gateway at a random moment",
        (f"{_GATEWAY}::test_kill_gateway", "e2e/test_killed.py::test_kill_9_leaves_an_intent_that_a_later_run_closes_as_unanswered_once"),
    ),
    Fault("sigterm", "SIGTERM under load", (f"{_GATEWAY}::test_sigterm",)),
    Fault("side-by-side", "the old and the new process on one spool", (f"{_GATEWAY}::test_side_by_side",)),
    Fault(
        "many-gateways",
        "two, then five gateways on one database, one of them killed",
        (
            "e2e/faults/test_fleet.py::test_many_gateways",
            "e2e/test_killed.py::test_five_gateways_on_one_postgres_lose_nothing_and_write_nothing_twice",
        ),
    ),
    Fault("clock-back", "the clock jumps back an hour", ("e2e/faults/test_fleet.py::test_clock_back",)),
    Fault("postgres-killed", "`kill -9` of Postgres, which comes back", _POSTGRES),
    Fault("postgres-stopped", "Postgres stands still: connected, and silent", _POSTGRES),
    Fault("network-slow", "half a second to Postgres and back", _POSTGRES),
    Fault("network-blackhole", "what is sent to Postgres goes nowhere", _POSTGRES),
    Fault("network-reset-in-commit", "connections to Postgres break while a commit runs", _POSTGRES),
    Fault("postgres-read-only", "Postgres takes no writes, as a replica", _POSTGRES),
    Fault("postgres-disk-full", "the disk of Postgres is full", _POSTGRES),
    Fault("postgres-no-connections", "Postgres has no connection left", _POSTGRES),
    Fault("postgres-locked", "somebody holds a lock on the table", _POSTGRES),
    Fault("spool-full", "the spool holds as much as it may", (f"{_SPOOL}::test_spool_full",)),
    Fault("spool-disk-full", "the disk of the spool, or of SQLite, is full", (f"{_SPOOL}::test_spool_disk_full",)),
    Fault("spool-read-only", "the disk of the spool cannot be written to", (f"{_SPOOL}::test_spool_read_only",)),
    Fault(
        "spool-damaged",
        "the spool's file is not what was written",
        (
            "e2e/faults/test_damage.py::test_spool_damaged_while_nobody_uses_it",
            "e2e/faults/test_damage.py::test_spool_damaged_while_it_is_used",
        ),
    ),
    Fault(
        "poisonous-record",
        "a record that no database likes: NUL, 8 KiB of user, text in no encoding",
        (
            "e2e/faults/test_poison.py::test_poisonous_record",
            "e2e/faults/test_poison.py::test_poisonous_record_that_is_refused",
        ),
    ),
    Fault("origin-refuses", "the homeserver takes no connection", (f"{_ORIGIN}::test_origin_refuses",)),
    Fault(
        "origin-resets",
        "the homeserver resets, before or after it has read the write",
        (f"{_ORIGIN}::test_origin_breaks_off", f"{_ORIGIN}::test_origin_resets_before_it_reads"),
    ),
    Fault("origin-slow", "the homeserver does not answer in time", (f"{_ORIGIN}::test_origin_breaks_off",)),
    Fault("origin-half-answer", "the homeserver's answer breaks off", (f"{_ORIGIN}::test_origin_breaks_off",)),
    Fault("client-gone", "a client leaves, at any step", (f"{_ORIGIN}::test_client_gone",)),
)
