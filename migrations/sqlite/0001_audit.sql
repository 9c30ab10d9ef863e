-- The trail, and the runs of the gateways that write it. The columns are those of the Postgres
-- store, where each is explained. Times are microseconds since 1970, UTC; ids and hashes are bytes;
-- lists and detail are JSON.
--
-- A row of audit_record never changes, but for the erasure of personal data.

CREATE TABLE audit_record (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    kind TEXT NOT NULL,
    exchange_id BLOB,
    phase TEXT,
    recorded_at INTEGER NOT NULL,
    instance TEXT NOT NULL,
    run_id BLOB NOT NULL,
    version TEXT NOT NULL,
    action TEXT,
    event_type TEXT,
    claimed_user TEXT,
    authenticated_user TEXT,
    device_id TEXT,
    is_guest INTEGER,
    client_address TEXT,
    client_chain TEXT,
    user_agent TEXT,
    claimed_salt BLOB,
    authenticated_salt BLOB,
    client_salt BLOB,
    claimed_commitment BLOB,
    authenticated_commitment BLOB,
    client_commitment BLOB,
    preference TEXT,
    verdict TEXT,
    violations TEXT NOT NULL,
    outcome TEXT,
    origin_status INTEGER,
    errcode TEXT,
    request_id TEXT,
    traceparent TEXT,
    body_sha256 BLOB,
    duration_us INTEGER,
    detail TEXT,
    stored_at INTEGER NOT NULL
        DEFAULT (CAST(round(unixepoch('now', 'subsec') * 1000) AS INTEGER) * 1000)
) STRICT;

CREATE INDEX audit_record_exchange ON audit_record (exchange_id, phase);
CREATE INDEX audit_record_claimed_user ON audit_record (claimed_user, id);
CREATE INDEX audit_record_authenticated_user ON audit_record (authenticated_user, id);
CREATE INDEX audit_record_intent ON audit_record (run_id, id) WHERE phase = 'intent';

CREATE TABLE audit_run (
    run_id BLOB NOT NULL PRIMARY KEY,
    instance TEXT NOT NULL,
    started_at INTEGER NOT NULL
        DEFAULT (CAST(round(unixepoch('now', 'subsec') * 1000) AS INTEGER) * 1000),
    renewed_at INTEGER NOT NULL
        DEFAULT (CAST(round(unixepoch('now', 'subsec') * 1000) AS INTEGER) * 1000),
    ended_at INTEGER,
    buried_at INTEGER
) STRICT, WITHOUT ROWID;

CREATE INDEX audit_run_unburied ON audit_run (renewed_at) WHERE buried_at IS NULL;
