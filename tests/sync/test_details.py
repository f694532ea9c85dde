"""What of a text is a phone number or an e-mail address, and what only looks like one."""

import json
from pathlib import Path
from random import Random

import pytest

from inboxsync.sync.details import details_in
from tests.sync.contact_texts import ALL

SHARED_CASES = Path(__file__).parents[3] / "shared" / "cases" / "use"


def found(text: str, region: str | None = None) -> list[str]:
    return [value for _, value in details_in(text, region=region)]


@pytest.mark.parametrize(
    "text",
    [
        "090 123 45 67",
        "090.123.45.67",
        "(090) 123-45-67",
        "s\u0111t:0901234567",
        "0084 901234567",
        "+84\u2013901\u2013234\u2013567",
        "\uff0b84 901 234 567",
        "\u0660\u0669\u0660\u0661\u0662\u0663\u0664\u0665\u0666\u0667",
        "https://wa.me/84901234567",
        "https://api.whatsapp.com/send?phone=84901234567",
    ],
)
def test_a_number_is_found_however_it_is_written(text: str) -> None:
    assert found(text, "VN") == ["+84901234567"]


@pytest.mark.parametrize(
    "text",
    [
        "order #0901234567",
        "m_0901234567",
        "https://shop.example/p/0901234567",
        "https://shop.example/?id=0901234567",
        "1.250.000 \u0111, 12.500.000 \u0111",
        "2026-11-26 10:30:11",
        "4111 1111 1111 1111",
        "track 0912345678901",
        "192.168.100.200",
    ],
)
def test_what_only_looks_like_a_number_is_none(text: str) -> None:
    assert found(text, "VN") == []


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("Ann.O'Brien@example.com", "ann.o'brien@example.com"),
        ("'ann@example.com'", "ann@example.com"),
        ("write to...ann@example.com...", "ann@example.com"),
        ("..ann@example.com", "ann@example.com"),
        ("- mail:\n-ann@example.com", "ann@example.com"),
        ("a.b+c@example.co.uk.", "a.b+c@example.co.uk"),
        ("ann@m\u00fcnchen.de", "ann@m\u00fcnchen.de"),
        ("ann@xn--mnchen-3ya.de", "ann@xn--mnchen-3ya.de"),
        ("ann\uff20example.com", "ann@example.com"),
        ("<mailto:ann@example.com>", "ann@example.com"),
    ],
)
def test_an_address_is_found_whole_and_nothing_beside_it(text: str, address: str) -> None:
    assert found(text) == [address]


@pytest.mark.parametrize(
    "text",
    [
        "https://user:secret@host.com/x",
        "https://medium.com/x@y.com",
        "@ann.com",
        "ann@ex_ample.com",
        "ann@example",
        "ann@1.2.3.4",
        "a" * 65 + "@example.com",
    ],
)
def test_what_only_looks_like_an_address_is_none(text: str) -> None:
    assert found(text) == []


@pytest.mark.parametrize(("text", "region", "right"), ALL)
def test_of_each_text_of_the_labelled_set_all_is_found_and_nothing_else(
    text: str, region: str | None, right: tuple[str, ...]
) -> None:
    assert found(text, region) == list(right)


def test_what_is_found_alone_is_found_beside_any_other() -> None:
    for seed in range(300):
        some = Random(seed).sample([each for each in ALL if each[1] in {None, "VN"}], 3)  # noqa: S311
        together = found("\n\n".join(text for text, _, _ in some), "VN")
        alone = [value for text, _, _ in some for value in found(text, "VN")]
        assert sorted(together) == sorted(set(alone)), some


@pytest.mark.parametrize(
    ("name", "region"),
    [
        ("email-beside-letters", None),
        ("details-behind-links", None),
        ("dates-de", "DE"),
        ("phone-signs", "VN"),
    ],
)
def test_the_data_sets_give_what_their_table_says(name: str, region: str | None) -> None:
    path = SHARED_CASES / f"{name}.ndjson"
    if not path.exists():
        pytest.skip(f"{path.name} is not beside this checkout")
    records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    values = [found(record["messages"][0]["text"], region) for record in records]
    if name == "email-beside-letters":
        assert values == [["ann@example.com"]] * 13
    elif name == "details-behind-links":
        assert all(len(each) == 1 for each in values)
    elif name == "dates-de":
        assert values == [[], [], [], ["+49301234567"]]
    else:
        assert values[4:] == [["+84901234567"]] * 5
