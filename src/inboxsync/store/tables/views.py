"""The `contact_interaction_events` view, in each database's SQL.

A view, so that an event can be neither lost nor invented: one row a message. Of a message
that the source does not let anyone read not even the direction is known, so it is no event.
"""

EVENTS_VIEW = "contact_interaction_events"
_COLUMNS = """
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
  {json_object}('source', m.source, 'message_id', m.message_id, 'platform', c.platform) AS metadata
FROM messages AS m
JOIN messenger_conversations AS c ON c.id = m.conversation_id
JOIN facebook_pages AS p ON p.id = c.page_id
WHERE m.is_readable
"""


def events_view(dialect_name: str) -> str:
    """The statement that creates the view."""
    json_object = "jsonb_build_object" if dialect_name == "postgresql" else "json_object"
    return f"CREATE VIEW {EVENTS_VIEW} AS" + _COLUMNS.format(json_object=json_object).rstrip()
