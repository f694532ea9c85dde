import json
from collections.abc import Callable

import pytest

from inboxsync.graph.body import Body, fast_conversations, fast_messages, read_list
from inboxsync.graph.body import decode_body as decode
from inboxsync.graph.decode import Json
from inboxsync.graph.errors import FaultError

TOKEN = "EAAmarked" + "x" * 40


def decode_body(body: bytes, *, status: int) -> object:
    return decode(body, status=status, redact=lambda text: text.replace(TOKEN, "[token]"))


HTML = b"<!DOCTYPE html><html><title>Facebook | Error</title><body>Sorry, something went wrong.</body></html>"


@pytest.mark.parametrize("body", [b"", b"  ", b"null", b"[]", b'"x"', HTML, b'{"data": [{"id": "t_'])
def test_what_is_no_object_is_a_fault_without_a_code(body: bytes) -> None:
    with pytest.raises(FaultError) as caught:
        decode_body(body, status=200)
    assert caught.value.fault.code is None


def test_an_error_envelope_is_a_fault_whatever_the_status() -> None:
    with pytest.raises(FaultError) as caught:
        decode_body(b'{"error": {"message": "no", "code": "190", "error_subcode": 463}}', status=200)
    assert (caught.value.fault.code, caught.value.fault.subcode) == (190, 463)


def test_an_envelope_with_nothing_in_it_is_still_read() -> None:
    with pytest.raises(FaultError) as caught:
        decode_body(b'{"error": {}}', status=500)
    assert caught.value.fault.code is None
    assert caught.value.fault.status == 500


def test_half_an_emoji_is_replaced_and_the_rest_kept() -> None:
    assert decode_body(rb'{"text": "a\ud83d", "ok": "\ud83d\ude00"}', status=200) == {
        "text": "a�",
        "ok": "😀",
    }


def test_escaped_slashes_and_controls_come_through() -> None:
    assert decode_body(rb'{"a": "x\/y", "b": "\b\u0000"}', status=200) == {"a": "x/y", "b": "\b\0"}


def test_a_token_is_taken_out_before_the_body_is_cut() -> None:
    for padding in range(0, 100, 7):
        with pytest.raises(FaultError) as caught:
            decode_body(f"<html>{'x' * padding} {TOKEN}</html>".encode(), status=500)
        assert "marked" not in str(caught.value)


def test_json_too_deep_to_read_is_a_fault() -> None:
    with pytest.raises(FaultError):
        decode_body(b"[" * 200_000, status=200)


TOO_MUCH = {
    "entries": b'{"data":[' + b",".join([b"1"] * 600_000) + b"]}",
    "empty objects": b'{"data":[' + b",".join([b"{}"] * 340_000) + b"]}",
    "messages": b'{"data":[{"id":"t","messages":{"data":[' + b",".join([b'{"id":"m"}'] * 100_000) + b"]}}]}",
    "keys": b'{"data":[{"id":"t",' + b",".join(b'"%d":1' % number for number in range(300_001)) + b"}]}",
    "a text": b'{"data":[{"id":"t","snippet":"' + b"x" * 1_000_001 + b'"}]}',
    "bytes": b'{"data":[' + b",".join([b'{"id":"' + b"x" * 900_000 + b'"}'] * 18) + b"]}",
}


@pytest.mark.parametrize("what", TOO_MUCH)
@pytest.mark.parametrize("fast", [None, fast_conversations, fast_messages])
def test_an_answer_with_more_than_memory_for_it_is_too_large(
    what: str, fast: Callable[[Body], Json] | None
) -> None:
    with pytest.raises(FaultError) as caught:
        decode(TOO_MUCH[what], status=200, redact=str, fast=fast)
    assert caught.value.fault.is_too_large


def test_a_list_of_far_more_entries_than_were_asked_for_is_too_large() -> None:
    with pytest.raises(FaultError) as caught:
        read_list({"data": [{}] * 5_001})
    assert caught.value.fault.is_too_large


def test_texts_just_below_the_longest_are_read() -> None:
    texts = {"data": ["x" * 900_000] * 5}
    assert decode_body(json.dumps(texts).encode(), status=200) == texts


def test_blanks_around_what_was_asked_for_are_read() -> None:
    assert decode_body(b'{"data": [' + b" \n" * 10_000_000 + b"]}", status=200) == {"data": []}


CUT = b'[{"message": "my address is Storgata 1"}, {"mess'


@pytest.mark.parametrize("status", [200, 500])
@pytest.mark.parametrize("body", [CUT, b'{"data": ' + CUT, b"\xef\xbb\xbf " + CUT, b"Storgata 1, " + CUT])
def test_nothing_of_a_broken_list_is_quoted(body: bytes, status: int) -> None:
    with pytest.raises(FaultError) as caught:
        decode_body(body, status=status)
    assert "Storgata" not in str(caught.value)
    assert "is not JSON" in str(caught.value)


@pytest.mark.parametrize(("body", "status"), [(HTML, 200), (b"upstream connect error", 503)])
def test_an_error_page_is_quoted(body: bytes, status: int) -> None:
    with pytest.raises(FaultError) as caught:
        decode_body(body, status=status)
    assert body[:20].decode() in str(caught.value)
