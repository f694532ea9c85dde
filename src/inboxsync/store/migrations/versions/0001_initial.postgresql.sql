CREATE TABLE api_keys (
	id TEXT COLLATE "C" NOT NULL,
	name TEXT COLLATE "C" NOT NULL,
	scope TEXT NOT NULL,
	prefix TEXT COLLATE "C" NOT NULL,
	digest TEXT NOT NULL,
	created_at TIMESTAMP WITH TIME ZONE NOT NULL,
	revoked_at TIMESTAMP WITH TIME ZONE,
	CONSTRAINT pk_api_keys PRIMARY KEY (id),
	CONSTRAINT uq_api_keys_name UNIQUE (name),
	CONSTRAINT uq_api_keys_prefix UNIQUE (prefix)
);

COMMENT ON TABLE api_keys IS 'Keys to the HTTP service';

COMMENT ON COLUMN api_keys.id IS 'our id of the key, UUIDv7';

COMMENT ON COLUMN api_keys.name IS 'what its owner calls it';

COMMENT ON COLUMN api_keys.scope IS 'what it opens: read, sync or admin';

COMMENT ON COLUMN api_keys.prefix IS 'how the key begins: identifies it; gives no access';

COMMENT ON COLUMN api_keys.digest IS 'SHA-256 of the whole key, in hex; never the key';

COMMENT ON COLUMN api_keys.created_at IS 'when it was made';

COMMENT ON COLUMN api_keys.revoked_at IS 'from then on it opens nothing; NULL: it does';

CREATE TABLE contact_details (
	conversation_id TEXT COLLATE "C" NOT NULL,
	message_id TEXT COLLATE "C" NOT NULL,
	kind TEXT NOT NULL,
	value TEXT NOT NULL,
	page_id TEXT COLLATE "C" NOT NULL,
	sent_at TIMESTAMP WITH TIME ZONE,
	CONSTRAINT pk_contact_details PRIMARY KEY (conversation_id, message_id, kind, value)
);

COMMENT ON TABLE contact_details IS 'Phone numbers and e-mail addresses that contacts wrote, with the message that says so';

COMMENT ON COLUMN contact_details.conversation_id IS 'our id of the conversation';

COMMENT ON COLUMN contact_details.message_id IS 'Graph''s id of the message that says so: the evidence';

COMMENT ON COLUMN contact_details.kind IS 'phone or email';

COMMENT ON COLUMN contact_details.value IS 'a phone number as of E.164, or an address in lower case';

COMMENT ON COLUMN contact_details.page_id IS 'the Page';

COMMENT ON COLUMN contact_details.sent_at IS 'when that message was sent';

CREATE TABLE contact_words (
	page_id TEXT COLLATE "C" NOT NULL,
	word TEXT COLLATE "C" NOT NULL,
	sender_id TEXT COLLATE "C" NOT NULL,
	CONSTRAINT pk_contact_words PRIMARY KEY (page_id, word, sender_id)
);

COMMENT ON TABLE contact_words IS 'The words of contacts'' names, to find people by the beginning of any of them';

COMMENT ON COLUMN contact_words.page_id IS 'the Page';

COMMENT ON COLUMN contact_words.word IS 'a word of the contact''s name, folded';

COMMENT ON COLUMN contact_words.sender_id IS 'the contact''s id';

CREATE TABLE contacts (
	page_id TEXT COLLATE "C" NOT NULL,
	sender_id TEXT COLLATE "C" NOT NULL,
	name TEXT,
	name_source TEXT NOT NULL,
	name_terms TEXT COLLATE "C",
	listed_at TIMESTAMP WITH TIME ZONE NOT NULL,
	first_message_at TIMESTAMP WITH TIME ZONE,
	last_message_at TIMESTAMP WITH TIME ZONE,
	last_contact_message_at TIMESTAMP WITH TIME ZONE,
	unanswered_since_at TIMESTAMP WITH TIME ZONE,
	conversations INTEGER NOT NULL,
	messages_from_contact INTEGER NOT NULL,
	messages_from_page INTEGER NOT NULL,
	messages INTEGER DEFAULT 0 NOT NULL,
	has_phone BOOLEAN NOT NULL,
	has_email BOOLEAN NOT NULL,
	has_older_messages BOOLEAN NOT NULL,
	CONSTRAINT pk_contacts PRIMARY KEY (sender_id, page_id)
);

CREATE INDEX ix_contacts_page_id_listed_at ON contacts (page_id, listed_at);

CREATE INDEX ix_contacts_page_id_messages_sender_id ON contacts (page_id, messages, sender_id);

CREATE INDEX ix_contacts_page_id_name_terms_sender_id ON contacts (page_id, name_terms, sender_id);

CREATE INDEX ix_contacts_unanswered ON contacts (page_id, listed_at) WHERE unanswered_since_at IS NOT NULL;

CREATE INDEX ix_contacts_with_email ON contacts (page_id, listed_at) WHERE has_email IS true;

CREATE INDEX ix_contacts_with_phone ON contacts (page_id, listed_at) WHERE has_phone IS true;

COMMENT ON TABLE contacts IS 'The people of a Page''s conversations';

COMMENT ON COLUMN contacts.page_id IS 'the Page';

COMMENT ON COLUMN contacts.sender_id IS 'the contact''s id, scoped to the Page or app';

COMMENT ON COLUMN contacts.name IS 'as served; NULL when withheld, never a placeholder';

COMMENT ON COLUMN contacts.name_source IS 'where the name came from: participants or none';

COMMENT ON COLUMN contacts.name_terms IS 'the words of the name, folded, a space before and behind each';

COMMENT ON COLUMN contacts.listed_at IS 'of its conversations, the newest''s';

COMMENT ON COLUMN contacts.first_message_at IS 'when the oldest stored message was sent';

COMMENT ON COLUMN contacts.last_message_at IS 'when the newest stored message was sent';

COMMENT ON COLUMN contacts.last_contact_message_at IS 'when the contact last wrote; 24 hours later the Page may no longer reply freely';

COMMENT ON COLUMN contacts.unanswered_since_at IS 'since when a person waits for an answer; NULL: no one does';

COMMENT ON COLUMN contacts.conversations IS 'how many it has with this Page';

COMMENT ON COLUMN contacts.messages_from_contact IS 'stored messages from the contact';

COMMENT ON COLUMN contacts.messages_from_page IS 'stored messages from the Page';

COMMENT ON COLUMN contacts.messages IS 'both together, to sort by';

COMMENT ON COLUMN contacts.has_phone IS 'it wrote a phone number';

COMMENT ON COLUMN contacts.has_email IS 'it wrote an e-mail address';

COMMENT ON COLUMN contacts.has_older_messages IS 'the source has older messages than are stored';

CREATE TABLE conversation_facts (
	conversation_id TEXT COLLATE "C" NOT NULL,
	page_id TEXT COLLATE "C" NOT NULL,
	sender_id TEXT COLLATE "C",
	listed_at TIMESTAMP WITH TIME ZONE NOT NULL,
	first_message_at TIMESTAMP WITH TIME ZONE,
	last_message_at TIMESTAMP WITH TIME ZONE,
	last_contact_message_at TIMESTAMP WITH TIME ZONE,
	last_sender TEXT,
	unanswered_since_at TIMESTAMP WITH TIME ZONE,
	first_response_seconds INTEGER,
	messages_from_contact INTEGER NOT NULL,
	messages_from_page INTEGER NOT NULL,
	has_phone BOOLEAN NOT NULL,
	has_email BOOLEAN NOT NULL,
	CONSTRAINT pk_conversation_facts PRIMARY KEY (conversation_id)
);

CREATE INDEX ix_conversation_facts_unanswered ON conversation_facts (page_id, listed_at) WHERE unanswered_since_at IS NOT NULL;

CREATE INDEX ix_conversation_facts_with_email ON conversation_facts (page_id, listed_at) WHERE has_email IS true;

CREATE INDEX ix_conversation_facts_with_phone ON conversation_facts (page_id, listed_at) WHERE has_phone IS true;

COMMENT ON TABLE conversation_facts IS 'What the stored messages of a conversation tell';

COMMENT ON COLUMN conversation_facts.conversation_id IS 'our id of the conversation';

COMMENT ON COLUMN conversation_facts.page_id IS 'the Page';

COMMENT ON COLUMN conversation_facts.sender_id IS 'the contact, as the conversation has it';

COMMENT ON COLUMN conversation_facts.listed_at IS 'its last_message_time; 1970 where it has none';

COMMENT ON COLUMN conversation_facts.first_message_at IS 'when the oldest stored message was sent';

COMMENT ON COLUMN conversation_facts.last_message_at IS 'when the newest stored message was sent';

COMMENT ON COLUMN conversation_facts.last_contact_message_at IS 'when the contact last wrote';

COMMENT ON COLUMN conversation_facts.last_sender IS 'who wrote last: contact or page; NULL: nobody';

COMMENT ON COLUMN conversation_facts.unanswered_since_at IS 'the contact''s first message behind the Page''s last; NULL: answered, or gone';

COMMENT ON COLUMN conversation_facts.first_response_seconds IS 'the contact''s first message to the Page''s next; NULL: none, or older ones are missing';

COMMENT ON COLUMN conversation_facts.messages_from_contact IS 'stored messages from the contact';

COMMENT ON COLUMN conversation_facts.messages_from_page IS 'stored messages from the Page';

COMMENT ON COLUMN conversation_facts.has_phone IS 'the contact wrote a phone number';

COMMENT ON COLUMN conversation_facts.has_email IS 'the contact wrote an e-mail address';

CREATE TABLE dashboard_instance (
	id INTEGER NOT NULL,
	instance_id TEXT COLLATE "C" NOT NULL,
	CONSTRAINT pk_dashboard_instance PRIMARY KEY (id)
);

COMMENT ON TABLE dashboard_instance IS 'Sessions of the dashboard are bound to this database';

COMMENT ON COLUMN dashboard_instance.id IS '1: there is one row';

COMMENT ON COLUMN dashboard_instance.instance_id IS 'which database this is, for sessions; random';

CREATE TABLE derive_queue (
	seq BIGSERIAL NOT NULL,
	conversation_id TEXT COLLATE "C" NOT NULL,
	message_id TEXT COLLATE "C",
	sent_at TIMESTAMP WITH TIME ZONE,
	CONSTRAINT pk_derive_queue PRIMARY KEY (seq)
);

COMMENT ON TABLE derive_queue IS 'Changes that nothing has been derived from yet; written by triggers';

COMMENT ON COLUMN derive_queue.seq IS 'in the order of the changes';

COMMENT ON COLUMN derive_queue.conversation_id IS 'our id of a conversation that has changed';

COMMENT ON COLUMN derive_queue.message_id IS 'Graph''s id of a message that was changed or deleted; NULL: others';

COMMENT ON COLUMN derive_queue.sent_at IS 'when that message was said to be sent before the change';

CREATE TABLE detail_region (
	id INTEGER NOT NULL,
	region TEXT NOT NULL,
	again_after TEXT COLLATE "C",
	CONSTRAINT pk_detail_region PRIMARY KEY (id)
);

COMMENT ON TABLE detail_region IS 'How contact details are looked for; a row once a region has been named';

COMMENT ON COLUMN detail_region.id IS '1: there is one row at most';

COMMENT ON COLUMN detail_region.region IS 'where phone numbers without a country''s were taken to be';

COMMENT ON COLUMN detail_region.again_after IS 'our id of the conversation after which all are searched again; NULL: none are';

CREATE TABLE ended_sessions (
	session_id TEXT COLLATE "C" NOT NULL,
	ended_at TIMESTAMP WITH TIME ZONE NOT NULL,
	CONSTRAINT pk_ended_sessions PRIMARY KEY (session_id)
);

COMMENT ON TABLE ended_sessions IS 'Sessions of the dashboard that ended before their time; kept until they would have ended';

COMMENT ON COLUMN ended_sessions.session_id IS 'the id in the session''s cookie; gives no access';

COMMENT ON COLUMN ended_sessions.ended_at IS 'when its visitor logged out';

CREATE TABLE facebook_pages (
	id TEXT COLLATE "C" NOT NULL,
	facebook_page_id TEXT COLLATE "C" NOT NULL,
	platform TEXT NOT NULL,
	account_id TEXT COLLATE "C" NOT NULL,
	user_id TEXT,
	name TEXT,
	access_token_encrypted TEXT NOT NULL,
	token_state TEXT NOT NULL,
	token_reason TEXT,
	token_problem TEXT,
	token_expires_at TIMESTAMP WITH TIME ZONE,
	source_url TEXT,
	last_synced_at TIMESTAMP WITH TIME ZONE,
	history TEXT DEFAULT 'newest' NOT NULL,
	batch_size INTEGER,
	time_windows BOOLEAN,
	created_at TIMESTAMP WITH TIME ZONE NOT NULL,
	updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
	CONSTRAINT pk_facebook_pages PRIMARY KEY (id),
	CONSTRAINT uq_facebook_pages_facebook_page_id UNIQUE (facebook_page_id, platform)
);

COMMENT ON TABLE facebook_pages IS 'Pages that were added, one row for each platform';

COMMENT ON COLUMN facebook_pages.id IS 'our id of the Page, UUIDv7';

COMMENT ON COLUMN facebook_pages.facebook_page_id IS 'Meta''s id of the Page';

COMMENT ON COLUMN facebook_pages.platform IS 'whose inbox: messenger or instagram';

COMMENT ON COLUMN facebook_pages.account_id IS 'the id under which the Page itself writes';

COMMENT ON COLUMN facebook_pages.user_id IS 'the owner in your own application; inboxsync never sets it';

COMMENT ON COLUMN facebook_pages.name IS 'the Page''s name';

COMMENT ON COLUMN facebook_pages.access_token_encrypted IS 'the token, AES-256-GCM, base64; never in clear';

COMMENT ON COLUMN facebook_pages.token_state IS 'what its last use showed: valid, invalid, not_permitted';

COMMENT ON COLUMN facebook_pages.token_reason IS 'why it is not valid, in one word: expired, app_removed, ...';

COMMENT ON COLUMN facebook_pages.token_problem IS 'why the token is not valid, and what to do';

COMMENT ON COLUMN facebook_pages.token_expires_at IS 'when the token ends; NULL: never, or not known';

COMMENT ON COLUMN facebook_pages.source_url IS 'the address it is read from, such as a sandbox''s; NULL: Meta''s';

COMMENT ON COLUMN facebook_pages.last_synced_at IS 'all up to here is stored; set it to NULL for a full sync';

COMMENT ON COLUMN facebook_pages.history IS 'how far back messages are kept: newest (the newest few and all since) or all';

COMMENT ON COLUMN facebook_pages.batch_size IS 'conversations a call that the source was seen to manage';

COMMENT ON COLUMN facebook_pages.time_windows IS 'whether lists can be asked for by time; NULL: not tried yet';

COMMENT ON COLUMN facebook_pages.created_at IS 'when the Page was added';

COMMENT ON COLUMN facebook_pages.updated_at IS 'when this row last changed';

CREATE TABLE message_index (
	id BIGINT NOT NULL,
	page_id TEXT COLLATE "C" NOT NULL,
	conversation_id TEXT COLLATE "C" NOT NULL,
	message_id TEXT COLLATE "C" NOT NULL,
	is_from_page BOOLEAN NOT NULL,
	terms TEXT NOT NULL,
	CONSTRAINT pk_message_index PRIMARY KEY (id)
);

COMMENT ON TABLE message_index IS 'Messages in the order of their time, with the words that the search finds them by';

COMMENT ON COLUMN message_index.id IS 'the second it was sent in, times 2^31, plus a number that makes it unique; newest last';

COMMENT ON COLUMN message_index.page_id IS 'the Page';

COMMENT ON COLUMN message_index.conversation_id IS 'our id of the conversation';

COMMENT ON COLUMN message_index.message_id IS 'Graph''s id of the message';

COMMENT ON COLUMN message_index.is_from_page IS 'sent by the Page, not to it';

COMMENT ON COLUMN message_index.terms IS 'its words, folded, a space before and behind each';

CREATE TABLE page_activity (
	page_id TEXT COLLATE "C" NOT NULL,
	begins_at TIMESTAMP WITH TIME ZONE NOT NULL,
	from_contacts INTEGER NOT NULL,
	from_page INTEGER NOT NULL,
	CONSTRAINT pk_page_activity PRIMARY KEY (page_id, begins_at)
);

COMMENT ON TABLE page_activity IS 'Messages in each quarter of an hour, for totals and charts';

COMMENT ON COLUMN page_activity.page_id IS 'the Page';

COMMENT ON COLUMN page_activity.begins_at IS 'when the quarter begins; 1970 for no known time';

COMMENT ON COLUMN page_activity.from_contacts IS 'stored messages to the Page in it';

COMMENT ON COLUMN page_activity.from_page IS 'stored messages of the Page in it';

CREATE TABLE page_totals (
	page_id TEXT COLLATE "C" NOT NULL,
	conversations INTEGER NOT NULL,
	contacts INTEGER NOT NULL,
	messages INTEGER NOT NULL,
	CONSTRAINT pk_page_totals PRIMARY KEY (page_id)
);

COMMENT ON TABLE page_totals IS 'How much is stored of each Page, to list and sort many of them at once';

COMMENT ON COLUMN page_totals.page_id IS 'the Page';

COMMENT ON COLUMN page_totals.conversations IS 'stored conversations of the Page';

COMMENT ON COLUMN page_totals.contacts IS 'people of these conversations';

COMMENT ON COLUMN page_totals.messages IS 'stored messages of the Page that can be read';

CREATE TABLE quotas (
	object_id TEXT COLLATE "C" NOT NULL,
	type TEXT NOT NULL,
	used_percent INTEGER,
	blocked_until_at TIMESTAMP WITH TIME ZONE,
	refusals INTEGER DEFAULT 0 NOT NULL,
	updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
	CONSTRAINT pk_quotas PRIMARY KEY (object_id, type)
);

COMMENT ON TABLE quotas IS 'How much of Meta''s quotas is used, as its usage headers last told it';

COMMENT ON COLUMN quotas.object_id IS 'Meta''s id of what the quota is for';

COMMENT ON COLUMN quotas.type IS 'Meta''s word: messenger, instagram, pages; app: the app''s own';

COMMENT ON COLUMN quotas.used_percent IS 'how much of it is used; NULL: not told yet';

COMMENT ON COLUMN quotas.blocked_until_at IS 'no call before; NULL: calls are welcome';

COMMENT ON COLUMN quotas.refusals IS 'waits in a row that did not help';

COMMENT ON COLUMN quotas.updated_at IS 'when this row last changed';

CREATE TABLE search_folding (
	id INTEGER NOT NULL,
	version INTEGER NOT NULL,
	again_after TEXT COLLATE "C",
	CONSTRAINT pk_search_folding PRIMARY KEY (id)
);

COMMENT ON TABLE search_folding IS 'How words were folded for the search; a row since the first derive pass';

COMMENT ON COLUMN search_folding.id IS '1: there is one row at most';

COMMENT ON COLUMN search_folding.version IS 'which rules words were folded by';

COMMENT ON COLUMN search_folding.again_after IS 'our id of the conversation after which all are folded again; NULL: none are';

CREATE TABLE workers (
	id TEXT COLLATE "C" NOT NULL,
	version TEXT NOT NULL,
	concurrency INTEGER NOT NULL,
	started_at TIMESTAMP WITH TIME ZONE NOT NULL,
	heartbeat_at TIMESTAMP WITH TIME ZONE NOT NULL,
	CONSTRAINT pk_workers PRIMARY KEY (id)
);

COMMENT ON TABLE workers IS 'Processes that execute runs';

COMMENT ON COLUMN workers.id IS 'host:pid:random, as in the leases it takes';

COMMENT ON COLUMN workers.version IS 'which version of inboxsync it runs';

COMMENT ON COLUMN workers.concurrency IS 'how many Pages it works on side by side';

COMMENT ON COLUMN workers.started_at IS 'since when';

COMMENT ON COLUMN workers.heartbeat_at IS 'when it last said that it lives';

CREATE TABLE backlog (
	page_id TEXT COLLATE "C" NOT NULL,
	kind TEXT NOT NULL,
	conversation_id TEXT COLLATE "C" NOT NULL,
	folder TEXT NOT NULL,
	cursor TEXT,
	anchors JSONB,
	until_at TIMESTAMP WITH TIME ZONE,
	error_code TEXT,
	error_message TEXT,
	error_hint TEXT,
	attempts INTEGER DEFAULT 0 NOT NULL,
	next_attempt_at TIMESTAMP WITH TIME ZONE,
	created_at TIMESTAMP WITH TIME ZONE NOT NULL,
	updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
	CONSTRAINT pk_backlog PRIMARY KEY (page_id, kind, conversation_id),
	CONSTRAINT fk_backlog_page_id FOREIGN KEY(page_id) REFERENCES facebook_pages (id) ON DELETE CASCADE
);

COMMENT ON TABLE backlog IS 'The backlog: what is known to be missing and will be fetched';

COMMENT ON COLUMN backlog.page_id IS 'the Page';

COMMENT ON COLUMN backlog.kind IS 'what is missing: conversation, gap or history';

COMMENT ON COLUMN backlog.conversation_id IS 'Graph''s id of the conversation; it may not be stored';

COMMENT ON COLUMN backlog.folder IS 'the inbox folder it was listed in';

COMMENT ON COLUMN backlog.cursor IS 'how far its messages were read; a hint, it may die';

COMMENT ON COLUMN backlog.anchors IS 'Graph''s ids of stored messages; meeting one closes the gap: [id, ...]';

COMMENT ON COLUMN backlog.until_at IS 'a message below this time closes the gap too';

COMMENT ON COLUMN backlog.error_code IS 'what the last attempt met, in one word; NULL: none failed';

COMMENT ON COLUMN backlog.error_message IS 'the same in a sentence';

COMMENT ON COLUMN backlog.error_hint IS 'the next thing to do about it';

COMMENT ON COLUMN backlog.attempts IS 'attempts that failed in a row';

COMMENT ON COLUMN backlog.next_attempt_at IS 'not to be tried before; NULL: now';

COMMENT ON COLUMN backlog.created_at IS 'since when it is known to be missing';

COMMENT ON COLUMN backlog.updated_at IS 'when this row last changed';

CREATE TABLE list_positions (
	page_id TEXT COLLATE "C" NOT NULL,
	folder TEXT NOT NULL,
	state TEXT NOT NULL,
	snapshot_at TIMESTAMP WITH TIME ZONE,
	lower_bound_at TIMESTAMP WITH TIME ZONE,
	segments JSONB,
	watermark_at TIMESTAMP WITH TIME ZONE,
	updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
	CONSTRAINT pk_list_positions PRIMARY KEY (page_id, folder),
	CONSTRAINT fk_list_positions_page_id FOREIGN KEY(page_id) REFERENCES facebook_pages (id) ON DELETE CASCADE
);

COMMENT ON TABLE list_positions IS 'How far each list has come; written in the transaction that stores what it vouches for';

COMMENT ON COLUMN list_positions.page_id IS 'the Page';

COMMENT ON COLUMN list_positions.folder IS 'the list''s folder';

COMMENT ON COLUMN list_positions.state IS 'scanning, following, or unserved: the source has no such folder; no row: not started';

COMMENT ON COLUMN list_positions.snapshot_at IS 'the source''s time when this scan began';

COMMENT ON COLUMN list_positions.lower_bound_at IS 'how far down this scan goes; NULL: to the bottom';

COMMENT ON COLUMN list_positions.segments IS 'what of the scan is still to be read, newest first: [{position, lower_bound, cursor}]';

COMMENT ON COLUMN list_positions.watermark_at IS 'everything up to here is stored';

COMMENT ON COLUMN list_positions.updated_at IS 'when this row last changed';

CREATE TABLE messenger_conversations (
	id TEXT COLLATE "C" NOT NULL,
	page_id TEXT COLLATE "C" NOT NULL,
	conversation_id TEXT COLLATE "C" NOT NULL,
	platform TEXT NOT NULL,
	folder TEXT NOT NULL,
	sender_id TEXT COLLATE "C",
	sender_name TEXT,
	participants JSONB,
	last_message TEXT,
	last_message_time TIMESTAMP WITH TIME ZONE,
	message_count INTEGER,
	unread_count INTEGER,
	conversation_status TEXT NOT NULL,
	link TEXT,
	has_older_messages BOOLEAN NOT NULL,
	source_updated_at TIMESTAMP WITH TIME ZONE,
	extra JSONB,
	created_at TIMESTAMP WITH TIME ZONE NOT NULL,
	updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
	fingerprint TEXT,
	fingerprint_messages INTEGER,
	CONSTRAINT pk_messenger_conversations PRIMARY KEY (id),
	CONSTRAINT uq_messenger_conversations_conversation_id UNIQUE (conversation_id, page_id),
	CONSTRAINT fk_messenger_conversations_page_id FOREIGN KEY(page_id) REFERENCES facebook_pages (id) ON DELETE CASCADE
);

CREATE INDEX ix_messenger_conversations_beside_inbox ON messenger_conversations (page_id, folder, last_message_time) WHERE folder != 'inbox';

CREATE INDEX ix_messenger_conversations_has_older_messages ON messenger_conversations (page_id, has_older_messages, last_message_time, message_count, conversation_status) WHERE has_older_messages AND conversation_status != 'gone';

CREATE INDEX ix_messenger_conversations_page_id_last_message_time ON messenger_conversations (page_id, last_message_time);

CREATE INDEX ix_messenger_conversations_sender_id ON messenger_conversations (sender_id);

CREATE INDEX ix_messenger_conversations_unread ON messenger_conversations (page_id, last_message_time) WHERE unread_count > 0;

COMMENT ON TABLE messenger_conversations IS 'Conversations of the inboxes';

COMMENT ON COLUMN messenger_conversations.id IS 'our id of the conversation, UUIDv7';

COMMENT ON COLUMN messenger_conversations.page_id IS 'the Page';

COMMENT ON COLUMN messenger_conversations.conversation_id IS 'Graph''s id of the conversation';

COMMENT ON COLUMN messenger_conversations.platform IS 'messenger or instagram';

COMMENT ON COLUMN messenger_conversations.folder IS 'the inbox folder it was listed in';

COMMENT ON COLUMN messenger_conversations.sender_id IS 'the contact''s id, scoped to the Page or app; NULL when no contact is left';

COMMENT ON COLUMN messenger_conversations.sender_name IS 'the contact''s name as served; NULL when withheld, never a placeholder';

COMMENT ON COLUMN messenger_conversations.participants IS 'everyone in it as served, the Page included: [{id, name, ...}]';

COMMENT ON COLUMN messenger_conversations.last_message IS 'the newest message in words, as Meta''s snippet or its text';

COMMENT ON COLUMN messenger_conversations.last_message_time IS 'when the newest message was sent';

COMMENT ON COLUMN messenger_conversations.message_count IS 'Meta''s estimate of the number of messages';

COMMENT ON COLUMN messenger_conversations.unread_count IS 'Meta''s estimate of unread ones in the Page''s inbox';

COMMENT ON COLUMN messenger_conversations.conversation_status IS 'active, or gone when the source no longer has it';

COMMENT ON COLUMN messenger_conversations.link IS 'path of the conversation in Meta''s own inbox';

COMMENT ON COLUMN messenger_conversations.has_older_messages IS 'the source has older messages than are stored';

COMMENT ON COLUMN messenger_conversations.source_updated_at IS 'Graph''s updated_time; an older answer changes nothing';

COMMENT ON COLUMN messenger_conversations.extra IS 'fields served that have no column here';

COMMENT ON COLUMN messenger_conversations.created_at IS 'when it was first stored';

COMMENT ON COLUMN messenger_conversations.updated_at IS 'when this row last changed';

COMMENT ON COLUMN messenger_conversations.fingerprint IS 'of what was last served, one or two: what is served so again is skipped; NULL: look at it';

COMMENT ON COLUMN messenger_conversations.fingerprint_messages IS 'how many messages were stored when it was served so';

CREATE TABLE page_leases (
	page_id TEXT COLLATE "C" NOT NULL,
	owner TEXT NOT NULL,
	acquired_at TIMESTAMP WITH TIME ZONE NOT NULL,
	heartbeat_at TIMESTAMP WITH TIME ZONE NOT NULL,
	expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
	CONSTRAINT pk_page_leases PRIMARY KEY (page_id),
	CONSTRAINT fk_page_leases_page_id FOREIGN KEY(page_id) REFERENCES facebook_pages (id) ON DELETE CASCADE
);

COMMENT ON TABLE page_leases IS 'Who syncs a Page right now; no row: nobody';

COMMENT ON COLUMN page_leases.page_id IS 'the Page';

COMMENT ON COLUMN page_leases.owner IS 'the process that syncs it: host:pid:random';

COMMENT ON COLUMN page_leases.acquired_at IS 'since when';

COMMENT ON COLUMN page_leases.heartbeat_at IS 'when it last said that it lives';

COMMENT ON COLUMN page_leases.expires_at IS 'from then on anybody may take it';

CREATE TABLE page_schedules (
	page_id TEXT COLLATE "C" NOT NULL,
	every_seconds INTEGER,
	is_paused BOOLEAN DEFAULT false NOT NULL,
	next_sync_at TIMESTAMP WITH TIME ZONE,
	next_verify_at TIMESTAMP WITH TIME ZONE,
	CONSTRAINT pk_page_schedules PRIMARY KEY (page_id),
	CONSTRAINT fk_page_schedules_page_id FOREIGN KEY(page_id) REFERENCES facebook_pages (id) ON DELETE CASCADE
);

COMMENT ON TABLE page_schedules IS 'When the workers start runs of a Page by themselves; no row: as by default, and due now';

COMMENT ON COLUMN page_schedules.page_id IS 'the Page';

COMMENT ON COLUMN page_schedules.every_seconds IS 'how often to catch up; NULL: every five minutes';

COMMENT ON COLUMN page_schedules.is_paused IS 'nothing is started by itself';

COMMENT ON COLUMN page_schedules.next_sync_at IS 'when it is due; NULL: now';

COMMENT ON COLUMN page_schedules.next_verify_at IS 'when its nightly verification is due; NULL: not set yet';

CREATE TABLE sync_runs (
	id TEXT COLLATE "C" NOT NULL,
	page_id TEXT COLLATE "C" NOT NULL,
	mode TEXT NOT NULL,
	status TEXT NOT NULL,
	started_at TIMESTAMP WITH TIME ZONE NOT NULL,
	finished_at TIMESTAMP WITH TIME ZONE,
	fetched INTEGER DEFAULT 0 NOT NULL,
	inserted INTEGER DEFAULT 0 NOT NULL,
	updated INTEGER DEFAULT 0 NOT NULL,
	unchanged INTEGER DEFAULT 0 NOT NULL,
	events INTEGER DEFAULT 0 NOT NULL,
	batches INTEGER DEFAULT 0 NOT NULL,
	calls INTEGER DEFAULT 0 NOT NULL,
	refused_calls INTEGER DEFAULT 0 NOT NULL,
	problems JSONB,
	next TEXT,
	kind TEXT DEFAULT 'sync' NOT NULL,
	request JSONB,
	queued_at TIMESTAMP WITH TIME ZONE,
	cancel_asked_at TIMESTAMP WITH TIME ZONE,
	updated_at TIMESTAMP WITH TIME ZONE,
	active_seconds FLOAT,
	CONSTRAINT pk_sync_runs PRIMARY KEY (id),
	CONSTRAINT fk_sync_runs_page_id FOREIGN KEY(page_id) REFERENCES facebook_pages (id) ON DELETE CASCADE
);

CREATE INDEX ix_sync_runs_page_id_started_at ON sync_runs (page_id, started_at);

COMMENT ON TABLE sync_runs IS 'Executions of a sync, and how they ended';

COMMENT ON COLUMN sync_runs.id IS 'our id of the run, UUIDv7';

COMMENT ON COLUMN sync_runs.page_id IS 'the Page';

COMMENT ON COLUMN sync_runs.mode IS 'what it did: full or incremental';

COMMENT ON COLUMN sync_runs.status IS 'running, complete, partial, failed or interrupted';

COMMENT ON COLUMN sync_runs.started_at IS 'when it began';

COMMENT ON COLUMN sync_runs.finished_at IS 'when it ended; NULL while running, or killed';

COMMENT ON COLUMN sync_runs.fetched IS 'conversations fetched';

COMMENT ON COLUMN sync_runs.inserted IS 'conversations that were new';

COMMENT ON COLUMN sync_runs.updated IS 'conversations that had changed';

COMMENT ON COLUMN sync_runs.unchanged IS 'conversations as they were';

COMMENT ON COLUMN sync_runs.events IS 'messages that were new';

COMMENT ON COLUMN sync_runs.batches IS 'batches stored';

COMMENT ON COLUMN sync_runs.calls IS 'calls made to the source';

COMMENT ON COLUMN sync_runs.refused_calls IS 'of them refused for their rate';

COMMENT ON COLUMN sync_runs.problems IS 'what went wrong: [{code, message, hint}]';

COMMENT ON COLUMN sync_runs.next IS 'the command that continues the run; NULL: nothing is left to do';

COMMENT ON COLUMN sync_runs.kind IS 'sync, or verify: a comparison with the source';

COMMENT ON COLUMN sync_runs.request IS 'what a worker was asked for; NULL: a command of its own';

COMMENT ON COLUMN sync_runs.queued_at IS 'when it was enqueued for the workers; NULL: it was not';

COMMENT ON COLUMN sync_runs.cancel_asked_at IS 'when somebody asked that it end; NULL: nobody has';

COMMENT ON COLUMN sync_runs.updated_at IS 'when this row last changed';

COMMENT ON COLUMN sync_runs.active_seconds IS 'working time in seconds, without waits between tasks';

CREATE TABLE verifications (
	id TEXT COLLATE "C" NOT NULL,
	page_id TEXT COLLATE "C" NOT NULL,
	checked_at TIMESTAMP WITH TIME ZONE NOT NULL,
	is_complete BOOLEAN NOT NULL,
	summary JSONB NOT NULL,
	CONSTRAINT pk_verifications PRIMARY KEY (id),
	CONSTRAINT fk_verifications_page_id FOREIGN KEY(page_id) REFERENCES facebook_pages (id) ON DELETE CASCADE
);

CREATE INDEX ix_verifications_page_id_checked_at ON verifications (page_id, checked_at);

COMMENT ON TABLE verifications IS 'Verification reports: what was compared with the source, and what was missing';

COMMENT ON COLUMN verifications.id IS 'our id of the verification, UUIDv7';

COMMENT ON COLUMN verifications.page_id IS 'the Page';

COMMENT ON COLUMN verifications.checked_at IS 'when the store was compared with the source';

COMMENT ON COLUMN verifications.is_complete IS 'nothing that can be read is missing';

COMMENT ON COLUMN verifications.summary IS 'what was found, list by list';

CREATE TABLE messages (
	conversation_id TEXT COLLATE "C" NOT NULL,
	message_id TEXT COLLATE "C" NOT NULL,
	sent_at TIMESTAMP WITH TIME ZONE,
	is_from_page BOOLEAN NOT NULL,
	sender_id TEXT COLLATE "C",
	sender_name TEXT,
	text TEXT,
	is_readable BOOLEAN DEFAULT true NOT NULL,
	attachments JSONB,
	shares JSONB,
	sticker TEXT,
	reactions JSONB,
	story JSONB,
	reply_to_message_id TEXT COLLATE "C",
	is_deleted BOOLEAN,
	edited_at TIMESTAMP WITH TIME ZONE,
	extra JSONB,
	source TEXT NOT NULL,
	created_at TIMESTAMP WITH TIME ZONE NOT NULL,
	CONSTRAINT pk_messages PRIMARY KEY (conversation_id, message_id),
	CONSTRAINT fk_messages_conversation_id FOREIGN KEY(conversation_id) REFERENCES messenger_conversations (id) ON DELETE CASCADE
);

COMMENT ON TABLE messages IS 'Messages, one row each';

COMMENT ON COLUMN messages.conversation_id IS 'our id of the conversation';

COMMENT ON COLUMN messages.message_id IS 'Graph''s id of the message';

COMMENT ON COLUMN messages.sent_at IS 'when it was sent';

COMMENT ON COLUMN messages.is_from_page IS 'sent by the Page, not to it';

COMMENT ON COLUMN messages.sender_id IS 'who sent it; NULL when the source does not say';

COMMENT ON COLUMN messages.sender_name IS 'the sender''s name as served with the message';

COMMENT ON COLUMN messages.text IS 'the text as served; empty for a sticker or an attachment alone';

COMMENT ON COLUMN messages.is_readable IS 'false where the source gives only its id and time';

COMMENT ON COLUMN messages.attachments IS 'as served: [{id, mime_type, name, image_data, ...}]; the URLs expire';

COMMENT ON COLUMN messages.shares IS 'shared links as served';

COMMENT ON COLUMN messages.sticker IS 'URL of a sticker';

COMMENT ON COLUMN messages.reactions IS 'as served: [{reaction, users}]';

COMMENT ON COLUMN messages.story IS 'the Instagram story it answers or mentions';

COMMENT ON COLUMN messages.reply_to_message_id IS 'Graph''s id of the message it replies to';

COMMENT ON COLUMN messages.is_deleted IS 'true: its sender has unsent it; NULL: that is not known';

COMMENT ON COLUMN messages.edited_at IS 'when it was last edited; NULL: that is not known';

COMMENT ON COLUMN messages.extra IS 'fields served that have no column here';

COMMENT ON COLUMN messages.source IS 'how it first arrived: initial_sync, incremental_sync, ...';

COMMENT ON COLUMN messages.created_at IS 'when it was first stored';

CREATE TABLE run_tasks (
	run_id TEXT COLLATE "C" NOT NULL,
	page_id TEXT COLLATE "C" NOT NULL,
	queue TEXT NOT NULL,
	number INTEGER NOT NULL,
	due_at TIMESTAMP WITH TIME ZONE NOT NULL,
	dispatched_at TIMESTAMP WITH TIME ZONE,
	worker_id TEXT,
	failures INTEGER DEFAULT 0 NOT NULL,
	CONSTRAINT pk_run_tasks PRIMARY KEY (run_id),
	CONSTRAINT uq_run_tasks_page_id UNIQUE (page_id),
	CONSTRAINT fk_run_tasks_run_id FOREIGN KEY(run_id) REFERENCES sync_runs (id) ON DELETE CASCADE,
	CONSTRAINT fk_run_tasks_page_id FOREIGN KEY(page_id) REFERENCES facebook_pages (id) ON DELETE CASCADE
);

CREATE INDEX ix_run_tasks_dispatched_at_due_at ON run_tasks (dispatched_at, due_at);

COMMENT ON TABLE run_tasks IS 'The next task, or the one being executed, of each run that workers have; no row: it has ended';

COMMENT ON COLUMN run_tasks.run_id IS 'the run';

COMMENT ON COLUMN run_tasks.page_id IS 'its Page; a Page has one run with the workers at a time';

COMMENT ON COLUMN run_tasks.queue IS 'what the task is for: newest, scan, history or verify';

COMMENT ON COLUMN run_tasks.number IS 'its number within the run: 1, 2, 3, ...';

COMMENT ON COLUMN run_tasks.due_at IS 'not to be begun before';

COMMENT ON COLUMN run_tasks.dispatched_at IS 'when it was put into a queue; NULL: not yet';

COMMENT ON COLUMN run_tasks.worker_id IS 'the worker that has begun it; NULL: none yet';

COMMENT ON COLUMN run_tasks.failures IS 'tasks in a row that were cut short by something that passes';

CREATE TABLE sync_run_events (
	run_id TEXT COLLATE "C" NOT NULL,
	seq INTEGER NOT NULL,
	at TIMESTAMP WITH TIME ZONE NOT NULL,
	status TEXT NOT NULL,
	data JSONB NOT NULL,
	CONSTRAINT pk_sync_run_events PRIMARY KEY (run_id, seq),
	CONSTRAINT fk_sync_run_events_run_id FOREIGN KEY(run_id) REFERENCES sync_runs (id) ON DELETE CASCADE
);

COMMENT ON TABLE sync_run_events IS 'What a run told while it went, at most one or two rows a second; goes with its run';

COMMENT ON COLUMN sync_run_events.run_id IS 'the run';

COMMENT ON COLUMN sync_run_events.seq IS '1, 2, 3, ... within the run';

COMMENT ON COLUMN sync_run_events.at IS 'when it was told';

COMMENT ON COLUMN sync_run_events.status IS 'starting, fetching, processing, retrying, batch_failed, syncing, waiting, timeout_warning, complete, complete_with_errors or error';

COMMENT ON COLUMN sync_run_events.data IS 'the run''s counters, and what else there is to tell';

CREATE VIEW contact_interaction_events AS
SELECT
  m.message_id AS id,
  p.user_id AS user_id,
  m.conversation_id AS conversation_id,
  c.page_id AS page_id,
  c.sender_id AS sender_id,
  CASE WHEN m.is_from_page THEN 'message_sent' ELSE 'message_replied' END AS event_type,
  m.sent_at AS event_timestamp,
  c.platform AS channel,
  m.is_from_page AS is_outbound,
  jsonb_build_object('source', m.source, 'message_id', m.message_id, 'platform', c.platform) AS metadata
FROM messages AS m
JOIN messenger_conversations AS c ON c.id = m.conversation_id
JOIN facebook_pages AS p ON p.id = c.page_id
WHERE m.is_readable;

CREATE INDEX ix_message_index_search ON message_index USING gin (array_to_tsvector(string_to_array('@' || page_id || rtrim(terms), ' ')));

CREATE FUNCTION derive_messages_insert() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$ BEGIN INSERT INTO derive_queue (conversation_id) SELECT DISTINCT conversation_id FROM changed_new; RETURN NULL; END $$;

CREATE TRIGGER derive_messages_insert AFTER INSERT ON messages REFERENCING NEW TABLE AS changed_new FOR EACH STATEMENT EXECUTE FUNCTION derive_messages_insert();

CREATE FUNCTION derive_messages_update() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$ BEGIN INSERT INTO derive_queue (conversation_id, message_id, sent_at) SELECT o.conversation_id, o.message_id, o.sent_at FROM changed_old o JOIN changed_new n USING (conversation_id, message_id) WHERE o.text IS DISTINCT FROM n.text OR o.sent_at IS DISTINCT FROM n.sent_at OR o.is_from_page IS DISTINCT FROM n.is_from_page OR o.is_readable IS DISTINCT FROM n.is_readable; RETURN NULL; END $$;

CREATE TRIGGER derive_messages_update AFTER UPDATE ON messages REFERENCING OLD TABLE AS changed_old NEW TABLE AS changed_new FOR EACH STATEMENT EXECUTE FUNCTION derive_messages_update();

CREATE FUNCTION derive_messages_delete() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$ BEGIN INSERT INTO derive_queue (conversation_id, message_id, sent_at) SELECT o.conversation_id, o.message_id, o.sent_at FROM changed_old o; RETURN NULL; END $$;

CREATE TRIGGER derive_messages_delete AFTER DELETE ON messages REFERENCING OLD TABLE AS changed_old FOR EACH STATEMENT EXECUTE FUNCTION derive_messages_delete();

CREATE FUNCTION derive_messenger_conversations_insert() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$ BEGIN INSERT INTO derive_queue (conversation_id) SELECT id FROM changed_new; RETURN NULL; END $$;

CREATE TRIGGER derive_messenger_conversations_insert AFTER INSERT ON messenger_conversations REFERENCING NEW TABLE AS changed_new FOR EACH STATEMENT EXECUTE FUNCTION derive_messenger_conversations_insert();

CREATE FUNCTION derive_messenger_conversations_update() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$ BEGIN INSERT INTO derive_queue (conversation_id) SELECT n.id FROM changed_old o JOIN changed_new n USING (id) WHERE o.sender_id IS DISTINCT FROM n.sender_id OR o.sender_name IS DISTINCT FROM n.sender_name OR o.last_message_time IS DISTINCT FROM n.last_message_time OR o.conversation_status IS DISTINCT FROM n.conversation_status OR o.has_older_messages IS DISTINCT FROM n.has_older_messages; RETURN NULL; END $$;

CREATE TRIGGER derive_messenger_conversations_update AFTER UPDATE ON messenger_conversations REFERENCING OLD TABLE AS changed_old NEW TABLE AS changed_new FOR EACH STATEMENT EXECUTE FUNCTION derive_messenger_conversations_update();

CREATE FUNCTION derive_messenger_conversations_delete() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$ BEGIN INSERT INTO derive_queue (conversation_id) SELECT id FROM changed_old; RETURN NULL; END $$;

CREATE TRIGGER derive_messenger_conversations_delete AFTER DELETE ON messenger_conversations REFERENCING OLD TABLE AS changed_old FOR EACH STATEMENT EXECUTE FUNCTION derive_messenger_conversations_delete();

CREATE FUNCTION derive_facebook_pages_delete() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$ BEGIN DELETE FROM message_index WHERE page_id IN (SELECT id FROM changed_old); DELETE FROM conversation_facts WHERE page_id IN (SELECT id FROM changed_old); DELETE FROM contacts WHERE page_id IN (SELECT id FROM changed_old); DELETE FROM contact_words WHERE page_id IN (SELECT id FROM changed_old); DELETE FROM contact_details WHERE page_id IN (SELECT id FROM changed_old); DELETE FROM page_activity WHERE page_id IN (SELECT id FROM changed_old); DELETE FROM page_totals WHERE page_id IN (SELECT id FROM changed_old); RETURN NULL; END $$;

CREATE TRIGGER derive_facebook_pages_delete AFTER DELETE ON facebook_pages REFERENCING OLD TABLE AS changed_old FOR EACH STATEMENT EXECUTE FUNCTION derive_facebook_pages_delete();
