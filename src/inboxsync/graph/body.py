"""From an answer's bytes to JSON, whatever the bytes are, and from JSON to text that can be stored.

Nearly every entry of a list has the usual shape, and msgspec decodes a shape that it knows several
times faster than any JSON. An entry that differs in the least (another type, an unknown field, no id)
is decoded as any JSON, for `decode` to normalise.
"""

import json
import re
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Generic, TypeVar, cast
from urllib.parse import parse_qs, urlsplit

import msgspec

from inboxsync.errors import SourceRefused
from inboxsync.graph.decode import EMPTY, GraphConversation, GraphMessage, Json, identifier
from inboxsync.graph.errors import Fault, FaultError

_QUOTED_CHARACTERS = 80
_READ_BYTES = 4_000
# HTTP statuses below are answers, from here on errors.
_FIRST_ERROR_STATUS = 400
# A batch's answer has the error's object in a text in a list.
_ERROR_DEPTH = 4
_KEYS_OF_ERRORS = ("error", "error_code", "error_msg", "error_message", "error_type", "error_description")
_NOT_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
# U+0000 as JSON has it; in half a megabyte a pattern finds it sooner than `in` does.
_find_nul = re.compile(rb"\\u0000").search

# Graph nests a handful of levels. Python and JSON libraries give up at some hundreds, each at another.
_DEEPEST = 60
_LONGEST_BITS = 63
_TOKEN_PARAMETER = re.compile(r"access_token(=|%3D)[^&\s\"]*", re.IGNORECASE)
# To find a number that may be past 64 bits: 19 digits, once all digits are zeros. A pattern takes ten times
# as long.
_TO_ZEROS = bytes.maketrans(b"123456789", b"000000000")
_LONG_NUMBER = b"0" * 19
_encode = msgspec.json.Encoder().encode

# What an answer of so many bytes may hold. Decoded and written, an object takes a kilobyte and more, and a
# text ten times its length. A hundred conversations with a hundred messages each have 40,000 objects; Meta
# takes texts of 20,000 characters.
_LARGE_BYTES = 1_000_000
_MOST_BYTES = 16_000_000
_MOST_OBJECTS = 60_000
_MOST_VALUES = 300_000
_LONGEST_TEXT = 1_000_000
_MOST_ENTRIES = 5_000

Body = bytes | bytearray
T = TypeVar("T", bound=msgspec.Struct)


class _Answer(msgspec.Struct, Generic[T], forbid_unknown_fields=True):
    data: list[T]
    paging: Any = None


class _SplitAnswer(msgspec.Struct, forbid_unknown_fields=True):
    data: list[msgspec.Raw]
    paging: Any = None


class FastDecoder(Generic[T]):
    """Decodes list answers: entries of the usual shape into their struct, others as any JSON."""

    def __init__(self, answer: "msgspec.json.Decoder[_Answer[T]]", entry: "msgspec.json.Decoder[T]") -> None:
        self._decode_answer = answer.decode
        self._decode_entry = entry.decode

    def __call__(self, body: Body) -> Json:
        """The answer's `data` and `paging`.

        Raises MsgspecError or UnicodeDecodeError for what is no list answer.
        """
        # In JSON, U+0000 can only be written so: one look at the whole saves one at each of its texts.
        if _find_nul(body) is None:
            with suppress(msgspec.ValidationError):
                answer = self._decode_answer(body)
                return {"data": answer.data, "paging": answer.paging}
        split = _decode_split(body)
        return {"data": [self._fast_or_any(each) for each in split.data], "paging": split.paging}

    def _fast_or_any(self, raw: msgspec.Raw) -> Any:  # noqa: ANN401 - any JSON
        if _find_nul(raw) is None:
            with suppress(msgspec.ValidationError):
                return self._decode_entry(raw)
        return msgspec.json.decode(raw)


_decode_split = msgspec.json.Decoder(_SplitAnswer).decode
fast_conversations = FastDecoder(
    msgspec.json.Decoder(_Answer[GraphConversation]), msgspec.json.Decoder(GraphConversation)
)
fast_messages = FastDecoder(msgspec.json.Decoder(_Answer[GraphMessage]), msgspec.json.Decoder(GraphMessage))


def decode_body(
    body: Body,
    *,
    status: int,
    redact: Callable[[str], str],
    fast: Callable[[Body], Json] | None = None,
) -> Json:
    """The JSON object of an answer.

    `fast` is the decoder to try first. `redact` removes the token from what an error quotes. Raises
    FaultError for a Graph error, and for everything that is no object: an HTML page, an empty body,
    `null`, a cut body (graph-facts 3).
    """
    if (why := _too_much(body)) is not None:
        raise FaultError(Fault(message=f"The answer has {why}.", status=status, is_too_large=True))
    if fast is not None and status < _FIRST_ERROR_STATUS:
        with suppress(*_NOT_JSON):
            return fast(body)
    answer = _decode_json(body, status, redact)
    if (error := _error_in(answer, is_refused=status >= _FIRST_ERROR_STATUS)) is not None:
        raise FaultError(Fault.from_error_body(error, status=status))
    if not isinstance(answer, dict):
        raise FaultError(Fault(message=f"The answer (HTTP {status}) holds no data.", status=status))
    if status >= _FIRST_ERROR_STATUS:
        raise FaultError(Fault(message=f"HTTP {status} without a Graph error.", status=status))
    return answer


def _too_much(body: Body) -> str | None:
    """What there is more of than memory for it; None: nothing."""
    if len(body) < _LARGE_BYTES:
        return None
    if _without_blanks(body) > _MOST_BYTES:
        return f"more than {_MOST_BYTES // 1_000_000} MB besides blanks"
    if body.count(b"{") > _MOST_OBJECTS:
        return f"more than {_MOST_OBJECTS:,} objects"
    if body.count(b",") + body.count(b"[") > _MOST_VALUES:
        return f"more than {_MOST_VALUES:,} values"
    long = (piece for piece in body.split(b'"') if len(piece) > _LONGEST_TEXT)
    if any(_without_blanks(piece) > _LONGEST_TEXT for piece in long):
        return f"a value of more than {_LONGEST_TEXT:,} bytes"
    return None


def _without_blanks(body: Body) -> int:
    return len(body) - sum(map(body.count, (b" ", b"\n", b"\r", b"\t")))


def _error_in(answer: object, *, is_refused: bool, depth: int = 0) -> Json | None:
    """The object that says what was wrong, in every shape seen (graph-facts 3); None if there is none.

    `error` as an object, a list or JSON in text; `errors`; Instagram's `meta`; a batch's answer; or the
    keys of an error at the top. `is_refused`: the status says that it is an error.
    """
    if isinstance(answer, list):
        answer = answer[0] if answer else None
    if not isinstance(answer, dict) or depth > _ERROR_DEPTH:
        return None
    if isinstance(answer.get("error"), dict):
        return cast("Json", answer["error"])
    for name in ("error", "errors", "meta", "body"):
        part = _read_text(answer.get(name))
        if name == "meta" and "data" in answer:
            continue
        if (found := _error_in(part, is_refused=is_refused, depth=depth + 1)) is not None:
            return found
    has_no_data = "data" not in answer and "id" not in answer
    return answer if _is_error(answer) and (is_refused or has_no_data) else None


def _is_error(part: Json) -> bool:
    return any(part.get(name) for name in _KEYS_OF_ERRORS) or ("code" in part and "message" in part)


def _read_text(value: object) -> object:
    """JSON that comes as text, as an object; anything else as it is."""
    if not (isinstance(value, str) and value.lstrip()[:1] in ("{", "[")):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value


def read_list(body: Json) -> list[Any]:
    """The entries of a list answer. Raises FaultError if it has no list, or far more than was asked for."""
    data = body.get("data")
    if not isinstance(data, list):
        raise FaultError(Fault(message="The answer holds no list."))
    if len(data) > _MOST_ENTRIES:
        raise FaultError(
            Fault(message=f"The list has more than {_MOST_ENTRIES:,} entries.", is_too_large=True)
        )
    return data


def read_paging(body: Json, *, sent: str | None) -> tuple[str | None, bool]:
    """The `after` cursor, and whether anything follows: the `next` URL is the only sign (graph-facts 1.8).

    Only the cursor of the `next` URL is kept, because the URL holds the token. Raises FaultError if
    the next cursor is the one that was `sent`: the list would answer the same for ever. Raises
    SourceRefused if something follows and there is no cursor: to take that for the end would lose data.
    """
    paging = body.get("paging")
    if not isinstance(paging, dict):
        return None, False
    cursors = paging.get("cursors")
    after = cursors.get("after") if isinstance(cursors, dict) else None
    following = paging.get("next")
    if not following:
        return (after if isinstance(after, str) else None), False
    if not (isinstance(after, str) and after):
        after = _cursor_in(following)
    if not after:
        raise SourceRefused("Meta says that the list continues, and gives no cursor for the rest of it.")
    if after == sent:
        raise FaultError(Fault(message="Meta returned the cursor that it was sent.", repeats_cursor=True))
    return after, True


def _cursor_in(next_url: object) -> str | None:
    if not isinstance(next_url, str):
        return None
    try:
        return parse_qs(urlsplit(next_url).query).get("after", [None])[0]
    except ValueError:
        return None


def _decode_json(body: Body, status: int, redact: Callable[[str], str]) -> object:
    if not body.strip():
        raise FaultError(Fault(message=f"The answer (HTTP {status}) is empty.", status=status))
    try:
        return msgspec.json.decode(body)
    except _NOT_JSON:
        pass
    # A text cut inside an emoji ends in half a surrogate pair: msgspec rejects it, json does not.
    try:
        return replace_lone_surrogates(json.loads(body))
    except (ValueError, RecursionError) as unreadable:
        message = f"The answer (HTTP {status}, {len(body)} bytes) is not JSON{_quoted(body, status, redact)}."
        raise FaultError(Fault(message=message, status=status)) from unreadable


def _quoted(body: Body, status: int, redact: Callable[[str], str]) -> str:
    """The beginning of an error page; nothing of what may be a broken list, with what customers wrote."""
    begin = body[:_READ_BYTES]
    is_page = begin.lstrip().startswith(b"<")
    if not is_page and (status < _FIRST_ERROR_STATUS or b"{" in begin or b"[" in begin):
        return ""
    # Redacted first, then cut: half a token would no longer look like one.
    return f": {' '.join(redact(begin.decode('utf-8', 'replace')).split())[:_QUOTED_CHARACTERS]!r}"


def replace_lone_surrogates(value: Any) -> Any:  # noqa: ANN401 - any JSON
    """The same JSON with U+FFFD for each lone surrogate, so that a database can store it."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [replace_lone_surrogates(item) for item in value]
    if isinstance(value, dict):
        return {replace_lone_surrogates(key): replace_lone_surrogates(item) for key, item in value.items()}
    return value


def json_text(value: object) -> str | None:
    """JSON to be stored as text; None for what holds nothing."""
    if value in EMPTY:
        return None
    if (text := _unchanged(value)) is not None:
        return text
    storable = _storable(value)
    try:
        return _encode(storable).decode()
    except UnicodeEncodeError:
        return _encode(replace_lone_surrogates(storable)).decode()


def _unchanged(value: object) -> str | None:
    """The text of a value that `_storable` would not change; None if that needs a closer look.

    Nearly all values are such, and to encode one takes less time than to look at all that is in it.
    """
    try:
        text = _encode(value)
    except (OverflowError, RecursionError, UnicodeEncodeError):
        return None
    may_change = b'"paging"' in text or b"access_token" in text or _LONG_NUMBER in text.translate(_TO_ZEROS)
    return None if may_change or text.count(b"{") + text.count(b"[") > _DEEPEST else text.decode()


def _storable(value: Any, depth: int = 0) -> Any:  # noqa: ANN401 - any JSON
    """The same JSON so that it can be encoded and stored.

    `paging` is removed at any depth: it leads nowhere new, and holds the token. What no JSON
    library can encode (numbers past 64 bits, hundreds of levels) becomes text.
    """
    if depth > _DEEPEST and isinstance(value, dict | list):
        return "[nested too deeply]"
    if isinstance(value, dict):
        return {key: _storable(inner, depth + 1) for key, inner in value.items() if key != "paging"}
    if isinstance(value, list):
        return [_storable(inner, depth + 1) for inner in value]
    if isinstance(value, str) and "access_token" in value:
        return _TOKEN_PARAMETER.sub("access_token=[token]", value)
    if isinstance(value, int) and value.bit_length() > _LONGEST_BITS:
        return identifier(value) or "[number too long]"
    return value
