-- From this version on, `hours` contains the sums of all settled calls, also of those whose rows exist. The program adds the
-- rows of an earlier version.

-- One row: the first second from which the rows of all calls exist. Until now, `hours` contained the deleted rows.
CREATE TABLE kept_rows (rows_from INTEGER NOT NULL) STRICT;
INSERT INTO kept_rows SELECT ifnull(max(start) + 3600, 0) FROM hours;
