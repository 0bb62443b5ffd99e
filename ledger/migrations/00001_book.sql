-- One set of migrations for SQLite and PostgreSQL: TEXT and BIGINT only, times are
-- Unix milliseconds, amounts are minor units, flags are 0 or 1.

-- +goose Up

-- Facts about this ledger, such as its identity.
CREATE TABLE facts (
    name  TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
);

-- The house has no stored balance: a row that every transfer writes would make
-- all workers queue behind each other. Its balance is the sum of its entries.
CREATE TABLE accounts (
    id      TEXT   NOT NULL PRIMARY KEY,
    kind    TEXT   NOT NULL CHECK (kind IN ('house', 'player')),
    guest   BIGINT NOT NULL CHECK (guest IN (0, 1)),
    name    TEXT   NOT NULL,
    balance BIGINT          CHECK (balance >= 0),
    version BIGINT NOT NULL CHECK (version >= 0),
    opened  BIGINT NOT NULL,
    CHECK ((kind = 'house') = (balance IS NULL))
);

-- The first outcome of every booking, for ever: what a repetition is answered.
-- An empty digest is a tombstone: a cancel came before its stake, and the stake
-- is refused whatever it says.
CREATE TABLE bookings (
    id      TEXT   NOT NULL PRIMARY KEY,
    kind    TEXT   NOT NULL,
    digest  TEXT   NOT NULL,
    booked  BIGINT NOT NULL CHECK (booked IN (0, 1)),
    code    TEXT   NOT NULL,
    player  TEXT   NOT NULL,
    balance BIGINT NOT NULL,
    version BIGINT NOT NULL,
    at      BIGINT NOT NULL,
    CHECK ((booked = 1) = (code = ''))
);

CREATE TABLE transfers (
    id       TEXT   NOT NULL PRIMARY KEY,
    kind     TEXT   NOT NULL CHECK (kind IN ('grant', 'stake', 'payout', 'cancel', 'credit', 'refill')),
    player   TEXT   NOT NULL REFERENCES accounts (id),
    amount   BIGINT NOT NULL CHECK (amount > 0),
    room     TEXT   NOT NULL,
    stake    TEXT   NOT NULL,
    operator TEXT   NOT NULL,
    reason   TEXT   NOT NULL,
    at       BIGINT NOT NULL
);
CREATE INDEX transfers_player ON transfers (player, at, id);

-- Two entries per transfer whose amounts cancel out.
CREATE TABLE entries (
    transfer TEXT   NOT NULL REFERENCES transfers (id),
    account  TEXT   NOT NULL REFERENCES accounts (id),
    amount   BIGINT NOT NULL CHECK (amount <> 0),
    PRIMARY KEY (transfer, account)
);
CREATE INDEX entries_account ON entries (account, amount);

-- A bet is a stake that was booked.
CREATE TABLE bets (
    id        TEXT   NOT NULL PRIMARY KEY REFERENCES transfers (id),
    player    TEXT   NOT NULL REFERENCES accounts (id),
    room      TEXT   NOT NULL,
    room_uuid TEXT   NOT NULL,
    game      TEXT   NOT NULL,
    round     BIGINT NOT NULL,
    slot      BIGINT NOT NULL,
    stake     BIGINT NOT NULL CHECK (stake > 0),
    auto      BIGINT NOT NULL,
    at        BIGINT NOT NULL
);
CREATE INDEX bets_player ON bets (player, at, id);
CREATE INDEX bets_round ON bets (room_uuid, round);

-- The one end of a bet. The primary key is what makes it one.
CREATE TABLE ends (
    bet      TEXT   NOT NULL PRIMARY KEY REFERENCES bets (id),
    kind     TEXT   NOT NULL CHECK (kind IN ('payout', 'cancel', 'lost')),
    booking  TEXT   NOT NULL,
    transfer TEXT            REFERENCES transfers (id),
    amount   BIGINT NOT NULL CHECK (amount >= 0),
    centi    BIGINT NOT NULL,
    at       BIGINT NOT NULL,
    CHECK ((kind = 'lost') = (transfer IS NULL)),
    CHECK ((kind = 'lost') = (amount = 0))
);

CREATE TABLE rounds (
    room_uuid TEXT   NOT NULL,
    round     BIGINT NOT NULL,
    booking   TEXT   NOT NULL UNIQUE,
    room      TEXT   NOT NULL,
    game      TEXT   NOT NULL,
    voided    BIGINT NOT NULL CHECK (voided IN (0, 1)),
    started   BIGINT NOT NULL,
    ended     BIGINT NOT NULL,
    outcome   TEXT   NOT NULL,
    PRIMARY KEY (room_uuid, round)
);
CREATE INDEX rounds_room ON rounds (room, ended, booking);

-- The scores that a booking brought, as they came.
CREATE TABLE round_scores (
    booking   TEXT   NOT NULL,
    player    TEXT   NOT NULL,
    room_uuid TEXT   NOT NULL,
    round     BIGINT NOT NULL,
    name      TEXT   NOT NULL,
    points    BIGINT NOT NULL,
    PRIMARY KEY (booking, player)
);

-- Leaderboards: the total of a player on a board. The version grows with it.
CREATE TABLE scores (
    board   TEXT   NOT NULL,
    player  TEXT   NOT NULL,
    name    TEXT   NOT NULL,
    points  BIGINT NOT NULL,
    version BIGINT NOT NULL CHECK (version > 0),
    PRIMARY KEY (board, player)
);
CREATE INDEX scores_rank ON scores (board, points DESC, player);

CREATE TABLE audit (
    booking  TEXT   NOT NULL PRIMARY KEY,
    room     TEXT   NOT NULL,
    operator TEXT   NOT NULL,
    op       TEXT   NOT NULL,
    action   TEXT   NOT NULL,
    outcome  TEXT   NOT NULL,
    at       BIGINT NOT NULL
);
CREATE INDEX audit_at ON audit (at, booking);

CREATE TABLE sessions (
    id      TEXT   NOT NULL PRIMARY KEY,
    session TEXT   NOT NULL,
    player  TEXT   NOT NULL,
    name    TEXT   NOT NULL,
    guest   BIGINT NOT NULL CHECK (guest IN (0, 1)),
    gateway TEXT   NOT NULL,
    kind    TEXT   NOT NULL,
    address TEXT   NOT NULL,
    reason  TEXT   NOT NULL,
    at      BIGINT NOT NULL
);
CREATE INDEX sessions_at ON sessions (at, id);
CREATE INDEX sessions_player ON sessions (player, at, id);

-- The ID cannot be a player's: those have no dots.
INSERT INTO accounts (id, kind, guest, name, balance, version, opened)
VALUES ('.house', 'house', 0, 'House', NULL, 0, 0);

-- +goose Down

DROP TABLE sessions;
DROP TABLE audit;
DROP TABLE scores;
DROP TABLE round_scores;
DROP TABLE rounds;
DROP TABLE ends;
DROP TABLE bets;
DROP TABLE entries;
DROP TABLE transfers;
DROP TABLE bookings;
DROP TABLE accounts;
DROP TABLE facts;
