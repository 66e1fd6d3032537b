-- What has reached the bank, from Plural's settlements. A payment may be in
-- several of them.
CREATE TABLE arrivals (
	payment_id text NOT NULL, -- payments.id, or a payment that the shop does not know
	utr        text NOT NULL, -- the bank's reference of the transfer
	day        text NOT NULL, -- of the transfer, in India: 2026-11-27; '' where Plural does not say
	status     text NOT NULL, -- Plural's payout_status
	PRIMARY KEY (payment_id, utr)
);

-- The settlements whose lines have all been read, and how they looked then.
CREATE TABLE settlements_read (
	utr  text NOT NULL PRIMARY KEY,
	mark text NOT NULL
);
