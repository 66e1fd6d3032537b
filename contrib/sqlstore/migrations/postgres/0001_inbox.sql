CREATE TABLE plural_inbox (
	merchant   text        NOT NULL,
	webhook_id text        NOT NULL,
	event_type text        NOT NULL,
	handled_at timestamptz NOT NULL,
	PRIMARY KEY (merchant, webhook_id)
);
CREATE INDEX plural_inbox_handled_at ON plural_inbox (handled_at);
