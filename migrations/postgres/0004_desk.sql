-- The summary: what is derived from the trail for those who ask about it often. It is no part of the proof, and is made anew
-- from the records at any time (`audit rebuild`).
--
-- Whoever writes to the trail waits while the indexes are made. What is there already is taken in afterwards, by the
-- gateways, step by step.

CREATE TABLE audit_fresh (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    record_ids uuid[] NOT NULL
);
-- Ids cannot be compressed.
ALTER TABLE audit_fresh ALTER COLUMN record_ids SET STORAGE EXTERNAL;
-- Rows come and go: the dead ones must not pile up in front of the living.
ALTER TABLE audit_fresh
    SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);

COMMENT ON TABLE audit_fresh IS 'Records that are not in the summary yet: one row for each statement that appended some';
COMMENT ON COLUMN audit_fresh.seq IS 'The order of arrival';
COMMENT ON COLUMN audit_fresh.record_ids IS 'The records';

CREATE TABLE audit_summary (
    is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    records bigint NOT NULL DEFAULT 0,
    is_due boolean NOT NULL DEFAULT false,
    is_behind boolean NOT NULL DEFAULT false
);
INSERT INTO audit_summary (is_due, is_behind) SELECT present, present FROM (SELECT EXISTS (SELECT FROM audit_record)) AS trail (present);

COMMENT ON TABLE audit_summary IS 'One row: how far the summary is. Whoever takes records into it locks it';
COMMENT ON COLUMN audit_summary.records IS 'How many records it is made of';
COMMENT ON COLUMN audit_summary.is_due IS 'It must be made anew, and nobody has begun';
COMMENT ON COLUMN audit_summary.is_behind IS 'It is being made anew, and is not whole';

CREATE TABLE audit_user (
    user_id text PRIMARY KEY,
    profile jsonb NOT NULL,
    disagrees boolean NOT NULL
);
CREATE INDEX audit_user_disagrees ON audit_user (user_id) WHERE disagrees;

COMMENT ON TABLE audit_user IS 'The last known state of each user';
COMMENT ON COLUMN audit_user.user_id IS 'The user: whom the homeserver named, or else the path';
COMMENT ON COLUMN audit_user.profile IS 'What was seen last of both types, and the days on which the preference changed';
COMMENT ON COLUMN audit_user.disagrees IS 'The two types do not say the same';

CREATE TABLE audit_adoption (
    day integer NOT NULL,
    preference text NOT NULL,
    users bigint NOT NULL,
    PRIMARY KEY (day, preference)
);

COMMENT ON TABLE audit_adoption IS 'By how much the number of users with a preference changed on each day';
COMMENT ON COLUMN audit_adoption.day IS 'Days since 1970, UTC';
COMMENT ON COLUMN audit_adoption.preference IS 'enabled, disabled or unknown';
COMMENT ON COLUMN audit_adoption.users IS 'So many more, or fewer';

CREATE TABLE audit_hour (
    hour bigint NOT NULL,
    action text NOT NULL,
    verdict text NOT NULL,
    outcome text NOT NULL,
    records bigint NOT NULL,
    PRIMARY KEY (hour, action, verdict, outcome)
);

COMMENT ON TABLE audit_hour IS 'How many guarded requests there were in each hour';
COMMENT ON COLUMN audit_hour.hour IS 'Hours since 1970';
COMMENT ON COLUMN audit_hour.action IS 'As in audit_record';
COMMENT ON COLUMN audit_hour.verdict IS 'As in audit_record; empty for none';
COMMENT ON COLUMN audit_hour.outcome IS 'As in audit_record; empty for none';
COMMENT ON COLUMN audit_hour.records IS 'So many';

CREATE TABLE audit_violation (
    hour bigint NOT NULL,
    code text NOT NULL,
    client text NOT NULL,
    version text NOT NULL,
    became text NOT NULL,
    records bigint NOT NULL,
    newest uuid NOT NULL,
    PRIMARY KEY (hour, code, client, version, became)
);

COMMENT ON TABLE audit_violation IS 'How many violations there were in each hour';
COMMENT ON COLUMN audit_violation.hour IS 'Hours since 1970';
COMMENT ON COLUMN audit_violation.code IS 'The code';
COMMENT ON COLUMN audit_violation.client IS 'The client''s name';
COMMENT ON COLUMN audit_violation.version IS 'Its version';
COMMENT ON COLUMN audit_violation.became IS 'refused, forwarded, or read: what the homeserver had stored';
COMMENT ON COLUMN audit_violation.records IS 'So many';
COMMENT ON COLUMN audit_violation.newest IS 'The newest of these records';

CREATE TABLE audit_drift (
    read_id uuid PRIMARY KEY,
    exchange_id uuid,
    noticed_at timestamptz NOT NULL,
    user_id text NOT NULL,
    event_type text NOT NULL,
    expected text NOT NULL,
    known_from uuid NOT NULL,
    found text NOT NULL
);
CREATE INDEX audit_drift_user ON audit_drift (user_id, read_id);

COMMENT ON TABLE audit_drift IS 'Reads that gave what nobody had written through the gateways';
COMMENT ON COLUMN audit_drift.read_id IS 'The record of the read';
COMMENT ON COLUMN audit_drift.exchange_id IS 'Its exchange';
COMMENT ON COLUMN audit_drift.noticed_at IS 'When it was recorded';
COMMENT ON COLUMN audit_drift.user_id IS 'Whose account data it was';
COMMENT ON COLUMN audit_drift.event_type IS 'Of which type';
COMMENT ON COLUMN audit_drift.expected IS 'What was known before: enabled, disabled, unusable or absent';
COMMENT ON COLUMN audit_drift.known_from IS 'The record from which that was known';
COMMENT ON COLUMN audit_drift.found IS 'What the read gave';

CREATE TABLE audit_open (
    exchange_id uuid PRIMARY KEY,
    intent_id uuid NOT NULL
);

COMMENT ON TABLE audit_open IS 'Intents without an outcome';
COMMENT ON COLUMN audit_open.exchange_id IS 'The exchange';
COMMENT ON COLUMN audit_open.intent_id IS 'The record of its intent';

CREATE TABLE audit_trait (
    kind text NOT NULL,
    value text NOT NULL,
    user_id text NOT NULL,
    PRIMARY KEY (kind, value, user_id)
);
-- What a value begins with is asked for byte by byte, whatever the collation of the database.
CREATE INDEX audit_trait_prefix ON audit_trait (kind, value text_pattern_ops, user_id);

COMMENT ON TABLE audit_trait IS 'Which users came with which device, address or client: whoever looks for one looks among their records only';
COMMENT ON COLUMN audit_trait.kind IS 'device, address or client';
COMMENT ON COLUMN audit_trait.value IS 'What stands in the records';
COMMENT ON COLUMN audit_trait.user_id IS 'The claimed user; empty for records without one';

CREATE TABLE audit_trait_days (
    kind text NOT NULL,
    value text NOT NULL,
    first_day integer NOT NULL,
    last_day integer NOT NULL,
    PRIMARY KEY (kind, value)
);

COMMENT ON TABLE audit_trait_days IS 'When a device, an address or a client was seen: what many had once is not among the newest records';
COMMENT ON COLUMN audit_trait_days.kind IS 'As in audit_trait';
COMMENT ON COLUMN audit_trait_days.value IS 'As in audit_trait';
COMMENT ON COLUMN audit_trait_days.first_day IS 'Days since 1970, UTC, by the time of a record''s id';
COMMENT ON COLUMN audit_trait_days.last_day IS 'The same';

CREATE TABLE audit_stray (
    record_id uuid PRIMARY KEY,
    recorded_at timestamptz NOT NULL
);
CREATE INDEX audit_stray_recorded_at ON audit_stray (recorded_at);

COMMENT ON TABLE audit_stray IS 'Records whose id is of another time than they are: those that close an intent, and those of clocks that were set back';
COMMENT ON COLUMN audit_stray.record_id IS 'The record';
COMMENT ON COLUMN audit_stray.recorded_at IS 'Its time';

-- What an auditor asks for among millions of other records: what is rare costs next to nothing to write.
CREATE INDEX audit_record_violation ON audit_record USING gin (violations jsonb_path_ops)
    WHERE violations <> '[]';
CREATE INDEX audit_record_violated ON audit_record (id)
    WHERE violations <> '[]';
CREATE INDEX audit_record_no_claimed_user ON audit_record (id)
    WHERE claimed_user IS NULL;

-- Whoever appends, says so; with the rights of the owner, as those who append may not know of the summary.
CREATE FUNCTION audit_note_fresh() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO audit_fresh (record_ids)
    SELECT ids FROM (SELECT array_agg(id) FROM fresh) AS appended (ids)
    WHERE ids IS NOT NULL;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION audit_note_fresh IS 'Puts records that were appended in line for the summary';

CREATE TRIGGER audit_note_fresh AFTER INSERT ON audit_record
    REFERENCING NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION audit_note_fresh();

-- Whoever may append may keep the summary, which proves nothing; whoever may read the trail may read it.
DO $$
DECLARE
    privilege record;
BEGIN
    FOR privilege IN
        SELECT DISTINCT acl.grantee, acl.privilege_type
        FROM pg_class, aclexplode(relacl) AS acl
        WHERE oid = 'audit_record'::regclass AND acl.grantee <> relowner
            AND acl.privilege_type IN ('SELECT', 'INSERT')
    LOOP
        EXECUTE format(
            CASE privilege.privilege_type
                WHEN 'INSERT' THEN 'GRANT SELECT, INSERT, UPDATE, DELETE ON audit_fresh, audit_summary, audit_user, audit_adoption, audit_hour, audit_violation, audit_drift, audit_open, audit_trait, audit_trait_days, audit_stray TO %s'
                ELSE 'GRANT SELECT ON audit_fresh, audit_summary, audit_user, audit_adoption, audit_hour, audit_violation, audit_drift, audit_open, audit_trait, audit_trait_days, audit_stray TO %s'
            END,
            CASE privilege.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(privilege.grantee)) END);
    END LOOP;
END
$$;
