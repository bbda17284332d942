-- The same tables as in a file, and those that several gateways need to share them.
-- Times are microseconds since 1970. What is large and leaves again (`raw`, `pending`) or never changes (`receipt`)
-- lies apart from `delivery`, whose rows are rewritten at every step.

CREATE TABLE message (
    key BIGINT PRIMARY KEY,
    -- Digest of source and id; of a message in conflict with an earlier one, also of its content.
    identity BYTEA NOT NULL,
    source TEXT NOT NULL,
    id TEXT NOT NULL,
    digest BYTEA NOT NULL,
    conflict BOOLEAN NOT NULL,
    kind TEXT,
    sender TEXT NOT NULL,
    received_at BIGINT NOT NULL,
    traceparent TEXT,
    -- The span of the sender out of which the message came, where it sent one.
    caller BYTEA,
    series BYTEA,
    sequence BIGINT,
    -- Whom it is about, under the gateway's key. No index: they are random, and each would cost every message a page.
    subject_bsn BYTEA,
    subject_skn BYTEA,
    message_ref TEXT NOT NULL,
    policy_version TEXT NOT NULL,
    mapping_version TEXT NOT NULL,
    -- A message's deliveries have consecutive keys, so that no index is needed to find them.
    first_delivery BIGINT NOT NULL,
    last_delivery BIGINT NOT NULL,
    -- The message as it came in lies in `raw` until every delivery is final.
    keeps_raw BOOLEAN NOT NULL
);

CREATE UNIQUE INDEX message_identity ON message (identity);

CREATE TABLE raw (
    message BIGINT PRIMARY KEY,
    -- Encrypted, as is `pending.body`.
    content BYTEA NOT NULL
);

CREATE TABLE delivery (
    key BIGINT PRIMARY KEY,
    message BIGINT NOT NULL,
    idempotency_key BYTEA NOT NULL,
    recipient TEXT,
    role TEXT,
    volatile BOOLEAN NOT NULL,
    outcome TEXT NOT NULL,
    reason TEXT,
    attempts BIGINT NOT NULL,
    -- When it is taken up; of what is leased, when the lease ends. NULL: not by itself.
    due_at BIGINT,
    -- Ready but for its recipient, who takes nothing or no more now. Taken up in the order in which they came.
    waits BOOLEAN NOT NULL,
    -- Who has it in hand now, or once it is final its receipt: a node, or whoever is alone with a file. NULL: nobody.
    holder BIGINT,
    -- It was ready to be sent once, so an attempt may have reached the recipient.
    tried BOOLEAN NOT NULL,
    -- The outcome with which it ends once whoever holds it reports.
    ending TEXT,
    changed_at BIGINT NOT NULL,
    finished_at BIGINT,
    -- Of the message, as long as this is not final.
    series BYTEA,
    receipted BOOLEAN NOT NULL,
    -- When the receipt is sent (again). NULL: it was sent, or there is none.
    receipt_at BIGINT,
    receipt_attempts BIGINT NOT NULL
);

CREATE INDEX delivery_unfinished ON delivery (due_at) WHERE finished_at IS NULL;
CREATE INDEX delivery_waits ON delivery (recipient) WHERE waits;
CREATE INDEX delivery_series ON delivery (series) WHERE series IS NOT NULL;
CREATE INDEX delivery_owing ON delivery (finished_at) WHERE finished_at IS NOT NULL AND NOT receipted;
CREATE INDEX delivery_receipt ON delivery (receipt_at) WHERE receipt_at IS NOT NULL;

-- What is needed until there is a receipt: what policy said, and the bytes for the recipient as long as they may
-- have to be sent. The receipt then says what policy said.
CREATE TABLE pending (
    delivery BIGINT PRIMARY KEY,
    decision TEXT NOT NULL,
    kind TEXT,
    content_type TEXT,
    digest TEXT,
    body BYTEA
);

CREATE TABLE receipt (
    -- In the order in which they were made and never given twice, as are those of `action` and `purge`: the disclosure
    -- log takes them up in this order. INVARIANT: one writes at a time, see `ledger`.
    key BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    delivery BIGINT NOT NULL UNIQUE,
    id BYTEA NOT NULL,
    jws TEXT NOT NULL
);

CREATE INDEX receipt_id ON receipt (id);

-- The highest sequence that was recorded of each series.
CREATE TABLE series (
    key BYTEA PRIMARY KEY,
    sequence BIGINT NOT NULL
);

-- Consents, withdrawals and assessments that came by message, in the order in which they came: nothing in here is
-- ever changed, and what counts is made out of it when it is read. `content` holds no personal data.
CREATE TABLE record (
    key BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    message BIGINT NOT NULL,
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    subject_bsn BYTEA,
    subject_skn BYTEA,
    sequence BIGINT,
    content TEXT NOT NULL
);

CREATE INDEX record_bsn ON record (subject_bsn) WHERE subject_bsn IS NOT NULL;
CREATE INDEX record_skn ON record (subject_skn) WHERE subject_skn IS NOT NULL;
CREATE INDEX record_withdrawal ON record (id) WHERE kind = 'intrekking';

-- What persons did, and why.
CREATE TABLE action (
    key BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- What it was about: a delivery, or the data of one person.
    delivery BIGINT,
    subject_bsn BYTEA,
    subject_skn BYTEA,
    at BIGINT NOT NULL,
    who TEXT NOT NULL,
    what TEXT NOT NULL,
    why TEXT NOT NULL
);

-- What went after its term, a row for each step: what, how many, what ended before when, and when that was done.
CREATE TABLE purge (
    key BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    what TEXT NOT NULL,
    before BIGINT NOT NULL,
    at BIGINT NOT NULL,
    count BIGINT NOT NULL,
    -- The last message that was looked at, where the next pass goes on from there.
    last BIGINT NOT NULL,
    -- Of the disclosure log: which positions, as in `0-127,130-130`.
    entries TEXT
);

CREATE INDEX purge_last ON purge (what, last);

-- The disclosure log. A leaf of the tree is `content`; when an entry goes after its term, the hash of its leaf stays.
CREATE TABLE log_entry (
    position BIGINT PRIMARY KEY,
    kind TEXT NOT NULL,
    -- The key of the receipt, the action or the purge.
    record BIGINT NOT NULL,
    at BIGINT NOT NULL,
    digest_key BYTEA NOT NULL,
    content TEXT NOT NULL,
    UNIQUE (kind, record)
);

-- 256 hashes of 32 bytes, fewer at the right edge of the tree; those of level 0 are of leaves.
CREATE TABLE log_tile (
    level BIGINT NOT NULL,
    number BIGINT NOT NULL,
    hashes BYTEA NOT NULL,
    PRIMARY KEY (level, number)
);

-- The last signed head of each hour.
CREATE TABLE log_head (
    size BIGINT PRIMARY KEY,
    hour BIGINT NOT NULL UNIQUE,
    at BIGINT NOT NULL,
    root BYTEA NOT NULL,
    jws TEXT NOT NULL
);

-- The key under which entries know a person, encrypted as is `raw.content`. Without it nobody knows whose they are.
CREATE TABLE person_key (
    pseudonym BYTEA PRIMARY KEY,
    key BYTEA NOT NULL,
    -- The month of the last entry under it.
    used BIGINT NOT NULL
);

-- What persons decided about many deliveries at once: each list is frozen when it is made.
CREATE TABLE job (
    key BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    what TEXT NOT NULL,
    who TEXT NOT NULL,
    why TEXT NOT NULL,
    -- Deliveries a second.
    rate BIGINT NOT NULL,
    made_at BIGINT NOT NULL,
    state TEXT NOT NULL,
    -- Who goes on with it, until when.
    lease_until BIGINT NOT NULL,
    holder TEXT NOT NULL
);

CREATE TABLE job_item (
    job BIGINT NOT NULL,
    place BIGINT NOT NULL,
    delivery BIGINT NOT NULL,
    -- Of the delivery when the list was frozen, and its `changed_at`: what is otherwise now is passed over.
    outcome TEXT NOT NULL,
    seen BIGINT NOT NULL,
    result TEXT,
    PRIMARY KEY (job, place)
);

-- Messages that were not over when their traffic data were purged.
CREATE TABLE left_behind (
    message BIGINT PRIMARY KEY
);

-- Whoever writes locks this table until its commit, so that one writes at a time.
CREATE TABLE ledger (
    -- How many of these files were run.
    format BIGINT NOT NULL,
    -- Counts the commits that changed something: whoever finds the number of its own last one may trust its memory.
    turns BIGINT NOT NULL
);
INSERT INTO ledger (format, turns) VALUES (0, 0);

-- Gateways that take part. One whose time is over is dismissed by the others, who release what it held.
CREATE TABLE node (
    -- Never given twice, so that one that was dismissed and comes back is another one.
    key BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    term INTERVAL NOT NULL,
    until TIMESTAMPTZ NOT NULL
);

-- While the server was away nobody could be heard of.
CREATE FUNCTION over_at(until TIMESTAMPTZ, term INTERVAL) RETURNS TIMESTAMPTZ LANGUAGE SQL
    RETURN greatest(until, pg_postmaster_start_time() + term);

-- As SQLite has it, for a member that is a text.
CREATE FUNCTION json_extract(document TEXT, path TEXT) RETURNS TEXT LANGUAGE SQL
    RETURN jsonb_path_query_first(document::jsonb, path::jsonpath) #>> '{}';
