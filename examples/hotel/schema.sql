-- The hotel's tables. Amounts are in paise; times from Plural are in
-- microseconds.

CREATE TABLE IF NOT EXISTS bookings (
	number    text        NOT NULL PRIMARY KEY,
	reference text        NOT NULL UNIQUE,        -- of the order that holds the deposit: Plural's merchant_order_reference
	mobile    text        NOT NULL DEFAULT '',    -- of a guest who booked by telephone, and gets a payment link
	tries     int         NOT NULL DEFAULT 1,     -- orders that were made: the way to an earlier one got lost
	room      text        NOT NULL,
	nights    int         NOT NULL,
	deposit   bigint      NOT NULL,               -- held on the card
	fee       bigint      NOT NULL,               -- of a guest who does not come
	plural_id text        NOT NULL DEFAULT '',    -- Plural's order_id
	link      text        NOT NULL DEFAULT '',    -- the way to its page; nobody is sent to one that is not here
	made_at   timestamptz NOT NULL DEFAULT now(),

	-- What Plural's books said when they were last read.
	status     text        NOT NULL DEFAULT '',
	held       boolean     NOT NULL DEFAULT false,
	taken      bigint      NOT NULL DEFAULT 0,
	refunded   bigint      NOT NULL DEFAULT 0,
	may_change boolean     NOT NULL DEFAULT true,  -- by itself
	lapsing    boolean     NOT NULL DEFAULT false, -- the hold may end any day
	booked_at  bigint      NOT NULL DEFAULT 0,     -- the document's updated_at
	looked_at  timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX IF NOT EXISTS bookings_by_plural_id ON bookings (plural_id);

-- Decisions of the desk. A job carries out each of them.
CREATE TABLE IF NOT EXISTS decisions (
	reference text        NOT NULL PRIMARY KEY, -- the merchant's, of the capture or refund
	number    text        NOT NULL REFERENCES bookings,
	kind      text        NOT NULL, -- check-out, no-show, cancel, refund, link
	amount    bigint      NOT NULL,
	state     text        NOT NULL, -- under way, done, refused, look, given up
	note      text        NOT NULL DEFAULT '',
	job_id    bigint      NOT NULL,
	made_at   timestamptz NOT NULL DEFAULT now()
);
-- A hold ends once.
CREATE UNIQUE INDEX IF NOT EXISTS one_end_of_a_hold ON decisions (number)
	WHERE kind IN ('check-out', 'no-show', 'cancel') AND state NOT IN ('refused', 'given up');
-- A guest gets one link.
CREATE UNIQUE INDEX IF NOT EXISTS one_link ON decisions (number)
	WHERE kind = 'link' AND state NOT IN ('refused', 'given up');

CREATE TABLE IF NOT EXISTS letters (number text NOT NULL, text text NOT NULL, sent_at timestamptz NOT NULL DEFAULT now());
