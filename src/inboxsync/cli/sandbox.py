"""`inboxsync sandbox`: its switches, and the settings that they change.

`SandboxConfig` declares every setting and which values are valid. Settings that are changed often have a
switch of their own; `--set NAME=VALUE` changes any.
"""

import inspect
import re
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, get_args, get_origin

import msgspec
import typer

from inboxsync.errors import InboxsyncError, SettingsInvalid

if TYPE_CHECKING:
    from inboxsync.sandbox import SandboxConfig

_FAULT_HELP = (
    "Something that goes wrong, as NAME=VALUE; may be repeated. docs/sandbox.md explains each. Shares of "
    "calls, 0 to 1: reset, html, empty, null, cut, cut_error, code_1, code_2, transient, passing, stall, "
    "huge, trickle, short_batch, empty_batch, repeat_cursor. Others: stall_seconds=30, huge_bytes=400000000, "
    "huge_form=plain, huge_chunked=1, huge_is_json=0, trickle_bytes=1, trickle_seconds=1, "
    "padding_bytes=1000000, where=lists, hold_after=20, jitter_seconds=0.06, outage_seconds=20, "
    "outage_after=100, outage_every=100, outage_kind=503, outage_body=json, retry_after=left, "
    "refuse_cursors=1, forget_cursors=1, cursor_cycle=20, endless=1, deepest_cursor=500, weight_limit=500, "
    "poison=3, poison_slots=0,5, list_poison=3, list_poison_slots=0,5, refuse_code=368, refuse_subcode=1, "
    "refuse_words=TEXT, refusal=page_merged, refuse_fields=snippet,sticker, refuse_fields_code=12, "
    "refuse_fields_words=TEXT, refuse_fields_language=fr, token_dies_after=40, token_subcode=460, "
    "odd=milliseconds, odd_share=0.1, message_order=oldest, usage=call_volume, usage_headers=JSON."
)
_SET_HELP = (
    "Another setting, as NAME=VALUE; may be repeated. rate_code=80006: the code for a call too soon, "
    "else 613. engaged_users=50: the daily quota is 200 x this. day_seconds=60: the length of that day. "
    "app_usage_percent=100: what is reported for the app; 100 refuses every call with code 4. high_volume=1: "
    "lists fail, single conversations can be read. cursors_die_with_token=1: a dead token's cursors are "
    "invalid. write_every=10: a message arrives at every 10th list call. write_people=3: from 3 people. "
    "write_burst=2: 2 messages each. write_new_every=10: a conversation begins at every 10th list call. "
    "largest_limit=100: the most conversations in an answer. sticker_attachments=1: every sticker is an "
    "attachment."
)
# The sandbox has names for so many folders beside the inbox and the three that every Page has.
_MOST_FOLDERS: Final = 5
_PAGE_FOLDERS: Final = frozenset({"other", "page_done", "spam"})
# Switches whose setting has another name, or whose value is not the setting's.
_RENAMED: Final = {"latency": "latency_seconds", "penalty": "penalty_seconds"}
_OTHERS: Final = frozenset(
    {"port", "folder", "messages", "dataset", "no_limits", "no_gzip", "fault", "set", "ends_with_parent"}
)
# Settings of several values: only their own switches read them.
_COMPOSED: Final = frozenset({"folders", "messages", "dataset", "faults"})
_KINDS: Final = {"`int`": "a whole number", "`float`": "a number", "`bool`": "true or false"}


class SandboxFailed(InboxsyncError):
    """The sandbox cannot serve."""

    code = "sandbox_failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Switches:
    """The switches of the command: Typer makes one of each field. None leaves the setting's default."""

    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 0
    conversations: Annotated[
        int | None, typer.Option(help="In each Page's inbox. Default: 10,000, or the whole data set.")
    ] = None
    folder: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=COUNT", help="Conversations in another folder; may be repeated."),
    ] = None
    unknown_folders: Annotated[
        str | None,
        typer.Option(help="For a folder that the Page lacks: empty (default), refuse, or ignore: the inbox."),
    ] = None
    messages: Annotated[
        str, typer.Option(metavar="A:B", help="The fewest and the most messages of a conversation.")
    ] = "1:40"
    dataset: Annotated[Path | None, typer.Option(metavar="FILE", help="Serve these conversations.")] = None
    pages: Annotated[int | None, typer.Option(help="How many Pages. Default: 1.")] = None
    no_limits: Annotated[bool, typer.Option("--no-limits", help="No limit on the calls.")] = False
    seed: Annotated[int | None, typer.Option(help="Another seed makes other data. Default: 0.")] = None
    latency: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="How long an answer takes. Default: 0.")
    ] = None
    pace: Annotated[
        str | None,
        typer.Option(
            help="How 2 calls a second are counted: bucket (default), strict (never two at once), or rolling "
            "(in any second)."
        ),
    ] = None
    penalty: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", help="After a refusal all calls are refused for this time."),
    ] = None
    calls_a_day: Annotated[
        int | None, typer.Option(help="The daily quota of each type of calls. Default: 200 a conversation.")
    ] = None
    regain_minutes: Annotated[
        int | None,
        typer.Option(help="The waiting time that is reported from 95 % on. Default: the true one."),
    ] = None
    cursors: Annotated[str | None, typer.Option(help="opaque (default), or index.")] = None
    no_gzip: Annotated[bool, typer.Option("--no-gzip", help="Compress no answer, for benches.")] = False
    time_windows: Annotated[bool, typer.Option("--time-windows", help="Honour updated_before_ms.")] = False
    unreadable_messages: Annotated[
        str | None,
        typer.Option(help="Instagram's beyond the newest 20 of a list: bare (default), refuse or omit."),
    ] = None
    standard_access: Annotated[
        bool, typer.Option("--standard-access", help="Behave as without Advanced Access.")
    ] = False
    token_days: Annotated[
        int | None, typer.Option(help="Page tokens expire after so many days. Default: never.")
    ] = None
    require_proof: Annotated[bool, typer.Option("--require-proof", help="Require an appsecret_proof.")] = (
        False
    )
    legacy: Annotated[
        bool, typer.Option("--legacy", help="Serve what Meta removed in autumn 2026, such as ?ids=.")
    ] = False
    fault: Annotated[list[str] | None, typer.Option(metavar="NAME=VALUE", help=_FAULT_HELP)] = None
    set: Annotated[list[str] | None, typer.Option(metavar="NAME=VALUE", help=_SET_HELP)] = None
    ends_with_parent: Annotated[bool, typer.Option("--ends-with-parent", hidden=True)] = False


def sandbox(**values: Any) -> None:  # noqa: ANN401 - they are the fields of Switches
    """Serve an imitation of Meta's Graph API to try things with: Pages, conversations, limits, faults.

    Prints one JSON line first, {"url", "port", "page_id", "token", "pages": [...]}, then
    serves until it is stopped. The same switches give the same data every time.
    """
    # Imported here: no other command needs this server.
    from inboxsync.sandbox import DatasetError, serve  # noqa: PLC0415

    switches = Switches(**values)
    try:
        serve(config_of(switches), port=switches.port, ends_with_parent=switches.ends_with_parent)
    except DatasetError as error:
        raise SettingsInvalid(
            str(error), hint="Correct it, or give --dataset another file of one JSON object a line."
        ) from None
    except OSError as error:
        raise SandboxFailed(
            f"Port {switches.port} cannot be served: {error.strerror}.", hint="Take another --port."
        ) from None


# Typer reads the switches from the signature.
sandbox.__signature__ = inspect.signature(Switches)  # type: ignore[attr-defined]


def config_of(switches: Switches) -> "SandboxConfig":
    """The settings that these switches make. Raises SettingsInvalid for the first that is not valid."""
    from inboxsync.sandbox import Faults, SandboxConfig  # noqa: PLC0415

    changes: dict[str, Any] = {
        "folders": _read_folders(switches.folder or []),
        "messages": _read_range(switches.messages),
        "dataset": switches.dataset,
        "limits": not switches.no_limits,
        "gzip": not switches.no_gzip,
    }
    for switch in fields(Switches):
        value = getattr(switches, switch.name)
        if switch.name not in _OTHERS and value is not None:
            name = _RENAMED.get(switch.name, switch.name)
            shown = f"--{switch.name.replace('_', '-')} {value}"
            changes[name] = _checked(SandboxConfig, name, value, shown=shown)
    changes |= _read_named(SandboxConfig, switches.set or [], "setting", "--set")
    return SandboxConfig(
        **changes, faults=Faults(**_read_named(Faults, switches.fault or [], "fault", "--fault"))
    )


def _read_named(kind: type, asked: Iterable[str], what: str, switch: str) -> dict[str, Any]:
    """The values of NAME=VALUE texts, as the fields of `kind` declare them."""
    known = {each.name for each in fields(kind)} - _COMPOSED
    changes: dict[str, Any] = {}
    for text in asked:
        name, _, value = text.partition("=")
        if name not in known:
            raise SettingsInvalid(
                f"There is no {what} {name!r}.", hint="`inboxsync sandbox --help` lists them."
            )
        is_list = get_origin(_type_of(kind, name)) is tuple
        changes[name] = _checked(
            kind, name, value.split(",") if is_list else value, shown=f"{switch} {text!r}"
        )
    return changes


def _checked(kind: type, name: str, value: object, *, shown: str) -> object:
    """This value of a field, as its type declares it; a text is converted."""
    try:
        return getattr(msgspec.convert({name: value}, kind, strict=False), name)
    except msgspec.ValidationError as error:
        choices = get_args(_type_of(kind, name)) if get_origin(_type_of(kind, name)) is Literal else ()
        if choices:
            why = f"expected one of {', '.join(map(str, choices))}"
        else:
            why = re.sub(r"( \| null|, got .*| - at .*)", "", str(error)[:1].lower() + str(error)[1:])
            for technical, plain in _KINDS.items():
                why = why.replace(technical, plain)
        raise SettingsInvalid(f"{shown}: {why}.", hint="`inboxsync sandbox --help` explains each.") from None


def _type_of(kind: type, name: str) -> object:
    return next(each.type for each in fields(kind) if each.name == name)


def _read_range(text: str) -> tuple[int, int]:
    fewest, _, most = text.partition(":")
    if not (fewest.isdecimal() and most.isdecimal() and int(fewest) <= int(most)):
        raise SettingsInvalid(f"--messages {text!r} is not a range.", hint="Write it as 1:40.")
    return int(fewest), int(most)


def _read_folders(asked: Iterable[str]) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for text in asked:
        name, _, count = text.partition("=")
        if not (name.strip() and count.isdecimal() and count.isascii()):
            raise SettingsInvalid(f"--folder {text!r} has no number.", hint="Write it as spam=40.")
        if name.lower() == "inbox":
            raise SettingsInvalid("The inbox is what --conversations fills.")
        sizes[name.strip().lower()] = int(count)
    if len(sizes.keys() - _PAGE_FOLDERS) > _MOST_FOLDERS:
        raise SettingsInvalid(f"There is room for {_MOST_FOLDERS} folders beside other, page_done and spam.")
    return sizes
