-- The trail, and the runs of the gateways that write it.
--
-- A row of audit_record never changes, but for the erasure of personal data.

CREATE TABLE audit_record (
    id uuid PRIMARY KEY,
    kind text NOT NULL,
    exchange_id uuid,
    phase text,
    recorded_at timestamptz NOT NULL,
    instance text NOT NULL,
    run_id uuid NOT NULL,
    version text NOT NULL,
    action text,
    event_type text,
    claimed_user text,
    authenticated_user text,
    device_id text,
    is_guest boolean,
    client_address text,
    client_chain jsonb,
    user_agent text,
    claimed_salt bytea,
    authenticated_salt bytea,
    client_salt bytea,
    claimed_commitment bytea,
    authenticated_commitment bytea,
    client_commitment bytea,
    preference text,
    verdict text,
    violations jsonb NOT NULL,
    outcome text,
    origin_status integer,
    errcode text,
    request_id text,
    traceparent text,
    body_sha256 bytea,
    duration_us bigint,
    detail jsonb,
    stored_at timestamptz NOT NULL DEFAULT clock_timestamp()
) PARTITION BY RANGE (id);

COMMENT ON TABLE audit_record IS 'The trail: one row a record. Rows are only ever added; erasing a user nulls that user''s personal fields and salts.';
COMMENT ON COLUMN audit_record.id IS 'UUIDv7: the key, the order, and by its time the partition';
COMMENT ON COLUMN audit_record.kind IS 'exchange, heartbeat, collapsed, tombstone or operation';
COMMENT ON COLUMN audit_record.exchange_id IS 'One id for the intent and the outcome of a guarded request';
COMMENT ON COLUMN audit_record.phase IS 'intent or outcome';
COMMENT ON COLUMN audit_record.recorded_at IS 'When, by the gateway''s clock';
COMMENT ON COLUMN audit_record.instance IS 'Which gateway';
COMMENT ON COLUMN audit_record.run_id IS 'Which run of it: see audit_run';
COMMENT ON COLUMN audit_record.version IS 'Which build of it';
COMMENT ON COLUMN audit_record.action IS 'write, read or clear';
COMMENT ON COLUMN audit_record.event_type IS 'The type of the account data';
COMMENT ON COLUMN audit_record.claimed_user IS 'Whom the path names; nobody has checked it';
COMMENT ON COLUMN audit_record.authenticated_user IS 'Whom the homeserver''s whoami named for the credentials';
COMMENT ON COLUMN audit_record.device_id IS 'The device that whoami named';
COMMENT ON COLUMN audit_record.is_guest IS 'Whether whoami said that it is a guest';
COMMENT ON COLUMN audit_record.client_address IS 'The client''s address behind all trusted proxies';
COMMENT ON COLUMN audit_record.client_chain IS 'What the address was resolved from: a list of text; null once erased';
COMMENT ON COLUMN audit_record.user_agent IS 'The client''s User-Agent';
COMMENT ON COLUMN audit_record.claimed_salt IS '16 random bytes; null once the claimed user is erased';
COMMENT ON COLUMN audit_record.authenticated_salt IS '16 random bytes; null once the authenticated user is erased';
COMMENT ON COLUMN audit_record.client_salt IS '16 random bytes; null once the client is erased';
COMMENT ON COLUMN audit_record.claimed_commitment IS 'Salted SHA-256 of claimed_user';
COMMENT ON COLUMN audit_record.authenticated_commitment IS 'Salted SHA-256 of authenticated_user, device_id and is_guest';
COMMENT ON COLUMN audit_record.client_commitment IS 'Salted SHA-256 of client_address, client_chain and user_agent';
COMMENT ON COLUMN audit_record.preference IS 'enabled or disabled, both types alike; null if the content says neither';
COMMENT ON COLUMN audit_record.verdict IS 'accept, clear or refuse; null if nothing was judged';
COMMENT ON COLUMN audit_record.violations IS 'Why it was refused: a list of codes';
COMMENT ON COLUMN audit_record.outcome IS 'refused, answered, unanswered (the origin may have acted) or failed (certainly never sent); null on intents';
COMMENT ON COLUMN audit_record.origin_status IS 'The status of the origin''s answer';
COMMENT ON COLUMN audit_record.errcode IS 'The errcode of the origin''s answer';
COMMENT ON COLUMN audit_record.request_id IS 'The request id';
COMMENT ON COLUMN audit_record.traceparent IS 'The client''s traceparent';
COMMENT ON COLUMN audit_record.body_sha256 IS 'SHA-256 of the body that was judged';
COMMENT ON COLUMN audit_record.duration_us IS 'From the request''s head to this record, in microseconds';
COMMENT ON COLUMN audit_record.detail IS 'What records of other kinds say, and why an open intent was closed';
COMMENT ON COLUMN audit_record.stored_at IS 'When, by the database''s clock';

-- Both halves of an exchange; and whether an intent has its outcome.
CREATE INDEX audit_record_exchange ON audit_record (exchange_id, phase);
CREATE INDEX audit_record_claimed_user ON audit_record (claimed_user, id);
CREATE INDEX audit_record_authenticated_user ON audit_record (authenticated_user, id);
CREATE INDEX audit_record_intent ON audit_record (run_id, id) WHERE phase = 'intent';

-- Where the records of bad clocks go, and those of months that nobody made a partition for.
CREATE TABLE audit_record_default PARTITION OF audit_record DEFAULT;
COMMENT ON TABLE audit_record_default IS 'Records whose month has no partition: those of bad clocks';

CREATE TABLE audit_run (
    run_id uuid PRIMARY KEY,
    instance text NOT NULL,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    renewed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at timestamptz,
    buried_at timestamptz
);

COMMENT ON TABLE audit_run IS 'The lease of every run of a gateway, by the database''s clock';
COMMENT ON COLUMN audit_run.run_id IS 'The run';
COMMENT ON COLUMN audit_run.instance IS 'Which gateway';
COMMENT ON COLUMN audit_run.started_at IS 'When it was first heard of';
COMMENT ON COLUMN audit_run.renewed_at IS 'When it was last heard of';
COMMENT ON COLUMN audit_run.ended_at IS 'When it ended in good order';
COMMENT ON COLUMN audit_run.buried_at IS 'When it was dead and had no open intents left';

-- Runs are few but for the buried ones.
CREATE INDEX audit_run_unburied ON audit_run (renewed_at) WHERE buried_at IS NULL;

-- The least UUIDv7 of an instant: 48 bits of milliseconds, then nothing.
CREATE FUNCTION audit_first_id(instant timestamptz) RETURNS uuid
LANGUAGE sql IMMUTABLE STRICT
RETURN (lpad(to_hex((extract(epoch FROM instant) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid;

COMMENT ON FUNCTION audit_first_id IS 'The least UUIDv7 of an instant';

-- Makes the partition of one month, given by its first instant, UTC. Null, or a sentence that says
-- why it was not made.
CREATE FUNCTION audit_make_partition(month timestamptz) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    name text := 'audit_record_' || to_char(month AT TIME ZONE 'UTC', 'YYYY_MM');
    following timestamptz := (month AT TIME ZONE 'UTC' + interval '1 month') AT TIME ZONE 'UTC';
BEGIN
    IF to_regclass(name) IS NOT NULL THEN
        RETURN NULL;
    END IF;
    -- The key of the migrations: whoever makes tables makes them alone.
    PERFORM pg_advisory_xact_lock(7738142570918376519);
    IF to_regclass(name) IS NOT NULL THEN
        RETURN NULL;
    END IF;
    -- Attached rather than created as a partition: that would wait for every reader and writer
    -- of the trail, and make them wait.
    EXECUTE format('CREATE TABLE %I (LIKE audit_record INCLUDING ALL)', name);
    EXECUTE format(
        'ALTER TABLE audit_record ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
        name, audit_first_id(month), audit_first_id(following));
    RETURN NULL;
EXCEPTION
    WHEN check_violation THEN
        RETURN format(
            'records of %s lie in the default partition audit_record_default and stay there: no partition was made for that month',
            to_char(month AT TIME ZONE 'UTC', 'YYYY-MM'));
    WHEN insufficient_privilege THEN
        RETURN format(
            'the database role may not make the partition %s: run `key-backup-gateway migrate` as the owner of audit_record',
            name);
END
$$;

COMMENT ON FUNCTION audit_make_partition IS 'Makes the partition of a month; says why it did not';

-- Makes the partitions of this month and the next three; a sentence for each that was not made.
CREATE FUNCTION audit_make_partitions() RETURNS SETOF text
LANGUAGE plpgsql AS $$
DECLARE
    first timestamp := date_trunc('month', clock_timestamp() AT TIME ZONE 'UTC');
    sentence text;
BEGIN
    FOR ahead IN 0..3 LOOP
        sentence := audit_make_partition((first + make_interval(months => ahead)) AT TIME ZONE 'UTC');
        IF sentence IS NOT NULL THEN
            RETURN NEXT sentence;
        END IF;
    END LOOP;
END
$$;

COMMENT ON FUNCTION audit_make_partitions IS 'Makes the partitions of this month and the next three';

SELECT audit_make_partitions();
