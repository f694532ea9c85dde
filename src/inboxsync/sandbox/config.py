"""What a sandbox is like: its world, its limits, its faults."""

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """What goes wrong, each as the share of calls (0 to 1) it happens to, unless it says otherwise.

    Shapes as in graph-facts 3 and 5. Which call is hit depends on the seed and the call's
    number alone.
    """

    reset: float = 0.0  # the connection is cut before any answer
    html: float = 0.0  # HTTP 500 with Meta's HTML error page
    empty: float = 0.0  # HTTP 200 with no body
    null: float = 0.0  # HTTP 200 with `null`
    cut: float = 0.0  # a body that ends half-way
    code_1: float = 0.0  # code 1, subcode 99: unknown, passes
    code_2: float = 0.0  # code 2: service temporarily unavailable
    transient: float = 0.0  # another code with is_transient
    stall: float = 0.0  # the answer takes `stall_seconds`
    stall_seconds: float = 30.0
    short_batch: float = 0.0  # fewer entries than asked for, with `next`
    empty_batch: float = 0.0  # `data: []` with `next`
    repeat_cursor: float = 0.0  # `after` is the one that was sent
    refuse_cursors: bool = False  # every `after` is refused
    weight_limit: int | None = None  # code 1 where conversations x messages asked for exceeds this
    poison: int = 0  # so many conversations fail every answer with their messages, and their own node
    token_dies_after: int | None = None  # calls after which the Page tokens die ...
    token_subcode: int = 463  # ... with this subcode


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxConfig:
    """A sandbox. The same values give the same Pages, tokens and contents in every process."""

    conversations: int | None = None  # in each Page's inbox; 10,000, or all of the data set
    messages: tuple[int, int] = (1, 40)  # fewest and most messages of a conversation
    pages: int = 1
    dataset: Path | None = None
    seed: int = 0
    limits: bool = True  # 2 calls a second a Page, and a daily allowance
    rate_code: int = 613  # what a call too soon is refused with: 613 or 80006
    penalty_seconds: float = 0.0  # for so long a refusal refuses all that follows
    engaged_users: int | None = None  # the daily allowance is 200 x this; a user a conversation
    latency_seconds: float = 0.0
    largest_limit: int = 200  # `limit` above this is silently served as this
    cursors: str = "opaque"  # opaque, or index as Meta's attachment lists have them
    time_windows: bool = False  # honour updated_before_ms and updated_after_ms
    standard_access: bool = False  # nobody in the lists has a role on the app
    high_volume: bool = False  # listing fails, single conversations answer
    require_proof: bool = False  # refuse calls without a right appsecret_proof
    write_every: int = 0  # somebody writes on every so many list calls
    faults: Faults = field(default_factory=Faults)
