"""The settings of a sandbox: its world, its limits, its faults. Their types say which values are valid."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta

Share = Annotated[float, Meta(ge=0, le=1)]
Seconds = Annotated[float, Meta(ge=0)]
Count = Annotated[int, Meta(ge=0)]
CountFromOne = Annotated[int, Meta(ge=1)]

# The synthetic world ends here, whatever the clock says: every process serves the same.
ANCHOR = int(datetime(2026, 6, 30, 12, tzinfo=UTC).timestamp())

# What each is: `odd_refusals`, `odd_contents`, `odd_usage`.
OddRefusalName = Literal[
    "page_merged",
    "no_application",
    "page_unpublished",
    "new_pages_experience",
    "data_access_ended",
    "code_on_top",
    "error_code_on_top",
    "error_is_text",
    "error_is_true",
    "error_is_json_text",
    "error_is_list",
    "errors",
    "meta",
    "batch_item",
    "json_in_text",
    "code_is_text",
    "code_is_fraction",
    "too_many_requests",
    "unavailable",
]
OddContent = Literal[
    "message_object",
    "message_number",
    "story_reply",
    "sticker_number",
    "sender_without_id",
    "bare_messages",
    "milliseconds",
    "microseconds",
    "second_account_id",
    "account_without_id",
]
OddUsage = Literal[
    "call_volume",
    "text_numbers",
    "huge_number",
    "other_page",
    "cut",
    "list",
    "page_usage",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """What goes wrong; each value is the share of calls (0 to 1) that it happens to, if not said otherwise.

    Shapes as in graph-facts 3 and 5. Which call is hit depends only on the seed and the
    call's number. docs/sandbox.md has them in groups.
    """

    # shared out among reset, html, empty, null, code_2 and cut as 4 : 4 : 3 : 2 : 4 : 3
    passing: Share = 0.0

    reset: Share = 0.0  # the connection is cut before any answer
    html: Share = 0.0  # HTTP 500 with Meta's HTML error page
    empty: Share = 0.0  # HTTP 200 with no body
    null: Share = 0.0  # HTTP 200 with `null`
    cut: Share = 0.0  # a body that ends in the middle
    cut_error: Share = 0.0  # code 2, whose body ends in the middle
    code_1: Share = 0.0  # code 1, subcode 99: unknown, temporary
    code_2: Share = 0.0  # code 2: service temporarily unavailable
    transient: Share = 0.0  # another code with is_transient
    stall: Share = 0.0  # the answer takes `stall_seconds`
    stall_seconds: Seconds = 30.0
    huge: Share = 0.0  # blanks before the last character make the answer this large ...
    huge_bytes: CountFromOne = 400_000_000
    huge_form: Literal["packed", "plain"] = "packed"  # ... packed by gzip, asked for or not ...
    huge_chunked: bool = False  # ... without a length ...
    huge_is_json: bool = True  # ... or with no last character
    trickle: Share = 0.0  # the body comes `trickle_bytes` at a time, with pauses
    trickle_bytes: CountFromOne = 1
    trickle_seconds: Seconds = 1.0
    padding_bytes: Count = 0  # so many blanks with each conversation of a list
    # the calls that meet the shares above, `refuse_code` and `refusal`: Page is the Page's own node
    where: Literal["all", "lists", "page", "nodes"] = "all"
    jitter_seconds: Seconds = 0.0  # each call takes 0 to this long before it is counted, evenly spread
    outage_seconds: Seconds = 0.0  # no call is answered for so long ...
    outage_after: Count = 0  # ... once so many calls are over; 0 by the control address: at once ...
    outage_every: Count = 0  # ... and again so many calls after each end; 0: never again
    # refused: nobody listens (the control address neither); silent: no answer before the end
    outage_kind: Literal["refused", "reset", "silent", "429", "502", "503", "504"] = "reset"
    outage_body: Literal["html", "json", "empty"] = "html"
    # the `Retry-After` of an outage's answers, as it is; `left`: the seconds until its end
    retry_after: str | None = None
    hold_after: Count | None = None  # calls after which none is answered, until this is changed
    short_batch: Share = 0.0  # fewer entries than asked for, with `next`
    empty_batch: Share = 0.0  # `data: []` with `next`
    repeat_cursor: Share = 0.0  # `after` is the one that was sent
    refuse_cursors: bool = False  # every `after` is refused
    forget_cursors: Count = 0  # raised by one, it refuses every opaque cursor given before
    cursor_cycle: Count = 0  # the end of a list leads back to the place after so many conversations
    endless: bool = False  # after the last entry, empty answers with `next`, without end
    deepest_cursor: int | None = None  # an `after` deeper in the list than this is refused
    weight_limit: int | None = None  # code 1 if conversations x messages asked for is more than this
    poison: Count = 0  # so many conversations fail every answer with their messages, and their own node
    poison_slots: tuple[int, ...] = ()  # these do: 0 is the newest of the inbox at the start
    list_poison: Count = 0  # so many others fail lists with their messages, and can be read by their own node
    list_poison_slots: tuple[int, ...] = ()  # these do
    refuse_code: int | None = None  # every call is refused with this code ...
    refuse_subcode: int | None = None  # ... this subcode ...
    refuse_words: str | None = None  # ... and this message
    refusal: OddRefusalName | None = None  # every call is refused in this shape
    refuse_fields: tuple[str, ...] = ()  # calls that ask for one of these, however deep, are refused ...
    refuse_fields_code: int = 100  # ... with this code ...
    # ... and these words, with {field} (the first), {fields} (all of them) and {node} ...
    refuse_fields_words: str | None = None
    refuse_fields_language: Literal["en", "fr", "de"] = (
        "en"  # ... or in this language, without `locale=en_US`
    )
    token_dies_after: int | None = None  # calls after which the Page tokens die ...
    token_subcode: int = 463  # ... with this subcode
    odd: tuple[OddContent, ...] = ()  # so many things of another type or unit ...
    odd_share: Share = 1.0  # ... in this share of messages and conversations
    # reversed: the newest messages, the oldest of them first; oldest: the oldest messages first
    message_order: Literal["newest", "reversed", "oldest"] = "newest"
    usage: OddUsage | None = None  # usage headers of another form ...
    # ... or any: a JSON object from header to value, with PAGE for the Page's id
    usage_headers: str | None = None

    def __post_init__(self) -> None:
        """Raises ValueError."""
        if self.usage_headers is not None and not isinstance(json.loads(self.usage_headers), dict):
            raise ValueError("usage_headers is a JSON object")


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxConfig:
    """A sandbox. The same values give the same Pages, tokens and contents in every process."""

    conversations: CountFromOne | None = None  # in each Page's inbox; 10,000, or all of the data set
    folders: Mapping[str, int] = field(default_factory=dict)  # conversations in other folders, by name
    # what a `folder` that the Page lacks gets; ignore: the inbox
    unknown_folders: Literal["empty", "refuse", "ignore"] = "empty"
    messages: tuple[int, int] = (1, 40)  # fewest and most messages of a conversation
    pages: Annotated[int, Meta(ge=1, le=10_000)] = 1
    dataset: Path | None = None
    seed: int = 0
    # when the newest message was sent, in seconds since 1970; a data set's own times stay
    newest_at: CountFromOne = ANCHOR
    limits: bool = True  # 2 calls a second for each Page, and a daily quota
    # the code for a call that comes too soon
    rate_code: Literal[613, 80006] = 613
    # bucket: two at once, then one each half second; strict: one, then one each half second;
    # rolling: two in any second
    pace: Literal["bucket", "strict", "rolling"] = "bucket"
    penalty_seconds: Seconds = 0.0  # after a refusal, every call is refused for so long
    engaged_users: Count | None = None  # the daily quota is 200 x this; by default one for each conversation
    calls_a_day: CountFromOne | None = None  # the daily quota itself, for every type of calls
    day_seconds: Annotated[float, Meta(ge=0.1)] = 86_400.0  # how long the rolling day is
    regain_minutes: Count | None = None  # reported from 95 % on; by default the time it takes, at 100 %
    # sent in X-App-Usage; 100 refuses every call with code 4
    app_usage_percent: Annotated[int, Meta(ge=0, le=100)] = 0
    latency_seconds: Seconds = 0.0
    largest_limit: CountFromOne = 200  # a larger `limit` is served as this, without an error
    # index: as in Meta's attachment lists
    cursors: Literal["opaque", "index"] = "opaque"
    cursors_die_with_token: bool = False  # when a token dies, every opaque cursor is refused
    gzip: bool = True  # compress answers for clients that accept gzip
    time_windows: bool = False  # versions that have updated_before_ms and updated_after_ms honour them
    legacy: bool = False  # serve what Meta removed on 27 October and 4 November 2026
    sticker_attachments: Share = 0.5  # so many stickers of Messenger are attachments; half of these only that
    standard_access: bool = False  # no one in the lists has a role on the app
    high_volume: bool = False  # listing fails, single conversations answer
    require_proof: bool = False  # refuse calls without a right appsecret_proof
    token_days: Count | None = None  # debug_token reports that every Page token ends so many days from now
    # what Instagram's messages beyond the newest 20 of a list get
    unreadable_messages: Literal["bare", "refuse", "omit"] = "bare"
    write_every: Count = 0  # people write on every so many list calls ...
    write_people: CountFromOne = 1  # ... so many of them, each in another conversation ...
    write_burst: CountFromOne = 1  # ... and so many messages each
    write_new_every: Count = 0  # a new person begins a conversation on every so many list calls
    faults: Faults = field(default_factory=Faults)
