"""The main job on real input: 13,588 conversations with 183,383 messages."""

import gzip
import json
from pathlib import Path

import pytest

from inboxsync.model import RunStatus
from tests.fixtures import EngineFor, Serve
from tests.sync.fixtures import Add, Stored, Sync

DATASET = Path(__file__).parents[3] / "shared" / "data" / "conversations.ndjson.gz"
TEXTS = (
    "SELECT c.conversation_id, m.text FROM messages m "
    "JOIN messenger_conversations c ON c.id = m.conversation_id"
)


@pytest.mark.skipif(not DATASET.exists(), reason="the data set is not beside this checkout")
def test_every_conversation_name_and_text_of_the_file_is_stored_byte_for_byte(
    serve: Serve, engine_for: EngineFor, add: Add, sync: Sync, stored: Stored
) -> None:
    served = serve(dataset=DATASET)
    engine = engine_for(served)
    add(engine, served)
    run = sync(engine)
    assert run.status is RunStatus.COMPLETE

    expected_names, expected_texts = {}, {}
    with gzip.open(DATASET, "rt", encoding="utf-8", newline="\n") as lines:
        for line in lines:
            recorded = json.loads(line)
            graph_id = served.sandbox.world.conversation_id_of(recorded["id"])
            expected_names[graph_id] = recorded["customer"]["name"].encode()
            newest = recorded["messages"][-10:]
            expected_texts[graph_id] = sorted(message["text"].encode() for message in newest)
    assert len(expected_names) == run.counts.inserted == 13_588

    names = stored(engine, "SELECT conversation_id, sender_name FROM messenger_conversations")
    assert {graph_id: name.encode() for graph_id, name in names} == expected_names
    texts: dict[str, list[bytes]] = {}
    for graph_id, text in stored(engine, TEXTS):
        texts.setdefault(graph_id, []).append(text.encode())
    assert {graph_id: sorted(found) for graph_id, found in texts.items()} == expected_texts

    before = served.list_calls()
    again = sync(engine)
    assert (again.counts.inserted, again.counts.updated, again.counts.events) == (0, 0, 0)
    assert served.list_calls() - before <= 2


@pytest.mark.skipif(not DATASET.exists(), reason="the data set is not beside this checkout")
def test_the_sandbox_says_that_it_derived_times(serve: Serve) -> None:
    notes = serve(dataset=DATASET).sandbox.ready(url="", port=0)["notes"]
    assert any("11,919 messages have no time" in note for note in notes)
