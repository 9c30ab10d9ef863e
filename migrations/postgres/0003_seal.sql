-- The tree: what is sealed, what waits for it, and what was signed. deploy/proof.md says what the bytes are.
--
-- Nothing here waits for the writers, or makes them wait. Records that are there already are found by the
-- sealer, step by step, and put in line.

CREATE TABLE audit_pending (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    record_id uuid NOT NULL
);

-- Rows come and go by the thousand: the dead ones must not pile up in front of the living.
ALTER TABLE audit_pending
    SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000, autovacuum_vacuum_cost_delay = 0);

COMMENT ON TABLE audit_pending IS 'Records that are not sealed yet, in the order of their arrival';
COMMENT ON COLUMN audit_pending.seq IS 'The order of arrival';
COMMENT ON COLUMN audit_pending.record_id IS 'The record';

CREATE TABLE audit_leaf (
    leaf_index bigint PRIMARY KEY,
    record_id uuid NOT NULL UNIQUE,
    leaf_hash bytea NOT NULL
);

COMMENT ON TABLE audit_leaf IS 'The leaves of the tree: which record was sealed where';
COMMENT ON COLUMN audit_leaf.leaf_index IS 'From 0, without a gap, never used again';
COMMENT ON COLUMN audit_leaf.record_id IS 'The record';
COMMENT ON COLUMN audit_leaf.leaf_hash IS 'RFC 6962, section 2.1, of the record''s canonical bytes';

CREATE TABLE audit_tile (
    level smallint NOT NULL,
    tile_index bigint NOT NULL,
    hashes bytea NOT NULL,
    PRIMARY KEY (level, tile_index)
);
-- Hashes cannot be compressed.
ALTER TABLE audit_tile ALTER COLUMN hashes SET STORAGE EXTERNAL;

COMMENT ON TABLE audit_tile IS 'The tree as tiles of height 8 (C2SP tlog-tiles): what proofs are made of';
COMMENT ON COLUMN audit_tile.level IS 'The tile''s hashes are those of subtrees of 256^level leaves';
COMMENT ON COLUMN audit_tile.tile_index IS 'The first of them is number 256 * tile_index of its level';
COMMENT ON COLUMN audit_tile.hashes IS 'One after the other, at most 256';

CREATE TABLE audit_tree_head (
    is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    size bigint NOT NULL,
    root bytea NOT NULL,
    note text
);
INSERT INTO audit_tree_head (size, root) VALUES (0, sha256(''));

COMMENT ON TABLE audit_tree_head IS 'One row: the newest tree head. Whoever seals locks it';
COMMENT ON COLUMN audit_tree_head.size IS 'How many leaves there are';
COMMENT ON COLUMN audit_tree_head.root IS 'The root hash of so many leaves';
COMMENT ON COLUMN audit_tree_head.note IS 'The same, signed; null as long as nothing was ever sealed';

CREATE TABLE audit_checkpoint (
    size bigint PRIMARY KEY,
    note text NOT NULL,
    made_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

COMMENT ON TABLE audit_checkpoint IS 'Tree heads that were published: C2SP tlog-checkpoint in a signed note';
COMMENT ON COLUMN audit_checkpoint.size IS 'How many leaves it has';
COMMENT ON COLUMN audit_checkpoint.note IS 'The signed note';
COMMENT ON COLUMN audit_checkpoint.made_at IS 'When, by the database''s clock';

CREATE TABLE audit_lost_checkpoint (
    size bigint NOT NULL,
    root bytea NOT NULL,
    record_id uuid NOT NULL,
    PRIMARY KEY (size, root)
);

COMMENT ON TABLE audit_lost_checkpoint IS 'Checkpoints that a restored database does not lead to, and that an operator has acknowledged';
COMMENT ON COLUMN audit_lost_checkpoint.size IS 'How many leaves it has';
COMMENT ON COLUMN audit_lost_checkpoint.root IS 'Their root hash';
COMMENT ON COLUMN audit_lost_checkpoint.record_id IS 'The operation record that names it';

-- Whoever may append to the trail may say that a record waits: gateways of an earlier version go on appending through the
-- function below. Whoever may read the trail may read the tree. To seal is more, and is not given by itself.
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
                WHEN 'INSERT' THEN 'GRANT INSERT ON audit_pending TO %s'
                ELSE 'GRANT SELECT ON audit_pending, audit_leaf, audit_tile, audit_tree_head, audit_checkpoint, audit_lost_checkpoint TO %s'
            END,
            CASE privilege.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(privilege.grantee)) END);
    END LOOP;
END
$$;

-- As before; and a record that is new waits to be sealed.
CREATE OR REPLACE FUNCTION audit_append(
    ids uuid[], kinds text[], exchange_ids uuid[], phases text[], recorded_ats timestamptz[],
    instances text[], run_ids uuid[], versions text[], actions text[], event_types text[],
    claimed_users text[], authenticated_users text[], device_ids text[], are_guests boolean[],
    client_addresses text[], client_chains jsonb[], user_agents text[], claimed_salts bytea[],
    authenticated_salts bytea[], client_salts bytea[], claimed_commitments bytea[],
    authenticated_commitments bytea[], client_commitments bytea[], preferences text[],
    verdicts text[], violation_lists jsonb[], outcomes text[], origin_statuses integer[],
    errcodes text[], request_ids text[], traceparents text[], body_sha256s bytea[],
    durations_us bigint[], details jsonb[]
) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    appended bigint;
BEGIN
    IF current_setting('synchronous_commit') IN ('off', 'local', 'remote_write') THEN
        PERFORM set_config('synchronous_commit', 'on', true);
    END IF;
    BEGIN
        INSERT INTO audit_record (
            id, kind, exchange_id, phase, recorded_at, instance, run_id, version, action, event_type,
            claimed_user, authenticated_user, device_id, is_guest, client_address, client_chain,
            user_agent, claimed_salt, authenticated_salt, client_salt, claimed_commitment,
            authenticated_commitment, client_commitment, preference, verdict, violations, outcome,
            origin_status, errcode, request_id, traceparent, body_sha256, duration_us, detail
        )
        SELECT unnest(ids), unnest(kinds), unnest(exchange_ids), unnest(phases), unnest(recorded_ats),
            unnest(instances), unnest(run_ids), unnest(versions), unnest(actions), unnest(event_types),
            unnest(claimed_users), unnest(authenticated_users), unnest(device_ids), unnest(are_guests),
            unnest(client_addresses), unnest(client_chains), unnest(user_agents), unnest(claimed_salts),
            unnest(authenticated_salts), unnest(client_salts), unnest(claimed_commitments),
            unnest(authenticated_commitments), unnest(client_commitments), unnest(preferences),
            unnest(verdicts), unnest(violation_lists), unnest(outcomes), unnest(origin_statuses),
            unnest(errcodes), unnest(request_ids), unnest(traceparents), unnest(body_sha256s),
            unnest(durations_us), unnest(details);
        GET DIAGNOSTICS appended = ROW_COUNT;
        IF appended < cardinality(ids) THEN
            -- Whoever appends would be told that it is done.
            RAISE EXCEPTION 'a trigger or a rule keeps records out of audit_record'
                USING ERRCODE = 'object_not_in_prerequisite_state';
        END IF;
        INSERT INTO audit_pending (record_id) SELECT unnest(ids);
    EXCEPTION WHEN unique_violation THEN
        -- To append again after a lost answer is harmless: the id decides. That is rare, and to be ready for it
        -- costs every record a look of its own.
        WITH appended AS (
        INSERT INTO audit_record (
            id, kind, exchange_id, phase, recorded_at, instance, run_id, version, action, event_type,
            claimed_user, authenticated_user, device_id, is_guest, client_address, client_chain,
            user_agent, claimed_salt, authenticated_salt, client_salt, claimed_commitment,
            authenticated_commitment, client_commitment, preference, verdict, violations, outcome,
            origin_status, errcode, request_id, traceparent, body_sha256, duration_us, detail
        )
        SELECT unnest(ids), unnest(kinds), unnest(exchange_ids), unnest(phases), unnest(recorded_ats),
            unnest(instances), unnest(run_ids), unnest(versions), unnest(actions), unnest(event_types),
            unnest(claimed_users), unnest(authenticated_users), unnest(device_ids), unnest(are_guests),
            unnest(client_addresses), unnest(client_chains), unnest(user_agents), unnest(claimed_salts),
            unnest(authenticated_salts), unnest(client_salts), unnest(claimed_commitments),
            unnest(authenticated_commitments), unnest(client_commitments), unnest(preferences),
            unnest(verdicts), unnest(violation_lists), unnest(outcomes), unnest(origin_statuses),
            unnest(errcodes), unnest(request_ids), unnest(traceparents), unnest(body_sha256s),
            unnest(durations_us), unnest(details)
        ON CONFLICT (id) DO NOTHING
        RETURNING id)
        INSERT INTO audit_pending (record_id) SELECT id FROM appended;
    END;
END
$$;
