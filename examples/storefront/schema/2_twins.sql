-- If a reference was used twice at Plural, the second order there has a row of
-- its own, and also its own decisions, payments and history.
ALTER TABLE orders ADD COLUMN twin_of text NOT NULL DEFAULT ''; -- the number of the first; '' of that itself
CREATE INDEX orders_by_twin ON orders (twin_of);

-- One process at a time makes an order at Plural.
ALTER TABLE orders ADD COLUMN creating_at bigint NOT NULL DEFAULT 0; -- since when; 0: none does

-- The payer's last return for which the books were read.
ALTER TABLE orders ADD COLUMN returned_at bigint NOT NULL DEFAULT 0;
ALTER TABLE orders ADD COLUMN returned_as text NOT NULL DEFAULT '';

ALTER TABLE payments ADD COLUMN captured bigint NOT NULL DEFAULT 0;

-- The bank seems to have released the hold: a waiting capture does not prevent
-- the staff from cancelling.
DROP INDEX one_end_of_a_hold;
CREATE UNIQUE INDEX one_capture_and_one_cancel ON decisions (order_number, kind)
	WHERE kind IN ('capture', 'cancel') AND state IN ('waiting', 'done');
