"""Lets time pass for the leases of runs."""

from __future__ import annotations

import sqlite3

from .postgres import Postgres


def make_older(database: str, postgres: Postgres | None) -> None:
    """Puts the leases of all runs two minutes back: those that are not renewed are dead at once."""
    if postgres is not None:
        postgres.query(database, "UPDATE audit_run SET renewed_at = renewed_at - interval '2 minutes'")
        return
    with sqlite3.connect(database.removeprefix("sqlite:"), timeout=20) as connection:
        connection.execute("UPDATE audit_run SET renewed_at = renewed_at - 120 * 1000000")
    connection.close()
