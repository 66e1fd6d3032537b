CREATE TABLE plural_inbox (
	merchant   TEXT    NOT NULL,
	webhook_id TEXT    NOT NULL,
	event_type TEXT    NOT NULL,
	handled_at INTEGER NOT NULL, -- seconds since 1970, UTC
	PRIMARY KEY (merchant, webhook_id)
) WITHOUT ROWID;
CREATE INDEX plural_inbox_handled_at ON plural_inbox (handled_at);
