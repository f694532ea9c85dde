"""The switches of a sandbox: its world, its limits, its faults."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """What goes wrong; each value is the share of calls (0 to 1) that it happens to, if not said otherwise.

    Shapes as in graph-facts 3 and 5. Which call is hit depends only on the seed and the
    call's number.
    """

    reset: float = 0.0  # the connection is cut before any answer
    html: float = 0.0  # HTTP 500 with Meta's HTML error page
    empty: float = 0.0  # HTTP 200 with no body
    null: float = 0.0  # HTTP 200 with `null`
    cut: float = 0.0  # a body that ends in the middle
    code_1: float = 0.0  # code 1, subcode 99: unknown, temporary
    code_2: float = 0.0  # code 2: service temporarily unavailable
    transient: float = 0.0  # another code with is_transient
    stall: float = 0.0  # the answer takes `stall_seconds`
    stall_seconds: float = 30.0
    hold_after: int | None = None  # calls after which none is answered, until this is changed
    short_batch: float = 0.0  # fewer entries than asked for, with `next`
    empty_batch: float = 0.0  # `data: []` with `next`
    repeat_cursor: float = 0.0  # `after` is the one that was sent
    refuse_cursors: bool = False  # every `after` is refused
    forget_cursors: int = 0  # raised by one, it refuses every opaque cursor given before
    endless: bool = False  # after the last entry, empty answers with `next`, without end
    deepest_cursor: int | None = None  # an `after` deeper in the list than this is refused
    weight_limit: int | None = None  # code 1 if conversations x messages asked for is more than this
    poison: int = 0  # so many conversations fail every answer with their messages, and their own node
    poison_slots: tuple[int, ...] = ()  # these do: 0 is the newest of the inbox at the start
    refuse_code: int | None = None  # every call is refused with this code ...
    refuse_subcode: int | None = None  # ... and this subcode
    token_dies_after: int | None = None  # calls after which the Page tokens die ...
    token_subcode: int = 463  # ... with this subcode


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxConfig:
    """A sandbox. The same values give the same Pages, tokens and contents in every process."""

    conversations: int | None = None  # in each Page's inbox; 10,000, or all of the data set
    folders: Mapping[str, int] = field(default_factory=dict)  # conversations in other folders, by name
    unknown_folders: str = "empty"  # what a `folder` the Page lacks gets: empty, refuse or ignore
    messages: tuple[int, int] = (1, 40)  # fewest and most messages of a conversation
    pages: int = 1
    dataset: Path | None = None
    seed: int = 0
    limits: bool = True  # 2 calls a second for each Page, and a daily quota
    rate_code: int = 613  # the code for a call that comes too soon: 613 or 80006
    pace: str = "bucket"  # bucket: two at once, then one each half second; rolling: two in any second
    penalty_seconds: float = 0.0  # after a refusal, every call is refused for so long
    engaged_users: int | None = None  # the daily quota is 200 x this; by default a user for each conversation
    calls_a_day: int | None = None  # the daily quota itself, for every type of calls
    day_seconds: float = 86_400.0  # how long the rolling day is
    regain_minutes: int | None = None  # reported from 95 % on; by default the time it takes, at 100 %
    app_usage_percent: int = 0  # sent in X-App-Usage; 100 refuses every call with code 4
    latency_seconds: float = 0.0
    largest_limit: int = 200  # a larger `limit` is served as this, without an error
    cursors: str = "opaque"  # opaque, or index as in Meta's attachment lists
    cursors_die_with_token: bool = False  # when a token dies, every opaque cursor is refused
    gzip: bool = True  # compress answers for clients that accept gzip
    time_windows: bool = False  # honour updated_before_ms and updated_after_ms
    standard_access: bool = False  # no one in the lists has a role on the app
    high_volume: bool = False  # listing fails, single conversations answer
    require_proof: bool = False  # refuse calls without a right appsecret_proof
    token_days: int | None = None  # debug_token reports that every Page token ends so many days from now
    unreadable_messages: str = "bare"  # Instagram beyond 20 in a list: bare, refuse or omit
    write_every: int = 0  # people write on every so many list calls ...
    write_people: int = 1  # ... so many of them, each in another conversation ...
    write_burst: int = 1  # ... and so many messages each
    write_new_every: int = 0  # a new person begins a conversation on every so many list calls
    faults: Faults = field(default_factory=Faults)
