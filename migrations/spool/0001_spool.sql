-- What waits for the store, in the order in which it came.

-- seq has no gaps: a record that is missing between two others was lost, not skipped.
CREATE TABLE spool_record (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    -- By the gateway's clock, in microseconds since 1970, UTC.
    spooled_at INTEGER NOT NULL,
    -- The record as JSON; the members are the columns of audit_record.
    line BLOB NOT NULL,
    -- SHA-256 of the line: SQLite does not notice a byte that was flipped.
    digest BLOB NOT NULL
) STRICT;

-- One row.
CREATE TABLE spool_state (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    spool_id BLOB NOT NULL,
    -- Up to this seq everything is in the store, or set aside.
    shipped INTEGER NOT NULL
) STRICT;

INSERT INTO spool_state (only_row, spool_id, shipped) VALUES (1, randomblob(16), 0);

-- Records that the store will not take.
CREATE TABLE spool_set_aside (
    id BLOB NOT NULL PRIMARY KEY,
    set_aside_at INTEGER NOT NULL,
    reason TEXT NOT NULL,
    line BLOB NOT NULL
) STRICT, WITHOUT ROWID;
