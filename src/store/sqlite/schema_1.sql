-- One row: the last numbers given, what the store's clock adds to the time of day, in milliseconds, and how often the file
-- was opened.
CREATE TABLE counters (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    delivery INTEGER NOT NULL,
    claim INTEGER NOT NULL,
    clock INTEGER NOT NULL,
    opened INTEGER NOT NULL
) STRICT;
INSERT INTO counters VALUES (1, 0, 0, 0, 0);

CREATE TABLE endpoint (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
) STRICT;

-- The only index in random order, and what storing costs most: nothing is in it but 16 bytes of the key's digest.
CREATE TABLE delivery_key (
    key BLOB PRIMARY KEY,
    delivery INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What changes while a delivery is processed. Small, so that a change writes few pages.
-- taken_over: whether a lease has ended without a settlement, and no run was settled since.
-- due: 0 is now; 9223372036854775807 is when an earlier one of its order key is settled; NULL is never, it is settled.
CREATE TABLE delivery (
    id INTEGER PRIMARY KEY,
    endpoint INTEGER NOT NULL,
    state INTEGER NOT NULL,
    due INTEGER,
    received INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    taken_over INTEGER NOT NULL DEFAULT 0,
    fence INTEGER NOT NULL,
    order_key TEXT
) STRICT;
CREATE INDEX delivery_due ON delivery (endpoint, due) WHERE due IS NOT NULL;
CREATE INDEX delivery_order ON delivery (endpoint, order_key, due) WHERE due IS NOT NULL AND order_key IS NOT NULL;
CREATE INDEX delivery_aside ON delivery (state) WHERE state >= 3;

-- What never changes.
CREATE TABLE envelope (
    id INTEGER PRIMARY KEY,
    key BLOB NOT NULL,
    fingerprint BLOB NOT NULL,
    delivery_id TEXT,
    event_type TEXT,
    block BLOB NOT NULL
) STRICT;

CREATE TABLE failure (
    delivery INTEGER NOT NULL,
    number INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    at INTEGER NOT NULL,
    reason TEXT NOT NULL,
    PRIMARY KEY (delivery, number)
) STRICT, WITHOUT ROWID;

-- until: when a lease ends, or a completed claim is forgotten.
CREATE TABLE claim (
    key BLOB PRIMARY KEY,
    fingerprint BLOB NOT NULL,
    state INTEGER NOT NULL,
    fence INTEGER NOT NULL,
    until INTEGER NOT NULL,
    status INTEGER NOT NULL,
    body BLOB
) STRICT, WITHOUT ROWID;
CREATE INDEX claim_until ON claim (until);
