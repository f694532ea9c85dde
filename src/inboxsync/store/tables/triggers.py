"""Notes of what has changed, and the search's table on SQLite, in each database's SQL.

The notes are made by triggers, so that no write path can forget them: a sync, `db copy`, a verification, and
whatever statement somebody runs by hand. Only what is cheap stands in them: on PostgreSQL one statement's
changes are noted at once; on SQLite, which has no such triggers, neighbours of one conversation once.
"""

from typing import Final

# What of a message decides what is derived from it.
_RELEVANT = ("text", "sent_at", "is_from_page", "is_readable")
# And what of a conversation.
_RELEVANT_OF_CONVERSATION = (
    "sender_id",
    "sender_name",
    "last_message_time",
    "conversation_status",
    "has_older_messages",
)
# What is derived goes with its Page. Foreign keys would do the same, but PostgreSQL takes longer to check one
# than to write the row.
_OF_A_PAGE: Final = (
    *("message_index", "conversation_facts", "contacts", "contact_words", "contact_details"),
    *("page_activity", "page_totals"),
)
SEARCH_TABLE: Final = "message_search"
# The words come folded and split by spaces (see `words`); everything but ASCII is a letter to this tokenizer
# already. A row's first word is its Page's id. Without positions the index is small and quickly made: what a
# row says exactly is looked up in `message_index.terms`.
_FTS = (
    f"CREATE VIRTUAL TABLE {SEARCH_TABLE} USING fts5"
    "(terms, content='', detail='none', columnsize=0, tokenize=\"ascii tokenchars '@-_'\")"
)
# GIN's counterpart on PostgreSQL; `strip`ped of positions, for the same reasons.
_GIN = (
    "CREATE INDEX ix_message_index_search ON message_index USING gin "
    "(array_to_tsvector(string_to_array('@' || page_id || rtrim(terms), ' ')))"
)


def derived_ddl(dialect_name: str) -> list[str]:
    """The statements that make what SQLAlchemy's tables do not hold, in their order."""
    return _postgresql() if dialect_name == "postgresql" else _sqlite()


def _sqlite() -> list[str]:
    note = "INSERT INTO derive_queue (conversation_id) VALUES (new.{0});"
    note_message = (
        "INSERT INTO derive_queue (conversation_id, message_id, sent_at) "
        "VALUES (old.conversation_id, old.message_id, old.sent_at);"
    )
    last = "(SELECT conversation_id FROM derive_queue ORDER BY seq DESC LIMIT 1)"
    differs = " OR ".join(f"old.{name} IS NOT new.{name}" for name in _RELEVANT)
    return [
        _FTS,
        _trigger("messages", "INSERT", note.format("conversation_id"), f"new.conversation_id IS NOT {last}"),
        _trigger("messages", f"UPDATE OF {', '.join(_RELEVANT)}", note_message, differs),
        _trigger("messages", "DELETE", note_message),
        _trigger("messenger_conversations", "INSERT", note.format("id")),
        _trigger(
            "messenger_conversations",
            f"UPDATE OF {', '.join(_RELEVANT_OF_CONVERSATION)}",
            note.format("id"),
            " OR ".join(f"old.{name} IS NOT new.{name}" for name in _RELEVANT_OF_CONVERSATION),
        ),
        _trigger(
            "messenger_conversations",
            "DELETE",
            "INSERT INTO derive_queue (conversation_id) VALUES (old.id);",
        ),
        _trigger(
            "facebook_pages",
            "DELETE",
            " ".join(f"DELETE FROM {table} WHERE page_id = old.id;" for table in _OF_A_PAGE),  # noqa: S608
        ),
        _trigger(
            "message_index",
            "DELETE",
            f"INSERT INTO {SEARCH_TABLE} ({SEARCH_TABLE}, rowid, terms) "  # noqa: S608 - our names
            "VALUES ('delete', old.id, '@' || old.page_id || rtrim(old.terms));",
            "old.terms <> ''",
        ),
    ]


def _trigger(table: str, event: str, body: str, condition: str = "") -> str:
    verb = event.split(" ", 1)[0].lower()
    when = f"\nWHEN {condition}" if condition else ""
    return (
        f"CREATE TRIGGER derive_{table}_{verb} AFTER {event} ON {table} FOR EACH ROW{when}\nBEGIN {body} END"
    )


def _postgresql() -> list[str]:
    differs, differs_of_conversation = (
        " OR ".join(f"o.{name} IS DISTINCT FROM n.{name}" for name in names)
        for names in (_RELEVANT, _RELEVANT_OF_CONVERSATION)
    )
    message = "(conversation_id, message_id, sent_at) SELECT o.conversation_id, o.message_id, o.sent_at"
    bodies = {
        ("messages", "insert"): "(conversation_id) SELECT DISTINCT conversation_id FROM changed_new",
        ("messages", "update"): (
            f"{message} FROM changed_old o JOIN changed_new n USING (conversation_id, message_id) "
            f"WHERE {differs}"
        ),
        ("messages", "delete"): f"{message} FROM changed_old o",
        ("messenger_conversations", "insert"): "(conversation_id) SELECT id FROM changed_new",
        ("messenger_conversations", "update"): (
            "(conversation_id) SELECT n.id FROM changed_old o JOIN changed_new n USING (id) "  # noqa: S608
            f"WHERE {differs_of_conversation}"
        ),
        ("messenger_conversations", "delete"): "(conversation_id) SELECT id FROM changed_old",
    }
    statements = {event: f"INSERT INTO derive_queue {body};" for event, body in bodies.items()}
    statements["facebook_pages", "delete"] = " ".join(
        f"DELETE FROM {table} WHERE page_id IN (SELECT id FROM changed_old);"  # noqa: S608 - our names
        for table in _OF_A_PAGE
    )
    made = [_GIN]
    for (table, verb), body in statements.items():
        name = f"derive_{table}_{verb}"
        # The tables beside this one, whoever calls and whatever their search path is.
        made.append(
            f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS "
            f"$$ BEGIN {body} RETURN NULL; END $$"
        )
        seen = {"insert": "NEW TABLE AS changed_new", "delete": "OLD TABLE AS changed_old"}.get(
            verb, "OLD TABLE AS changed_old NEW TABLE AS changed_new"
        )
        made.append(
            f"CREATE TRIGGER {name} AFTER {verb.upper()} ON {table} REFERENCING {seen} "
            f"FOR EACH STATEMENT EXECUTE FUNCTION {name}()"
        )
    return made
