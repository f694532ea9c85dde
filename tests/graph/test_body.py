import pytest

from inboxsync.graph.body import decode_body as decode
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


@pytest.mark.parametrize("entry", [b"{}", b"[]", b"1", b'{"id":"t"}', b'{"id":"t","messages":{"data":[{}]}}'])
def test_an_answer_with_more_values_than_memory_for_them_is_too_large(entry: bytes) -> None:
    body = b'{"data":[' + b",".join([entry] * 1_000_001) + b"]}"
    with pytest.raises(FaultError) as caught:
        decode_body(body, status=200)
    assert caught.value.fault.is_too_large


def test_a_long_text_is_not_taken_for_many_values() -> None:
    assert decode_body(b'{"text": "' + b"a, " * 700_000 + b'"}', status=200)
