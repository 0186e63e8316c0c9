-- A ledger file as version 1 of the schema writes it, with a settled call of 7 tokens and one in flight that reserves 9.
PRAGMA application_id = 1886940263;
PRAGMA user_version = 1;
PRAGMA journal_mode = wal;
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
INSERT INTO counters VALUES
    ('key', 'k', 'minute', unixepoch('2026-07-15T13:45'), 1, 7, 0, 1, 9, 0),
    ('key', 'k', 'hour', unixepoch('2026-07-15T13:00'), 1, 7, 0, 1, 9, 0),
    ('key', 'k', 'day', unixepoch('2026-07-15'), 1, 7, 0, 1, 9, 0),
    ('key', 'k', 'month', unixepoch('2026-07-01'), 1, 7, 0, 1, 9, 0),
    ('key', 'k', 'ever', 0, 1, 7, 0, 1, 9, 0);
INSERT INTO reservations VALUES
    (2, 1000 * unixepoch('2026-07-15T13:45:40'), 'k', NULL, 'openai', '/v1/responses', 'gpt-5-mini', 9, 0);
INSERT INTO usage VALUES
    (1, 1000 * unixepoch('2026-07-15T13:45:30'), 1000 * unixepoch('2026-07-15T13:45:35'), 'k', NULL,
     'openai', '/v1/responses', 'gpt-5-mini', 200, 7, 0, 0, 0, '{"input_tokens":7}');
