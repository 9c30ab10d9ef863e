-- The summary: what is derived from the trail. The tables are those of the Postgres store, where each is explained; but the
-- records that are not in it yet are those beyond a rowid, as this file has one writer at a time.

CREATE TABLE audit_summary (
    is_only INTEGER PRIMARY KEY DEFAULT 1 CHECK (is_only = 1),
    records INTEGER NOT NULL DEFAULT 0,
    -- The rowid of the last record that was taken in.
    last INTEGER NOT NULL DEFAULT 0,
    is_behind INTEGER NOT NULL DEFAULT 0
) STRICT;
INSERT INTO audit_summary (is_behind) VALUES (EXISTS (SELECT 1 FROM audit_record));

CREATE TABLE audit_user (
    user_id TEXT PRIMARY KEY,
    profile TEXT NOT NULL,
    disagrees INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX audit_user_disagrees ON audit_user (user_id) WHERE disagrees;

CREATE TABLE audit_adoption (
    day INTEGER NOT NULL,
    preference TEXT NOT NULL,
    users INTEGER NOT NULL,
    PRIMARY KEY (day, preference)
) STRICT, WITHOUT ROWID;

CREATE TABLE audit_hour (
    hour INTEGER NOT NULL,
    action TEXT NOT NULL,
    verdict TEXT NOT NULL,
    outcome TEXT NOT NULL,
    records INTEGER NOT NULL,
    PRIMARY KEY (hour, action, verdict, outcome)
) STRICT, WITHOUT ROWID;

CREATE TABLE audit_violation (
    hour INTEGER NOT NULL,
    code TEXT NOT NULL,
    client TEXT NOT NULL,
    version TEXT NOT NULL,
    became TEXT NOT NULL,
    records INTEGER NOT NULL,
    newest BLOB NOT NULL,
    PRIMARY KEY (hour, code, client, version, became)
) STRICT, WITHOUT ROWID;

CREATE TABLE audit_drift (
    read_id BLOB PRIMARY KEY,
    exchange_id BLOB,
    noticed_at INTEGER NOT NULL,
    user_id TEXT NOT NULL,
    event_type TEXT NOT NULL,
    expected TEXT NOT NULL,
    known_from BLOB NOT NULL,
    found TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX audit_drift_user ON audit_drift (user_id, read_id);

CREATE TABLE audit_open (
    exchange_id BLOB PRIMARY KEY,
    intent_id BLOB NOT NULL
) STRICT, WITHOUT ROWID;
