CREATE TABLE api_keys (
	id TEXT NOT NULL /* our id of the key, UUIDv7 */,
	name TEXT NOT NULL /* what its owner calls it */,
	scope TEXT NOT NULL /* what it opens: read, sync or admin */,
	prefix TEXT NOT NULL /* how the key begins: identifies it; gives no access */,
	digest TEXT NOT NULL /* SHA-256 of the whole key, in hex; never the key */,
	created_at TEXT NOT NULL /* when it was made */,
	revoked_at TEXT /* from then on it opens nothing; NULL: it does */,
	CONSTRAINT pk_api_keys PRIMARY KEY (id),
	CONSTRAINT uq_api_keys_name UNIQUE (name),
	CONSTRAINT uq_api_keys_prefix UNIQUE (prefix)
);

CREATE TABLE contact_details (
	conversation_id TEXT NOT NULL /* our id of the conversation */,
	message_id TEXT NOT NULL /* Graph's id of the message that says so: the evidence */,
	kind TEXT NOT NULL /* phone or email */,
	value TEXT NOT NULL /* a phone number as of E.164, or an address in lower case */,
	page_id TEXT NOT NULL /* the Page */,
	sent_at TEXT /* when that message was sent */,
	CONSTRAINT pk_contact_details PRIMARY KEY (conversation_id, message_id, kind, value)
);

CREATE TABLE contact_words (
	page_id TEXT NOT NULL /* the Page */,
	word TEXT NOT NULL /* a word of the contact's name, folded */,
	sender_id TEXT NOT NULL /* the contact's id */,
	CONSTRAINT pk_contact_words PRIMARY KEY (page_id, word, sender_id)
);

CREATE TABLE contacts (
	page_id TEXT NOT NULL /* the Page */,
	sender_id TEXT NOT NULL /* the contact's id, scoped to the Page or app */,
	name TEXT /* as served; NULL when withheld, never a placeholder */,
	name_source TEXT NOT NULL /* where the name came from: participants or none */,
	name_terms TEXT /* the words of the name, folded, a space before and behind each */,
	listed_at TEXT NOT NULL /* of its conversations, the newest's */,
	first_message_at TEXT /* when the oldest stored message was sent */,
	last_message_at TEXT /* when the newest stored message was sent */,
	last_contact_message_at TEXT /* when the contact last wrote; 24 hours later the Page may no longer reply freely */,
	unanswered_since_at TEXT /* since when a person waits for an answer; NULL: no one does */,
	conversations INTEGER NOT NULL /* how many it has with this Page */,
	messages_from_contact INTEGER NOT NULL /* stored messages from the contact */,
	messages_from_page INTEGER NOT NULL /* stored messages from the Page */,
	messages INTEGER DEFAULT 0 NOT NULL /* both together, to sort by */,
	has_phone BOOLEAN NOT NULL /* it wrote a phone number */,
	has_email BOOLEAN NOT NULL /* it wrote an e-mail address */,
	has_older_messages BOOLEAN NOT NULL /* the source has older messages than are stored */,
	CONSTRAINT pk_contacts PRIMARY KEY (sender_id, page_id)
);

CREATE INDEX ix_contacts_page_id_listed_at ON contacts (page_id, listed_at);

CREATE INDEX ix_contacts_page_id_messages_sender_id ON contacts (page_id, messages, sender_id);

CREATE INDEX ix_contacts_page_id_name_terms_sender_id ON contacts (page_id, name_terms, sender_id);

CREATE INDEX ix_contacts_unanswered ON contacts (page_id, listed_at) WHERE unanswered_since_at IS NOT NULL;

CREATE INDEX ix_contacts_with_email ON contacts (page_id, listed_at) WHERE has_email IS 1;

CREATE INDEX ix_contacts_with_phone ON contacts (page_id, listed_at) WHERE has_phone IS 1;

CREATE TABLE conversation_facts (
	conversation_id TEXT NOT NULL /* our id of the conversation */,
	page_id TEXT NOT NULL /* the Page */,
	sender_id TEXT /* the contact, as the conversation has it */,
	listed_at TEXT NOT NULL /* its last_message_time; 1970 where it has none */,
	first_message_at TEXT /* when the oldest stored message was sent */,
	last_message_at TEXT /* when the newest stored message was sent */,
	last_contact_message_at TEXT /* when the contact last wrote */,
	last_sender TEXT /* who wrote last: contact or page; NULL: nobody */,
	unanswered_since_at TEXT /* the contact's first message behind the Page's last; NULL: answered, or gone */,
	first_response_seconds INTEGER /* the contact's first message to the Page's next; NULL: none, or older ones are missing */,
	messages_from_contact INTEGER NOT NULL /* stored messages from the contact */,
	messages_from_page INTEGER NOT NULL /* stored messages from the Page */,
	has_phone BOOLEAN NOT NULL /* the contact wrote a phone number */,
	has_email BOOLEAN NOT NULL /* the contact wrote an e-mail address */,
	CONSTRAINT pk_conversation_facts PRIMARY KEY (conversation_id)
);

CREATE INDEX ix_conversation_facts_unanswered ON conversation_facts (page_id, listed_at) WHERE unanswered_since_at IS NOT NULL;

CREATE INDEX ix_conversation_facts_with_email ON conversation_facts (page_id, listed_at) WHERE has_email IS 1;

CREATE INDEX ix_conversation_facts_with_phone ON conversation_facts (page_id, listed_at) WHERE has_phone IS 1;

CREATE TABLE dashboard_instance (
	id INTEGER NOT NULL /* 1: there is one row */,
	instance_id TEXT NOT NULL /* which database this is, for sessions; random */,
	CONSTRAINT pk_dashboard_instance PRIMARY KEY (id)
);

CREATE TABLE derive_queue (
	seq INTEGER NOT NULL /* in the order of the changes */,
	conversation_id TEXT NOT NULL /* our id of a conversation that has changed */,
	message_id TEXT /* Graph's id of a message that was changed or deleted; NULL: others */,
	sent_at TEXT /* when that message was said to be sent before the change */,
	CONSTRAINT pk_derive_queue PRIMARY KEY (seq)
);

CREATE TABLE detail_region (
	id INTEGER NOT NULL /* 1: there is one row at most */,
	region TEXT NOT NULL /* where phone numbers without a country's were taken to be */,
	again_after TEXT /* our id of the conversation after which all are searched again; NULL: none are */,
	CONSTRAINT pk_detail_region PRIMARY KEY (id)
);

CREATE TABLE ended_sessions (
	session_id TEXT NOT NULL /* the id in the session's cookie; gives no access */,
	ended_at TEXT NOT NULL /* when its visitor logged out */,
	CONSTRAINT pk_ended_sessions PRIMARY KEY (session_id)
);

CREATE TABLE facebook_pages (
	id TEXT NOT NULL /* our id of the Page, UUIDv7 */,
	facebook_page_id TEXT NOT NULL /* Meta's id of the Page */,
	platform TEXT NOT NULL /* whose inbox: messenger or instagram */,
	account_id TEXT NOT NULL /* the id under which the Page itself writes */,
	user_id TEXT /* the owner in your own application; inboxsync never sets it */,
	name TEXT /* the Page's name */,
	access_token_encrypted TEXT NOT NULL /* the token, AES-256-GCM, base64; never in clear */,
	token_state TEXT NOT NULL /* what its last use showed: valid, invalid, not_permitted */,
	token_reason TEXT /* why it is not valid, in one word: expired, app_removed, ... */,
	token_problem TEXT /* why the token is not valid, and what to do */,
	token_expires_at TEXT /* when the token ends; NULL: never, or not known */,
	source_url TEXT /* the address it is read from, such as a sandbox's; NULL: Meta's */,
	last_synced_at TEXT /* all up to here is stored; set it to NULL for a full sync */,
	history TEXT DEFAULT 'newest' NOT NULL /* how far back messages are kept: newest (the newest few and all since) or all */,
	batch_size INTEGER /* conversations a call that the source was seen to manage */,
	time_windows BOOLEAN /* whether lists can be asked for by time; NULL: not tried yet */,
	created_at TEXT NOT NULL /* when the Page was added */,
	updated_at TEXT NOT NULL /* when this row last changed */,
	CONSTRAINT pk_facebook_pages PRIMARY KEY (id),
	CONSTRAINT uq_facebook_pages_facebook_page_id UNIQUE (facebook_page_id, platform)
);

CREATE TABLE message_index (
	id INTEGER NOT NULL /* the second it was sent in, times 2^31, plus a number that makes it unique; newest last */,
	page_id TEXT NOT NULL /* the Page */,
	conversation_id TEXT NOT NULL /* our id of the conversation */,
	message_id TEXT NOT NULL /* Graph's id of the message */,
	is_from_page BOOLEAN NOT NULL /* sent by the Page, not to it */,
	terms TEXT NOT NULL /* its words, folded, a space before and behind each */,
	CONSTRAINT pk_message_index PRIMARY KEY (id)
);

CREATE TABLE page_activity (
	page_id TEXT NOT NULL /* the Page */,
	begins_at TEXT NOT NULL /* when the quarter begins; 1970 for no known time */,
	from_contacts INTEGER NOT NULL /* stored messages to the Page in it */,
	from_page INTEGER NOT NULL /* stored messages of the Page in it */,
	CONSTRAINT pk_page_activity PRIMARY KEY (page_id, begins_at)
);

CREATE TABLE page_totals (
	page_id TEXT NOT NULL /* the Page */,
	conversations INTEGER NOT NULL /* stored conversations of the Page */,
	contacts INTEGER NOT NULL /* people of these conversations */,
	messages INTEGER NOT NULL /* stored messages of the Page that can be read */,
	CONSTRAINT pk_page_totals PRIMARY KEY (page_id)
);

CREATE TABLE quotas (
	object_id TEXT NOT NULL /* Meta's id of what the quota is for */,
	type TEXT NOT NULL /* Meta's word: messenger, instagram, pages; app: the app's own */,
	used_percent INTEGER /* how much of it is used; NULL: not told yet */,
	blocked_until_at TEXT /* no call before; NULL: calls are welcome */,
	refusals INTEGER DEFAULT 0 NOT NULL /* waits in a row that did not help */,
	updated_at TEXT NOT NULL /* when this row last changed */,
	CONSTRAINT pk_quotas PRIMARY KEY (object_id, type)
);

CREATE TABLE search_folding (
	id INTEGER NOT NULL /* 1: there is one row at most */,
	version INTEGER NOT NULL /* which rules words were folded by */,
	again_after TEXT /* our id of the conversation after which all are folded again; NULL: none are */,
	CONSTRAINT pk_search_folding PRIMARY KEY (id)
);

CREATE TABLE workers (
	id TEXT NOT NULL /* host:pid:random, as in the leases it takes */,
	version TEXT NOT NULL /* which version of inboxsync it runs */,
	concurrency INTEGER NOT NULL /* how many Pages it works on side by side */,
	started_at TEXT NOT NULL /* since when */,
	heartbeat_at TEXT NOT NULL /* when it last said that it lives */,
	CONSTRAINT pk_workers PRIMARY KEY (id)
);

CREATE TABLE backlog (
	page_id TEXT NOT NULL /* the Page */,
	kind TEXT NOT NULL /* what is missing: conversation, gap or history */,
	conversation_id TEXT NOT NULL /* Graph's id of the conversation; it may not be stored */,
	folder TEXT NOT NULL /* the inbox folder it was listed in */,
	cursor TEXT /* how far its messages were read; a hint, it may die */,
	anchors TEXT /* Graph's ids of stored messages; meeting one closes the gap: [id, ...] */,
	until_at TEXT /* a message below this time closes the gap too */,
	error_code TEXT /* what the last attempt met, in one word; NULL: none failed */,
	error_message TEXT /* the same in a sentence */,
	error_hint TEXT /* the next thing to do about it */,
	attempts INTEGER DEFAULT 0 NOT NULL /* attempts that failed in a row */,
	next_attempt_at TEXT /* not to be tried before; NULL: now */,
	created_at TEXT NOT NULL /* since when it is known to be missing */,
	updated_at TEXT NOT NULL /* when this row last changed */,
	CONSTRAINT pk_backlog PRIMARY KEY (page_id, kind, conversation_id),
	CONSTRAINT fk_backlog_page_id FOREIGN KEY(page_id) REFERENCES facebook_pages (id) ON DELETE CASCADE
);

CREATE TABLE list_positions (
	page_id TEXT NOT NULL /* the Page */,
	folder TEXT NOT NULL /* the list's folder */,
	state TEXT NOT NULL /* scanning, following, or unserved: the source has no such folder; no row: not started */,
	snapshot_at TEXT /* the source's time when this scan began */,
	lower_bound_at TEXT /* how far down this scan goes; NULL: to the bottom */,
	segments TEXT /* what of the scan is still to be read, newest first: [{position, lower_bound, cursor}] */,
	watermark_at TEXT /* everything up to here is stored */,
	updated_at TEXT NOT NULL /* when this row last changed */,
	CONSTRAINT pk_list_positions PRIMARY KEY (page_id, folder),
	CONSTRAINT fk_list_positions_page_id FOREIGN KEY(page_id) REFERENCES facebook_pages (id) ON DELETE CASCADE
);

CREATE TABLE messenger_conversations (
	id TEXT NOT NULL /* our id of the conversation, UUIDv7 */,
	page_id TEXT NOT NULL /* the Page */,
	conversation_id TEXT NOT NULL /* Graph's id of the conversation */,
	platform TEXT NOT NULL /* messenger or instagram */,
	folder TEXT NOT NULL /* the inbox folder it was listed in */,
	sender_id TEXT /* the contact's id, scoped to the Page or app; NULL when no contact is left */,
	sender_name TEXT /* the contact's name as served; NULL when withheld, never a placeholder */,
	participants TEXT /* everyone in it as served, the Page included: [{id, name, ...}] */,
	last_message TEXT /* the newest message in words, as Meta's snippet or its text */,
	last_message_time TEXT /* when the newest message was sent */,
	message_count INTEGER /* Meta's estimate of the number of messages */,
	unread_count INTEGER /* Meta's estimate of unread ones in the Page's inbox */,
	conversation_status TEXT NOT NULL /* active, or gone when the source no longer has it */,
	link TEXT /* path of the conversation in Meta's own inbox */,
	has_older_messages BOOLEAN NOT NULL /* the source has older messages than are stored */,
	source_updated_at TEXT /* Graph's updated_time; an older answer changes nothing */,
	extra TEXT /* fields served that have no column here */,
	created_at TEXT NOT NULL /* when it was first stored */,
	updated_at TEXT NOT NULL /* when this row last changed */,
	fingerprint TEXT /* of what was last served, one or two: what is served so again is skipped; NULL: look at it */,
	fingerprint_messages INTEGER /* how many messages were stored when it was served so */,
	CONSTRAINT pk_messenger_conversations PRIMARY KEY (id),
	CONSTRAINT uq_messenger_conversations_conversation_id UNIQUE (conversation_id, page_id),
	CONSTRAINT fk_messenger_conversations_page_id FOREIGN KEY(page_id) REFERENCES facebook_pages (id) ON DELETE CASCADE
);

CREATE INDEX ix_messenger_conversations_beside_inbox ON messenger_conversations (page_id, folder, last_message_time) WHERE folder != 'inbox';

CREATE INDEX ix_messenger_conversations_has_older_messages ON messenger_conversations (page_id, has_older_messages, last_message_time, message_count, conversation_status) WHERE has_older_messages = 1 AND conversation_status != 'gone';

CREATE INDEX ix_messenger_conversations_page_id_last_message_time ON messenger_conversations (page_id, last_message_time);

CREATE INDEX ix_messenger_conversations_sender_id ON messenger_conversations (sender_id);

CREATE INDEX ix_messenger_conversations_unread ON messenger_conversations (page_id, last_message_time) WHERE unread_count > 0;

CREATE TABLE page_leases (
	page_id TEXT NOT NULL /* the Page */,
	owner TEXT NOT NULL /* the process that syncs it: host:pid:random */,
	acquired_at TEXT NOT NULL /* since when */,
	heartbeat_at TEXT NOT NULL /* when it last said that it lives */,
	expires_at TEXT NOT NULL /* from then on anybody may take it */,
	CONSTRAINT pk_page_leases PRIMARY KEY (page_id),
	CONSTRAINT fk_page_leases_page_id FOREIGN KEY(page_id) REFERENCES facebook_pages (id) ON DELETE CASCADE
);

CREATE TABLE page_schedules (
	page_id TEXT NOT NULL /* the Page */,
	every_seconds INTEGER /* how often to catch up; NULL: every five minutes */,
	is_paused BOOLEAN DEFAULT 0 NOT NULL /* nothing is started by itself */,
	next_sync_at TEXT /* when it is due; NULL: now */,
	next_verify_at TEXT /* when its nightly verification is due; NULL: not set yet */,
	CONSTRAINT pk_page_schedules PRIMARY KEY (page_id),
	CONSTRAINT fk_page_schedules_page_id FOREIGN KEY(page_id) REFERENCES facebook_pages (id) ON DELETE CASCADE
);

CREATE TABLE sync_runs (
	id TEXT NOT NULL /* our id of the run, UUIDv7 */,
	page_id TEXT NOT NULL /* the Page */,
	mode TEXT NOT NULL /* what it did: full or incremental */,
	status TEXT NOT NULL /* running, complete, partial, failed or interrupted */,
	started_at TEXT NOT NULL /* when it began */,
	finished_at TEXT /* when it ended; NULL while running, or killed */,
	fetched INTEGER DEFAULT 0 NOT NULL /* conversations fetched */,
	inserted INTEGER DEFAULT 0 NOT NULL /* conversations that were new */,
	updated INTEGER DEFAULT 0 NOT NULL /* conversations that had changed */,
	unchanged INTEGER DEFAULT 0 NOT NULL /* conversations as they were */,
	events INTEGER DEFAULT 0 NOT NULL /* messages that were new */,
	batches INTEGER DEFAULT 0 NOT NULL /* batches stored */,
	calls INTEGER DEFAULT 0 NOT NULL /* calls made to the source */,
	refused_calls INTEGER DEFAULT 0 NOT NULL /* of them refused for their rate */,
	problems TEXT /* what went wrong: [{code, message, hint}] */,
	next TEXT /* the command that continues the run; NULL: nothing is left to do */,
	kind TEXT DEFAULT 'sync' NOT NULL /* sync, or verify: a comparison with the source */,
	request TEXT /* what a worker was asked for; NULL: a command of its own */,
	queued_at TEXT /* when it was enqueued for the workers; NULL: it was not */,
	cancel_asked_at TEXT /* when somebody asked that it end; NULL: nobody has */,
	updated_at TEXT /* when this row last changed */,
	active_seconds FLOAT /* working time in seconds, without waits between tasks */,
	CONSTRAINT pk_sync_runs PRIMARY KEY (id),
	CONSTRAINT fk_sync_runs_page_id FOREIGN KEY(page_id) REFERENCES facebook_pages (id) ON DELETE CASCADE
);

CREATE INDEX ix_sync_runs_page_id_started_at ON sync_runs (page_id, started_at);

CREATE TABLE verifications (
	id TEXT NOT NULL /* our id of the verification, UUIDv7 */,
	page_id TEXT NOT NULL /* the Page */,
	checked_at TEXT NOT NULL /* when the store was compared with the source */,
	is_complete BOOLEAN NOT NULL /* nothing that can be read is missing */,
	summary TEXT NOT NULL /* what was found, list by list */,
	CONSTRAINT pk_verifications PRIMARY KEY (id),
	CONSTRAINT fk_verifications_page_id FOREIGN KEY(page_id) REFERENCES facebook_pages (id) ON DELETE CASCADE
);

CREATE INDEX ix_verifications_page_id_checked_at ON verifications (page_id, checked_at);

CREATE TABLE messages (
	conversation_id TEXT NOT NULL /* our id of the conversation */,
	message_id TEXT NOT NULL /* Graph's id of the message */,
	sent_at TEXT /* when it was sent */,
	is_from_page BOOLEAN NOT NULL /* sent by the Page, not to it */,
	sender_id TEXT /* who sent it; NULL when the source does not say */,
	sender_name TEXT /* the sender's name as served with the message */,
	text TEXT /* the text as served; empty for a sticker or an attachment alone */,
	is_readable BOOLEAN DEFAULT 1 NOT NULL /* false where the source gives only its id and time */,
	attachments TEXT /* as served: [{id, mime_type, name, image_data, ...}]; the URLs expire */,
	shares TEXT /* shared links as served */,
	sticker TEXT /* URL of a sticker */,
	reactions TEXT /* as served: [{reaction, users}] */,
	story TEXT /* the Instagram story it answers or mentions */,
	reply_to_message_id TEXT /* Graph's id of the message it replies to */,
	is_deleted BOOLEAN /* true: its sender has unsent it; NULL: that is not known */,
	edited_at TEXT /* when it was last edited; NULL: that is not known */,
	extra TEXT /* fields served that have no column here */,
	source TEXT NOT NULL /* how it first arrived: initial_sync, incremental_sync, ... */,
	created_at TEXT NOT NULL /* when it was first stored */,
	CONSTRAINT pk_messages PRIMARY KEY (conversation_id, message_id),
	CONSTRAINT fk_messages_conversation_id FOREIGN KEY(conversation_id) REFERENCES messenger_conversations (id) ON DELETE CASCADE
);

CREATE TABLE run_tasks (
	run_id TEXT NOT NULL /* the run */,
	page_id TEXT NOT NULL /* its Page; a Page has one run with the workers at a time */,
	queue TEXT NOT NULL /* what the task is for: newest, scan, history or verify */,
	number INTEGER NOT NULL /* its number within the run: 1, 2, 3, ... */,
	due_at TEXT NOT NULL /* not to be begun before */,
	dispatched_at TEXT /* when it was put into a queue; NULL: not yet */,
	worker_id TEXT /* the worker that has begun it; NULL: none yet */,
	failures INTEGER DEFAULT 0 NOT NULL /* tasks in a row that were cut short by something that passes */,
	CONSTRAINT pk_run_tasks PRIMARY KEY (run_id),
	CONSTRAINT uq_run_tasks_page_id UNIQUE (page_id),
	CONSTRAINT fk_run_tasks_run_id FOREIGN KEY(run_id) REFERENCES sync_runs (id) ON DELETE CASCADE,
	CONSTRAINT fk_run_tasks_page_id FOREIGN KEY(page_id) REFERENCES facebook_pages (id) ON DELETE CASCADE
);

CREATE INDEX ix_run_tasks_dispatched_at_due_at ON run_tasks (dispatched_at, due_at);

CREATE TABLE sync_run_events (
	run_id TEXT NOT NULL /* the run */,
	seq INTEGER NOT NULL /* 1, 2, 3, ... within the run */,
	at TEXT NOT NULL /* when it was told */,
	status TEXT NOT NULL /* starting, fetching, processing, retrying, batch_failed, syncing, waiting, timeout_warning, complete, complete_with_errors or error */,
	data TEXT NOT NULL /* the run's counters, and what else there is to tell */,
	CONSTRAINT pk_sync_run_events PRIMARY KEY (run_id, seq),
	CONSTRAINT fk_sync_run_events_run_id FOREIGN KEY(run_id) REFERENCES sync_runs (id) ON DELETE CASCADE
);

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
  json_object('source', m.source, 'message_id', m.message_id, 'platform', c.platform) AS metadata
FROM messages AS m
JOIN messenger_conversations AS c ON c.id = m.conversation_id
JOIN facebook_pages AS p ON p.id = c.page_id
WHERE m.is_readable;

CREATE VIRTUAL TABLE message_search USING fts5(terms, content='', detail='none', columnsize=0, tokenize="ascii tokenchars '@-_'");

CREATE TRIGGER derive_messages_insert AFTER INSERT ON messages FOR EACH ROW
WHEN new.conversation_id IS NOT (SELECT conversation_id FROM derive_queue ORDER BY seq DESC LIMIT 1)
BEGIN INSERT INTO derive_queue (conversation_id) VALUES (new.conversation_id); END;

CREATE TRIGGER derive_messages_update AFTER UPDATE OF text, sent_at, is_from_page, is_readable ON messages FOR EACH ROW
WHEN old.text IS NOT new.text OR old.sent_at IS NOT new.sent_at OR old.is_from_page IS NOT new.is_from_page OR old.is_readable IS NOT new.is_readable
BEGIN INSERT INTO derive_queue (conversation_id, message_id, sent_at) VALUES (old.conversation_id, old.message_id, old.sent_at); END;

CREATE TRIGGER derive_messages_delete AFTER DELETE ON messages FOR EACH ROW
BEGIN INSERT INTO derive_queue (conversation_id, message_id, sent_at) VALUES (old.conversation_id, old.message_id, old.sent_at); END;

CREATE TRIGGER derive_messenger_conversations_insert AFTER INSERT ON messenger_conversations FOR EACH ROW
BEGIN INSERT INTO derive_queue (conversation_id) VALUES (new.id); END;

CREATE TRIGGER derive_messenger_conversations_update AFTER UPDATE OF sender_id, sender_name, last_message_time, conversation_status, has_older_messages ON messenger_conversations FOR EACH ROW
WHEN old.sender_id IS NOT new.sender_id OR old.sender_name IS NOT new.sender_name OR old.last_message_time IS NOT new.last_message_time OR old.conversation_status IS NOT new.conversation_status OR old.has_older_messages IS NOT new.has_older_messages
BEGIN INSERT INTO derive_queue (conversation_id) VALUES (new.id); END;

CREATE TRIGGER derive_messenger_conversations_delete AFTER DELETE ON messenger_conversations FOR EACH ROW
BEGIN INSERT INTO derive_queue (conversation_id) VALUES (old.id); END;

CREATE TRIGGER derive_facebook_pages_delete AFTER DELETE ON facebook_pages FOR EACH ROW
BEGIN DELETE FROM message_index WHERE page_id = old.id; DELETE FROM conversation_facts WHERE page_id = old.id; DELETE FROM contacts WHERE page_id = old.id; DELETE FROM contact_words WHERE page_id = old.id; DELETE FROM contact_details WHERE page_id = old.id; DELETE FROM page_activity WHERE page_id = old.id; DELETE FROM page_totals WHERE page_id = old.id; END;

CREATE TRIGGER derive_message_index_delete AFTER DELETE ON message_index FOR EACH ROW
WHEN old.terms <> ''
BEGIN INSERT INTO message_search (message_search, rowid, terms) VALUES ('delete', old.id, '@' || old.page_id || rtrim(old.terms)); END;
