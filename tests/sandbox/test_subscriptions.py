"""`subscribed_apps`: which events of a Page an app gets (graph-facts 4-18)."""

import pytest

from tests.sandbox.fixtures import Answer, Graph, StartGraph


@pytest.fixture
def served(graph: StartGraph) -> Graph:
    return graph(conversations=3)


def change(served: Graph, method: str, fields: str | None) -> Answer:
    query = f"access_token={served.token}" + (f"&subscribed_fields={fields}" if fields is not None else "")
    return served.open(f"/v25.0/{served.page_id}/subscribed_apps?{query}", method=method)


def subscribed(served: Graph) -> list[list[str]]:
    return [each["subscribed_fields"] for each in served.get(f"{served.page_id}/subscribed_apps").data]


def test_an_app_subscribes_and_unsubscribes(served: Graph) -> None:
    assert subscribed(served) == []
    assert change(served, "POST", "messages,message_echoes").json == {"success": True}
    assert subscribed(served) == [["messages", "message_echoes"]]
    assert change(served, "DELETE", None).json == {"success": True}
    assert subscribed(served) == []


@pytest.mark.parametrize("fields", [None, "", "messages,gossip"])
def test_fields_that_there_are_not_are_refused(served: Graph, fields: str | None) -> None:
    answer = change(served, "POST", fields)
    assert (answer.status, answer.error["code"]) == (400, 100)
    assert subscribed(served) == []
