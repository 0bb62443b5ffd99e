-- +goose Up

-- What is asked of an operator's own wallet, by the ID of the booking: what for, and
-- how it ended. A row is there before the wallet is asked for the first time, and open
-- until it is known what the wallet did.
CREATE TABLE calls (
    id      TEXT   NOT NULL PRIMARY KEY,
    op      TEXT   NOT NULL CHECK (op IN ('withdraw', 'deposit', 'rollback')),
    target  TEXT   NOT NULL,
    booking TEXT   NOT NULL,
    digest  TEXT   NOT NULL,
    player  TEXT   NOT NULL,
    amount  BIGINT NOT NULL CHECK (amount > 0),
    state   TEXT   NOT NULL CHECK (state IN ('open', 'done', 'refused')),
    tries   BIGINT NOT NULL,
    error   TEXT   NOT NULL,
    since   BIGINT NOT NULL,
    due     BIGINT NOT NULL,
    ended   BIGINT NOT NULL,
    CHECK ((state = 'open') = (ended = 0))
);
CREATE INDEX calls_due ON calls (due, id) WHERE state = 'open';

-- +goose Down

DROP TABLE calls;
