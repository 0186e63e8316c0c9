-- Changes a ledger file of version 1 to one as version 2 of the schema writes it. Some rows of the last hour are deleted, and
-- one still exists. One count has a name that this program does not have.
PRAGMA user_version = 2;
CREATE TABLE hours (
    start INTEGER NOT NULL,
    key_id TEXT NOT NULL,
    group_id TEXT NOT NULL,
    provider TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    model TEXT NOT NULL,
    requests INTEGER NOT NULL,
    tokens INTEGER NOT NULL,
    picodollars INTEGER NOT NULL,
    estimated INTEGER NOT NULL,
    unpriced INTEGER NOT NULL,
    counts TEXT NOT NULL,
    PRIMARY KEY (start, key_id, group_id, provider, endpoint, model)
) STRICT, WITHOUT ROWID;
CREATE INDEX usage_by_admission ON usage (admitted_at);
INSERT INTO hours VALUES
    (unixepoch('2026-07-15T12:00'), 'k', '', 'openai', '/v1/responses', 'gpt-5-mini', 2, 40, 0, 0, 0, '{}'),
    (unixepoch('2026-07-15T13:00'), 'k', '', 'openai', '/v1/responses', 'gpt-5-mini', 2, 30, 5, 1, 1,
     '{"input_tokens":20,"other_tokens":1}');
