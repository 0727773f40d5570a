-- Version 1. `{schema}` stands for the quoted name of the schema.

-- Numbers are drawn before rows are inserted: rows go in by key, so that two batches never wait for each other, and
-- are numbered in order of receipt.
CREATE SEQUENCE {schema}.delivery_number;

-- Text is compared by its bytes: quicker, and no index is wrong after an upgrade of the system's collations.
-- state: 0 pending, 1 running, 2 processed, 3 dead letter, 4 mismatch. due_at: when a pending one may run, and when
-- a running one's lease ends. taken_over: whether a lease has ended without a settlement, and no run was settled since.
CREATE TABLE {schema}.deliveries (
    id bigint PRIMARY KEY,
    key bytea NOT NULL,
    fingerprint bytea NOT NULL,
    endpoint text COLLATE "C" NOT NULL,
    delivery_id text COLLATE "C",
    event_type text COLLATE "C",
    order_key text COLLATE "C",
    state smallint NOT NULL DEFAULT 0,
    attempts integer NOT NULL DEFAULT 0,
    taken_over boolean NOT NULL DEFAULT false,
    fence bigint NOT NULL DEFAULT 0,
    received_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    due_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    history jsonb NOT NULL DEFAULT '[]'
) WITH (fillfactor = 85, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 5000);

-- Apart from the row that every lease and settlement writes anew.
CREATE TABLE {schema}.blocks (
    id bigint PRIMARY KEY,
    block bytea NOT NULL
);
-- Compressed or encrypted bytes do not get smaller, and JSON of a few KiB is not worth the time on the way in.
ALTER TABLE {schema}.blocks ALTER COLUMN block SET STORAGE EXTERNAL;

-- No plan here asks how keys, texts and blocks are spread, and under load an analysis of ten times as many rows took an
-- eighth of the machine.
ALTER TABLE {schema}.deliveries
    ALTER key SET STATISTICS 0, ALTER fingerprint SET STATISTICS 0, ALTER delivery_id SET STATISTICS 0,
    ALTER event_type SET STATISTICS 0, ALTER attempts SET STATISTICS 0, ALTER taken_over SET STATISTICS 0,
    ALTER fence SET STATISTICS 0, ALTER received_at SET STATISTICS 0, ALTER history SET STATISTICS 0,
    ALTER id SET STATISTICS 10, ALTER endpoint SET STATISTICS 10, ALTER order_key SET STATISTICS 10,
    ALTER state SET STATISTICS 10, ALTER due_at SET STATISTICS 10;
ALTER TABLE {schema}.blocks ALTER id SET STATISTICS 10, ALTER block SET STATISTICS 0;

CREATE UNIQUE INDEX deliveries_key ON {schema}.deliveries (key) WHERE state <> 4;
CREATE UNIQUE INDEX deliveries_aside ON {schema}.deliveries (key, fingerprint) WHERE state = 4;
CREATE INDEX deliveries_due ON {schema}.deliveries (endpoint, due_at, id) WHERE state < 2;
CREATE INDEX deliveries_order ON {schema}.deliveries (endpoint, order_key, id)
    WHERE state < 2 AND order_key IS NOT NULL;
CREATE INDEX deliveries_order_running ON {schema}.deliveries (endpoint, order_key)
    WHERE state = 1 AND order_key IS NOT NULL;
CREATE INDEX deliveries_given_up ON {schema}.deliveries (state, id) WHERE state > 2;

-- state: 0 in flight, 1 acknowledged, 2 completed.
CREATE SEQUENCE {schema}.claim_fence;
CREATE TABLE {schema}.claims (
    key bytea PRIMARY KEY,
    fingerprint bytea NOT NULL,
    fence bigint NOT NULL,
    state smallint NOT NULL,
    until timestamptz NOT NULL,
    status smallint,
    body bytea
) WITH (fillfactor = 85, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 5000);
CREATE INDEX claims_until ON {schema}.claims (until);

-- A role, a database or a pooled connection may have lowered this since the start-up check; it never lowers what is
-- higher. Lasts until the transaction ends.
CREATE FUNCTION {schema}.durable_1() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('synchronous_commit') NOT IN ('on', 'remote_apply') THEN
        PERFORM set_config('synchronous_commit', 'on', true);
    END IF;
END $$;

-- One outcome a row: 0 stored, 1 duplicate, 2 mismatch.
CREATE FUNCTION {schema}.put_1(
    p_keys bytea[], p_fingerprints bytea[], p_endpoints text[], p_delivery_ids text[], p_event_types text[],
    p_order_keys text[], p_blocks bytea[]
) RETURNS smallint[] LANGUAGE plpgsql SET lock_timeout = '1s' SET jit = off AS $$
DECLARE
    v_outcomes smallint[];
    v_known bytea;
    v_id bigint;
    i integer;
BEGIN
    PERFORM {schema}.durable_1();
    WITH input AS MATERIALIZED (
        SELECT t.*, nextval('{schema}.delivery_number') AS id
        FROM unnest(p_keys, p_fingerprints, p_endpoints, p_delivery_ids, p_event_types, p_order_keys, p_blocks)
            WITH ORDINALITY AS t (key, fingerprint, endpoint, delivery_id, event_type, order_key, block, place)
    ), stored AS (
        INSERT INTO {schema}.deliveries
            (id, key, fingerprint, endpoint, delivery_id, event_type, order_key)
        SELECT n.id, n.key, n.fingerprint, n.endpoint, n.delivery_id, n.event_type, n.order_key
        FROM input n ORDER BY n.key, n.id
        ON CONFLICT (key) WHERE state <> 4 DO NOTHING
        RETURNING id
    ), kept AS (
        INSERT INTO {schema}.blocks (id, block)
        SELECT n.id, n.block FROM input n JOIN stored s ON s.id = n.id
    )
    SELECT array_agg(CASE WHEN s.id IS NOT NULL THEN 0 END ORDER BY n.place) INTO v_outcomes
    FROM input n LEFT JOIN stored s ON s.id = n.id;

    IF array_position(v_outcomes, NULL) IS NULL THEN
        RETURN v_outcomes;
    END IF;
    -- Each statement sees what was committed before it began, so the row that was in the way is visible now. Taking
    -- a share of its lock makes this a transaction that writes: a duplicate is confirmed only once everything before
    -- it is flushed, and is on the standbys that must have it.
    FOR i IN SELECT o.place FROM unnest(v_outcomes) WITH ORDINALITY AS o (outcome, place)
             WHERE o.outcome IS NULL ORDER BY p_keys[o.place], o.place
    LOOP
        SELECT d.fingerprint INTO v_known FROM {schema}.deliveries d
        WHERE d.key = p_keys[i] AND d.state <> 4 FOR KEY SHARE;
        IF NOT FOUND THEN
            RAISE serialization_failure USING MESSAGE = 'a known delivery was purged while it was looked at';
        ELSIF v_known = p_fingerprints[i] THEN
            v_outcomes[i] := 1;
        ELSE
            v_outcomes[i] := 2;
            INSERT INTO {schema}.deliveries
                (id, key, fingerprint, endpoint, delivery_id, event_type, order_key, state)
            VALUES (nextval('{schema}.delivery_number'), p_keys[i], p_fingerprints[i], p_endpoints[i],
                p_delivery_ids[i], p_event_types[i], p_order_keys[i], 4)
            ON CONFLICT (key, fingerprint) WHERE state = 4 DO NOTHING
            RETURNING id INTO v_id;
            IF FOUND THEN
                INSERT INTO {schema}.blocks (id, block) VALUES (v_id, p_blocks[i]);
            END IF;
        END IF;
    END LOOP;
    RETURN v_outcomes;
END $$;

-- The deliveries taken, by number; then one row without a number that says when the next falls due. No more of them
-- than {lease_bytes} bytes of blocks, so that a lease arrives within its budget, though always one.
CREATE FUNCTION {schema}.lease_1(p_endpoints text[], p_limit integer, p_lease_us bigint)
RETURNS TABLE (
    o_id bigint, o_fence bigint, o_attempts integer, o_taken_over boolean, o_us bigint, o_key bytea, o_fingerprint bytea,
    o_endpoint text, o_delivery_id text, o_event_type text, o_order_key text, o_block bytea
) LANGUAGE plpgsql SET lock_timeout = '1s' SET jit = off SET enable_seqscan = off AS $$
DECLARE
    v_now timestamptz := clock_timestamp();
    v_taken bigint[];
    v_undecided bigint[];
    v_blocked bigint[];
    v_run bigint[];
    v_damaged bigint[] := '{}';
    v_id bigint;
BEGIN
    PERFORM {schema}.durable_1();
    -- NO KEY: the share that a duplicate takes of the lock does not get in the way.
    SELECT array_agg(c.id) INTO v_taken FROM (
        SELECT d.id FROM (SELECT DISTINCT unnest(p_endpoints) AS endpoint) e
        CROSS JOIN LATERAL (
            SELECT r.id, r.due_at FROM {schema}.deliveries r
            WHERE r.endpoint = e.endpoint AND r.state < 2 AND r.due_at <= v_now
            ORDER BY r.due_at, r.id LIMIT p_limit FOR NO KEY UPDATE SKIP LOCKED
        ) d ORDER BY d.due_at, d.id LIMIT p_limit
    ) c;

    IF EXISTS (SELECT FROM {schema}.deliveries d WHERE d.id = ANY (v_taken) AND d.order_key IS NOT NULL) THEN
        -- Who decides on an order key does so alone until it commits. Without this, two workers with two views of
        -- the table could each find another delivery to be the key's first.
        SELECT array_agg(k.id) FILTER (WHERE NOT k.alone) INTO v_undecided FROM (
            SELECT d.id, pg_try_advisory_xact_lock(2003, hashtext('{schema}' || d.endpoint || '/' || d.order_key)) AS alone
            FROM {schema}.deliveries d WHERE d.id = ANY (v_taken) AND d.order_key IS NOT NULL
        ) k;
        -- A new statement, and so a new view: it sees what the one who decided before has committed.
        SELECT array_agg(d.id) INTO v_blocked FROM {schema}.deliveries d
        WHERE d.id = ANY (v_taken) AND d.order_key IS NOT NULL
          AND NOT d.id = ANY (coalesce(v_undecided, '{}'))
          AND EXISTS (
            SELECT FROM {schema}.deliveries o
            WHERE o.endpoint = d.endpoint AND o.order_key = d.order_key AND o.order_key IS NOT NULL AND o.state < 2
              AND o.id < d.id
            UNION ALL
            SELECT FROM {schema}.deliveries o
            WHERE o.endpoint = d.endpoint AND o.order_key = d.order_key AND o.order_key IS NOT NULL AND o.state = 1
              AND o.id <> d.id AND o.due_at > v_now);
    END IF;

    -- The length is read without the block.
    SELECT array_agg(s.id) INTO v_run FROM (
        SELECT d.id, row_number() OVER receipt AS place, sum(coalesce(octet_length(b.block), 0)) OVER receipt AS bytes
        FROM {schema}.deliveries d LEFT JOIN {schema}.blocks b ON b.id = d.id
        WHERE d.id = ANY (v_taken) AND NOT d.id = ANY (coalesce(v_undecided, '{}'))
          AND NOT d.id = ANY (coalesce(v_blocked, '{}'))
        WINDOW receipt AS (ORDER BY d.due_at, d.id)
    ) s WHERE s.place = 1 OR s.bytes <= {lease_bytes};

    -- A block that cannot be read would undo each lease that it is part of, and so stop its endpoint. It is handed out
    -- empty, which makes it a dead letter. Appending nothing is what reads a block here.
    BEGIN
        PERFORM max(octet_length(b.block || ''::bytea)) FROM {schema}.blocks b WHERE b.id = ANY (v_run);
    EXCEPTION WHEN data_corrupted OR internal_error THEN
        FOREACH v_id IN ARRAY v_run LOOP
            BEGIN
                PERFORM octet_length(b.block || ''::bytea) FROM {schema}.blocks b WHERE b.id = v_id;
            EXCEPTION WHEN data_corrupted OR internal_error THEN
                v_damaged := v_damaged || v_id;
            END;
        END LOOP;
    END;

    RETURN QUERY
    WITH run AS (
        UPDATE {schema}.deliveries d
        SET state = 1, attempts = d.attempts + 1, fence = d.fence + 1, taken_over = d.taken_over OR d.state = 1,
            due_at = v_now + p_lease_us * interval '1 microsecond'
        WHERE d.id = ANY (v_run)
        RETURNING d.*
    )
    SELECT r.id, r.fence, r.attempts, r.taken_over, (extract(epoch FROM v_now - r.received_at) * 1000000)::bigint,
        r.key, r.fingerprint, r.endpoint, r.delivery_id, r.event_type, r.order_key,
        CASE WHEN r.id = ANY (v_damaged) THEN '' ELSE coalesce(b.block, '') END
    FROM run r LEFT JOIN {schema}.blocks b ON b.id = r.id ORDER BY r.id;

    IF v_blocked IS NOT NULL THEN
        -- Looked at again when the one before it may be done, and not on every call until then. A settlement wakes the
        -- key's first earlier than that.
        UPDATE {schema}.deliveries d SET state = 0, taken_over = d.taken_over OR d.state = 1, due_at = greatest(
            v_now + interval '100 milliseconds',
            (SELECT h.due_at FROM {schema}.deliveries h
             WHERE h.endpoint = d.endpoint AND h.order_key = d.order_key AND h.order_key IS NOT NULL AND h.state < 2
               AND h.id < d.id
             ORDER BY h.id LIMIT 1),
            (SELECT max(r.due_at) FROM {schema}.deliveries r
             WHERE r.endpoint = d.endpoint AND r.order_key = d.order_key AND r.order_key IS NOT NULL AND r.state = 1
               AND r.id <> d.id))
        WHERE d.id = ANY (v_blocked);
    END IF;

    RETURN QUERY
    SELECT NULL::bigint, NULL::bigint, NULL::integer, NULL::boolean,
        (extract(epoch FROM min(n.due_at) - clock_timestamp()) * 1000000)::bigint, NULL::bytea, NULL::bytea,
        NULL::text, NULL::text, NULL::text, NULL::text, NULL::bytea
    FROM unnest(p_endpoints) AS e (endpoint)
    CROSS JOIN LATERAL (
        SELECT r.due_at FROM {schema}.deliveries r
        WHERE r.endpoint = e.endpoint AND r.state < 2 ORDER BY r.due_at, r.id LIMIT 1
    ) n;
END $$;

-- kinds: 0 processed, 1 retry, 2 dead letter, 3 returned, 4 postponed. Whether each was the caller's, and whether the
-- next of an order key is due.
CREATE FUNCTION {schema}.settle_1(
    p_ids bigint[], p_fences bigint[], p_kinds smallint[], p_after_us bigint[], p_reasons text[],
    OUT o_settled boolean[], OUT o_woken boolean
) LANGUAGE plpgsql SET lock_timeout = '1s' SET jit = off SET enable_seqscan = off AS $$
DECLARE
    v_key record;
BEGIN
    o_woken := false;
    PERFORM {schema}.durable_1();
    -- Nobody decides on these order keys until this has committed. A worker that still saw this run under way could
    -- otherwise put off a delivery that came too late to be woken below.
    PERFORM pg_advisory_xact_lock(2003, k.place) FROM (
        SELECT DISTINCT hashtext('{schema}' || d.endpoint || '/' || d.order_key) AS place
        FROM {schema}.deliveries d WHERE d.id = ANY (p_ids) AND d.order_key IS NOT NULL ORDER BY 1
    ) k;
    -- By number, so that two batches never wait for each other.
    PERFORM FROM {schema}.deliveries d WHERE d.id = ANY (p_ids) ORDER BY d.id FOR NO KEY UPDATE;
    WITH input AS MATERIALIZED (
        SELECT * FROM unnest(p_ids, p_fences, p_kinds, p_after_us, p_reasons)
            WITH ORDINALITY AS t (id, fence, kind, after_us, reason, place)
    ), settled AS (
        UPDATE {schema}.deliveries d SET
            state = CASE n.kind WHEN 0 THEN 2 WHEN 2 THEN 3 ELSE 0 END,
            attempts = CASE WHEN n.kind IN (3, 4) THEN greatest(d.attempts - 1, 0) ELSE d.attempts END,
            taken_over = d.taken_over AND n.kind IN (3, 4),
            -- What is returned keeps its place: behind what came meanwhile it would never be reached under load.
            due_at = CASE n.kind WHEN 3 THEN least(d.received_at, clock_timestamp())
                ELSE clock_timestamp() + coalesce(n.after_us, 0) * interval '1 microsecond' END,
            history = CASE WHEN n.kind IN (1, 2) THEN
                CASE WHEN jsonb_array_length(d.history) >= {history} THEN d.history - 0 ELSE d.history END
                || jsonb_build_object('attempt', d.attempts, 'reason', n.reason,
                    'at_us', (extract(epoch FROM clock_timestamp()) * 1000000)::bigint)
                ELSE d.history END
        -- The list besides the join: whatever the planner believes of states, it looks at these rows alone.
        FROM input n WHERE d.id = ANY (p_ids) AND d.id = n.id AND d.fence = n.fence AND d.state = 1
        RETURNING n.place
    )
    SELECT array_agg(s.place IS NOT NULL ORDER BY n.place) INTO o_settled
    FROM input n LEFT JOIN settled s ON s.place = n.place;

    FOR v_key IN SELECT DISTINCT d.endpoint, d.order_key FROM {schema}.deliveries d
                 WHERE d.id = ANY (p_ids) AND d.order_key IS NOT NULL ORDER BY 1, 2
    LOOP
        UPDATE {schema}.deliveries d SET due_at = least(d.due_at, clock_timestamp())
        WHERE d.state = 0 AND NOT d.id = ANY (p_ids) AND d.id = (
            SELECT h.id FROM {schema}.deliveries h
            WHERE h.endpoint = v_key.endpoint AND h.order_key = v_key.order_key AND h.order_key IS NOT NULL
              AND h.state < 2
            ORDER BY h.id LIMIT 1);
        o_woken := o_woken OR FOUND;
    END LOOP;
END $$;

-- outcome: 0 new, 1 in flight, 2 acknowledged, 3 completed, 4 mismatch in flight, 5 mismatch completed.
CREATE FUNCTION {schema}.claim_1(
    p_key bytea, p_fingerprint bytea, p_lease_us bigint,
    OUT o_outcome smallint, OUT o_fence bigint, OUT o_status smallint, OUT o_body bytea
) LANGUAGE plpgsql SET lock_timeout = '1s' SET jit = off AS $$
DECLARE
    v_claim record;
    v_now timestamptz := clock_timestamp();
BEGIN
    PERFORM {schema}.durable_1();
    FOR i IN 1..5 LOOP
        INSERT INTO {schema}.claims AS c (key, fingerprint, fence, state, until)
        VALUES (p_key, p_fingerprint, nextval('{schema}.claim_fence'), 0,
            v_now + p_lease_us * interval '1 microsecond')
        ON CONFLICT (key) DO UPDATE SET fingerprint = excluded.fingerprint, fence = excluded.fence, state = 0,
            until = excluded.until, status = NULL, body = NULL
        WHERE c.until <= v_now
        RETURNING c.fence INTO o_fence;
        IF FOUND THEN
            o_outcome := 0;
            RETURN;
        END IF;
        SELECT c.fingerprint, c.state, c.status, c.body INTO v_claim FROM {schema}.claims c
        WHERE c.key = p_key FOR KEY SHARE;
        IF FOUND THEN
            o_status := v_claim.status;
            o_body := v_claim.body;
            o_outcome := CASE WHEN v_claim.fingerprint = p_fingerprint THEN v_claim.state + 1
                WHEN v_claim.state = 2 THEN 5 ELSE 4 END;
            RETURN;
        END IF;
        v_now := clock_timestamp();
    END LOOP;
    RAISE serialization_failure USING MESSAGE = 'a claim came and went while it was looked at';
END $$;

-- An ended lease still settles as long as nobody else has taken the claim. states: from which ones.
CREATE FUNCTION {schema}.settle_claim_1(
    p_key bytea, p_fence bigint, p_acknowledged boolean, p_state smallint, p_for_us bigint, p_status smallint, p_body bytea
) RETURNS boolean LANGUAGE plpgsql SET lock_timeout = '1s' SET jit = off AS $$
BEGIN
    PERFORM {schema}.durable_1();
    UPDATE {schema}.claims c SET
        state = coalesce(p_state, c.state),
        until = clock_timestamp() + p_for_us * interval '1 microsecond',
        status = coalesce(p_status, c.status),
        body = CASE WHEN p_status IS NULL THEN c.body ELSE p_body END
    WHERE c.key = p_key AND c.fence = p_fence AND (c.state = 0 OR (c.state = 1 AND p_acknowledged));
    RETURN FOUND;
END $$;
