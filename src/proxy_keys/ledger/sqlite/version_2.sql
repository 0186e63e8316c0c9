-- The sums of old calls by the hour of their admission (seconds since 1970). `group_id` is empty without a group. `counts` is
-- a JSON object of the summed counts, and `estimated` and `unpriced` are numbers of calls.
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

-- Finds the rows of a period, and the oldest ones.
CREATE INDEX usage_by_admission ON usage (admitted_at);
