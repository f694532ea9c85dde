"""Lists between two times, where they are honoured (graph-facts 1.3, 7)."""

from collections.abc import Iterable
from datetime import datetime
from urllib.parse import urlencode

import pytest

from tests.fixtures import Json
from tests.sandbox.fixtures import Answer, Graph, Parameter, StartGraph

PLATFORMS = ["messenger", "instagram"]


def ids(answers: Iterable[Answer]) -> list[str]:
    return [entry["id"] for answer in answers for entry in answer.data]


def moments(answer: Answer) -> list[str]:
    return [entry["updated_time"] for entry in answer.data]


@pytest.fixture
def middle_ms() -> int:
    """2025-01-01, in the midst of the world's three years."""
    return 1_735_689_600_000


@pytest.mark.parametrize("cursors", ["opaque", "index"])
def test_the_switch_honours_both_bounds_of_a_window(graph: StartGraph, middle_ms: int, cursors: str) -> None:
    served = graph(conversations=150, time_windows=True, cursors=cursors)
    whole = [each for answer in served.scan() for each in moments(answer)]
    older = [each for answer in served.scan(updated_before_ms=middle_ms) for each in moments(answer)]
    newer = [each for answer in served.scan(updated_after_ms=middle_ms) for each in moments(answer)]
    assert (newer, older) == (
        [each for each in whole if each >= "2025"],
        [each for each in whole if each < "2025"],
    )


def test_a_version_that_lacks_them_ignores_them(graph: StartGraph, middle_ms: int) -> None:
    served = graph(conversations=30, time_windows=True)

    def listed(version: str, **parameters: object) -> list[Json]:
        asked = urlencode({"access_token": served.token, "limit": 30} | parameters)
        return served.open(f"/{version}/me/conversations?{asked}").data

    whole = listed("v27.0")
    for version in ("v25.0", "v21.0"):
        assert listed(version, updated_before_ms=middle_ms) == whole
        assert listed(version, updated_after_ms="soon") == whole
    for version in ("v26.0", "v27.0"):
        assert 0 < len(listed(version, updated_before_ms=middle_ms)) < len(whole)


def window(served: Graph, **parameters: Parameter) -> list[str]:
    return [each for answer in served.scan(limit=7, **parameters) for each in moments(answer)]


@pytest.mark.parametrize("cursors", ["opaque", "index"])
@pytest.mark.parametrize("platform", PLATFORMS)
def test_a_window_begins_with_its_first_instant_and_ends_before_its_last(
    graph: StartGraph, platform: str, cursors: str
) -> None:
    served = graph(conversations=60, time_windows=True, cursors=cursors)
    whole = window(served, platform=platform)
    newer, older = (int(datetime.fromisoformat(whole[at]).timestamp()) * 1000 for at in (10, 40))
    asked: dict[str, Parameter] = {
        "platform": platform,
        "updated_after_ms": older,
        "updated_before_ms": newer,
    }
    assert window(served, **asked) == whole[11:41]
    assert window(served, **(asked | {"updated_after_ms": older + 1})) == whole[11:40]
    assert window(served, **(asked | {"updated_before_ms": newer + 1})) == whole[10:41]
    assert window(served, **(asked | {"updated_after_ms": newer})) == []


@pytest.mark.parametrize("cursors", ["opaque", "index"])
def test_previous_leads_back_to_the_top_of_a_window(graph: StartGraph, middle_ms: int, cursors: str) -> None:
    served = graph(conversations=150, time_windows=True, cursors=cursors)
    answers = served.scan(updated_before_ms=middle_ms, limit=20)
    back = [answers[-1]]
    while "previous" in back[-1].paging:
        back.append(served.open(back[-1].paging["previous"]))
        if not back[-1].data:
            break
    assert ids(reversed(back)) == ids(answers)


def test_windows_side_by_side_are_the_whole_list(graph: StartGraph, middle_ms: int) -> None:
    served = graph(conversations=150, time_windows=True, folders={"spam": 90})
    for folder in ("inbox", "spam"):
        newer = window(served, folder=folder, updated_after_ms=middle_ms)
        older = window(served, folder=folder, updated_before_ms=middle_ms)
        assert newer
        assert older
        assert newer + older == window(served, folder=folder)


def test_a_persons_list_keeps_to_the_window(graph: StartGraph, middle_ms: int) -> None:
    served = graph(conversations=10, time_windows=True)
    entry = next(e for e in served.inbox(fields="participants").data if len(e["participants"]["data"]) == 2)
    person = next(each["id"] for each in entry["participants"]["data"] if each["id"] != served.page_id)
    found = [
        len(served.inbox(user_id=person, **bound).data)
        for bound in ({"updated_after_ms": middle_ms}, {"updated_before_ms": middle_ms})
    ]
    assert found == [1, 0]


def test_a_conversation_written_in_leaves_the_window(graph: StartGraph, middle_ms: int) -> None:
    served = graph(conversations=30, time_windows=True)
    before = ids(served.scan(updated_before_ms=middle_ms))
    served.control("messages", text="hello", conversation_id=before[2])
    assert ids(served.scan(updated_before_ms=middle_ms)) == before[:2] + before[3:]
    assert before[2] in ids(served.scan(updated_after_ms=middle_ms))


@pytest.mark.parametrize("value", ["", "-1", "soon", "1.5", "9" * 30, "\u0663"])
@pytest.mark.parametrize("name", ["updated_before_ms", "updated_after_ms"])
def test_an_invalid_bound_is_refused_where_bounds_are_honoured(
    graph: StartGraph, name: str, value: str
) -> None:
    honoured, ignored = (graph(conversations=9, time_windows=each) for each in (True, False))
    assert honoured.inbox(**{name: value}).error["code"] == 100
    assert len(ignored.inbox(**{name: value}).data) == 9


def test_without_the_switch_a_window_means_nothing(graph: StartGraph, middle_ms: int) -> None:
    served = graph(conversations=150)
    assert ids(served.scan(updated_before_ms=middle_ms)) == ids(served.scan())


def test_since_and_until_mean_nothing(graph: StartGraph) -> None:
    served = graph(conversations=150, time_windows=True)
    assert ids(served.scan(since=1_735_689_600, until=1_735_776_000)) == ids(served.scan())
