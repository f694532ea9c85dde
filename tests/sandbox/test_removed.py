"""What Meta removed in autumn 2026 is refused or ignored; with `--legacy` it is served as before."""

import json
from collections.abc import Callable
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from tests.sandbox.fixtures import Answer, Graph, StartGraph, StartProcess


def asynchronous(served: Graph) -> Answer:
    items = json.dumps([{"method": "GET", "relative_url": "me", "name": "one"}])
    form = urlencode({"access_token": served.token, "asyncbatch": items})
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    return served.open("/v27.0/", method="POST", body=form, headers=headers)


REFUSED: dict[str, Callable[[Graph], Answer]] = {
    "several ids": lambda served: served.get("", ids=served.page_id),
    "several ids of an edge": lambda served: served.get("conversations", ids=served.page_id),
    "method override": lambda served: served.get("me", method="GET"),
    "JSONP": lambda served: served.get("me", callback="show"),
    "an alias": lambda served: served.get("me", fields="name.as(title)"),
    "an alias in a list": lambda served: served.inbox(fields="id,messages.limit(2).as(newest){id}"),
    "an alias deep in a list": lambda served: served.inbox(fields="messages{message.as(text)}"),
    "asynchronous batch": asynchronous,
}


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused_with_100(shared: Graph, name: str) -> None:
    answer = REFUSED[name](shared)
    assert (answer.status, answer.error["code"]) == (400, 100)
    assert "no longer supported" in answer.error["message"]


@pytest.mark.parametrize("version", ["v21.0", "v25.0", "v27.0"])
def test_several_ids_are_refused_by_every_version(shared: Graph, version: str) -> None:
    path = f"/{version}/?ids={shared.page_id}&access_token={shared.token}"
    assert shared.open(path).error["code"] == 100


def test_items_of_a_batch_are_refused_in_it(shared: Graph) -> None:
    (answer,) = shared.batch(f"?ids={shared.page_id}").json
    assert answer["code"] == 400
    assert "ids is deprecated" in answer["body"]


@pytest.mark.parametrize("given", [{"pretty": "1"}, {"debug": "all"}, {"date_format": "U"}], ids=str)
def test_it_is_ignored(shared: Graph, given: dict[str, str]) -> None:
    assert shared.inbox(**given).data == shared.inbox().data


def test_next_has_no_pretty_and_an_answer_is_never_304(shared: Graph) -> None:
    answer = shared.inbox(pretty="0")
    assert "pretty" not in parse_qs(urlsplit(answer.paging["next"]).query)
    path = f"/v27.0/{shared.page_id}/conversations?access_token={shared.token}"
    again = shared.open(path, headers={"If-None-Match": answer.headers["ETag"]})
    assert again.status == 200


# --legacy


@pytest.fixture
def legacy(graph: StartGraph) -> Graph:
    return graph(conversations=40, messages=(2, 5), legacy=True)


def ids_of(served: Graph) -> list[str]:
    return [each["id"] for each in served.inbox().data]


def test_several_ids_are_served_each_by_its_own(legacy: Graph) -> None:
    ids = ids_of(legacy)[:2]
    assert {name: each["id"] for name, each in legacy.get("", ids=",".join(ids)).json.items()} == {
        each: each for each in ids
    }


@pytest.mark.parametrize(
    ("ids", "subcode", "words"),
    [
        ("", None, "(#100) The parameter ids is required"),
        (",".join(["t_1"] * 51), None, "(#100) Too many IDs. Maximum: 50. Provided: 51."),
        ("t_1", 33, None),
    ],
    ids=["none", "51", "a bad one"],
)
def test_ids_that_cannot_be_served_are_refused_whole(
    legacy: Graph, ids: str, subcode: int | None, words: str | None
) -> None:
    error = legacy.get("", ids=ids).error
    assert (error["code"], error.get("error_subcode")) == (100, subcode)
    assert words is None or error["message"] == words


def test_each_of_several_ids_counts(graph: StartGraph) -> None:
    served = graph(conversations=30, limits=True, legacy=True)
    assert served.get("", ids=",".join(ids_of(served)[:2])).error["code"] == 613


def test_a_poisoned_one_of_several_ids_fails_them_all(legacy: Graph) -> None:
    ids = ids_of(legacy)[:2]
    legacy.control("faults", poison_slots=[0])
    assert legacy.get("", ids=",".join(ids)).status == 500


def test_an_alias_is_the_key_of_the_answer(legacy: Graph) -> None:
    answer = legacy.get("me", fields="name.as(title)").json
    assert answer == {"title": answer["title"], "id": legacy.page_id}
    listed = legacy.inbox(fields="messages.limit(2).as(newest){message.as(text)}").data
    assert {frozenset(each) for each in listed} == {frozenset({"newest", "id"})}


def test_a_method_may_be_told_in_the_call(legacy: Graph) -> None:
    answer = legacy.get("me", method="delete")
    assert (answer.status, answer.error["error_subcode"]) == (400, 33)


def test_an_answer_may_be_wrapped_in_a_function(legacy: Graph) -> None:
    text = legacy.get("me", callback="show").text
    assert text.startswith("/**/ show({")
    assert text.endswith("});")


def test_an_answer_that_is_known_is_a_304_that_counts(graph: StartGraph) -> None:
    served = graph(conversations=30, limits=True, legacy=True)
    path = f"/v27.0/{served.page_id}/conversations?access_token={served.token}"
    known = {"If-None-Match": served.open(path).headers["ETag"]}
    assert [served.open(path, headers=known).status for _ in range(2)] == [304, 400]


def test_next_has_pretty(legacy: Graph) -> None:
    assert parse_qs(urlsplit(legacy.inbox().paging["next"]).query)["pretty"] == ["0"]


def test_the_command_has_the_switch(process: StartProcess) -> None:
    served = process("--conversations", "3", "--legacy").graph
    assert served.get("", ids=served.page_id).status == 200
