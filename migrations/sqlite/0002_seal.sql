-- The tree: what is sealed, what waits for it, and what was signed. The tables are those of the Postgres store,
-- where each is explained; deploy/proof.md says what the bytes are. Records that are there already are found by
-- the sealer, step by step, and put in line.

CREATE TABLE audit_pending (
    seq INTEGER PRIMARY KEY,
    record_id BLOB NOT NULL
) STRICT;

CREATE TABLE audit_leaf (
    leaf_index INTEGER PRIMARY KEY,
    record_id BLOB NOT NULL UNIQUE,
    leaf_hash BLOB NOT NULL
) STRICT;

CREATE TABLE audit_tile (
    level INTEGER NOT NULL,
    tile_index INTEGER NOT NULL,
    hashes BLOB NOT NULL,
    PRIMARY KEY (level, tile_index)
) STRICT, WITHOUT ROWID;

CREATE TABLE audit_tree_head (
    is_only INTEGER PRIMARY KEY DEFAULT 1 CHECK (is_only = 1),
    size INTEGER NOT NULL,
    root BLOB NOT NULL,
    note TEXT
) STRICT;
-- The hash of nothing.
INSERT INTO audit_tree_head (size, root)
VALUES (0, x'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855');

CREATE TABLE audit_checkpoint (
    size INTEGER PRIMARY KEY,
    note TEXT NOT NULL,
    made_at INTEGER NOT NULL
        DEFAULT (CAST(round(unixepoch('now', 'subsec') * 1000) AS INTEGER) * 1000)
) STRICT;

CREATE TABLE audit_lost_checkpoint (
    size INTEGER NOT NULL,
    root BLOB NOT NULL,
    record_id BLOB NOT NULL,
    PRIMARY KEY (size, root)
) STRICT, WITHOUT ROWID;

-- A record that is new waits to be sealed.
CREATE TRIGGER audit_record_pending AFTER INSERT ON audit_record
BEGIN
    INSERT INTO audit_pending (record_id) VALUES (new.id);
END;
