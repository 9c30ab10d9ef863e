-- What a long trail needs, so that its writers do not pay for it and its readers do not read all of it.

-- What an auditor asks for among millions of other records.
CREATE INDEX audit_record_rare_verdict ON audit_record (id)
    WHERE verdict IN ('refuse', 'clear');
CREATE INDEX audit_record_rare_outcome ON audit_record (id)
    WHERE outcome IN ('refused', 'unanswered', 'failed');

-- Nearly always the authenticated user is the claimed one, who has an index already.
-- Dropped last: until then the trail can be read.
CREATE INDEX audit_record_other_user ON audit_record (authenticated_user, id)
    WHERE authenticated_user IS DISTINCT FROM claimed_user;
DROP INDEX audit_record_authenticated_user;
ALTER INDEX audit_record_other_user RENAME TO audit_record_authenticated_user;

-- The only write to the trail: a record is an element of each list. A function, because its plan is kept, which
-- that of a statement behind a pooler is not, and to plan one takes longer than to run it for one record.
--
-- A commit that does not wait for the disk would be a promise that a crash breaks: what is lower than `on`
-- is raised until the end of the transaction. `remote_apply`, which is higher, stays.
CREATE FUNCTION audit_append(
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
    EXCEPTION WHEN unique_violation THEN
        -- To append again after a lost answer is harmless: the id decides. That is rare, and to be ready for it
        -- costs every record a look of its own.
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
        ON CONFLICT (id) DO NOTHING;
    END;
END
$$;

COMMENT ON FUNCTION audit_append IS 'Appends records, each an element of every list; those that are there already are skipped';
