-- Counters of a key or group ('key', 'group') in one window ('minute', 'hour', 'day', 'month', 'ever').
-- A start is in seconds since 1970, and the other instants are in milliseconds. Picodollars are 10⁻¹² $.
CREATE TABLE counters (
    owner_kind TEXT NOT NULL,
    owner_id TEXT NOT NULL,
    window TEXT NOT NULL,
    start INTEGER NOT NULL,
    spent_requests INTEGER NOT NULL,
    spent_tokens INTEGER NOT NULL,
    spent_picodollars INTEGER NOT NULL,
    reserved_requests INTEGER NOT NULL,
    reserved_tokens INTEGER NOT NULL,
    reserved_picodollars INTEGER NOT NULL,
    PRIMARY KEY (owner_kind, owner_id, window, start)
) STRICT, WITHOUT ROWID;

-- The calls in flight. After a crash, they are settled as estimates.
CREATE TABLE reservations (
    id INTEGER PRIMARY KEY,
    admitted_at INTEGER NOT NULL,
    key_id TEXT NOT NULL,
    group_id TEXT,
    provider TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    model TEXT NOT NULL,
    tokens INTEGER NOT NULL,
    picodollars INTEGER NOT NULL
) STRICT;

-- The settled calls. `counts` is a JSON object of the counts in the response. `estimated` is 1 if the charge is not that of
-- a complete response, and `unpriced` is 1 if it contains a counter without a price.
CREATE TABLE usage (
    id INTEGER PRIMARY KEY,
    admitted_at INTEGER NOT NULL,
    settled_at INTEGER NOT NULL,
    key_id TEXT NOT NULL,
    group_id TEXT,
    provider TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    model TEXT NOT NULL,
    status INTEGER,
    tokens INTEGER NOT NULL,
    picodollars INTEGER NOT NULL,
    estimated INTEGER NOT NULL,
    unpriced INTEGER NOT NULL,
    counts TEXT NOT NULL
) STRICT;
