-- The shop's tables, for both SQLite and PostgreSQL. Amounts are in paise,
-- times in microseconds since 1970, UTC.

CREATE TABLE IF NOT EXISTS orders (
	number     text   NOT NULL PRIMARY KEY, -- Plural's merchant_order_reference
	plural_id  text   NOT NULL DEFAULT '',  -- Plural's order_id; '' until it is known
	link       text   NOT NULL DEFAULT '',  -- to the hosted page
	lines      text   NOT NULL,             -- JSON: what was ordered, at which price
	amount     bigint NOT NULL,
	-- From Plural's books, when they were last read:
	status     text   NOT NULL DEFAULT '',
	unsettled  int    NOT NULL DEFAULT 1,   -- 0: the status is one that stays
	captured   bigint NOT NULL DEFAULT 0,
	refunded   bigint NOT NULL DEFAULT 0,
	booked_at  bigint NOT NULL DEFAULT 0,   -- the document's updated_at
	looked_at  bigint NOT NULL,
	created_at bigint NOT NULL,
	version    bigint NOT NULL DEFAULT 0    -- of what an operator has seen before a decision
);
CREATE INDEX IF NOT EXISTS orders_by_plural_id ON orders (plural_id);
CREATE INDEX IF NOT EXISTS orders_by_age ON orders (created_at);

-- Decisions of the operators. A job carries out each of them.
CREATE TABLE IF NOT EXISTS decisions (
	reference    text   NOT NULL PRIMARY KEY, -- the merchant's, of the capture or refund
	order_number text   NOT NULL REFERENCES orders (number),
	kind         text   NOT NULL, -- capture, cancel, refund
	amount       bigint NOT NULL,
	whole        int    NOT NULL, -- 1: all there was, which needed no amount
	state        text   NOT NULL, -- waiting, done, refused
	reason       text   NOT NULL DEFAULT '',
	job_id       bigint NOT NULL,
	decided_at   bigint NOT NULL,
	ended_at     bigint NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS decisions_by_order ON decisions (order_number);
-- A hold is captured or cancelled, once.
CREATE UNIQUE INDEX IF NOT EXISTS one_end_of_a_hold ON decisions (order_number)
	WHERE kind IN ('capture', 'cancel') AND state <> 'refused';

-- Attempts to pay, from Plural's books.
CREATE TABLE IF NOT EXISTS payments (
	order_number text   NOT NULL REFERENCES orders (number),
	id           text   NOT NULL,
	method       text   NOT NULL,
	status       text   NOT NULL,
	amount       bigint NOT NULL,
	reason       text   NOT NULL,
	paid_at      bigint NOT NULL,
	PRIMARY KEY (order_number, id)
);

-- What happened, in the order in which the shop learned of it.
CREATE TABLE IF NOT EXISTS history (
	order_number text   NOT NULL REFERENCES orders (number),
	happened_at  bigint NOT NULL,
	what         text   NOT NULL
);
CREATE INDEX IF NOT EXISTS history_by_order ON history (order_number);
