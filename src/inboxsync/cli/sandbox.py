"""`inboxsync sandbox`."""

from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any

import typer

from inboxsync.errors import InboxsyncError, SettingsInvalid

_FAULT_HELP = (
    "Something that goes wrong, as NAME=VALUE; may be repeated. Shares of calls, 0 to 1: reset, html, empty, "
    "null, cut, code_1, code_2, transient, stall, short_batch, empty_batch, repeat_cursor. Others: "
    "stall_seconds=30, hold_after=20, refuse_cursors=1, forget_cursors=1, endless=1, deepest_cursor=500, "
    "weight_limit=500, poison=3, poison_slots=0,5, refuse_code=368, refuse_subcode=1, token_dies_after=40, "
    "token_subcode=460."
)
_CHOICES = {
    "rate_code": (613, 80006),
    "pace": ("bucket", "rolling"),
    "cursors": ("opaque", "index"),
    "unknown_folders": ("empty", "refuse", "ignore"),
    "unreadable_messages": ("bare", "refuse", "omit"),
}
# The sandbox has room for so many beside the inbox and the three that every Page has.
_MOST_FOLDERS = 5


class SandboxFailed(InboxsyncError):
    """The sandbox cannot serve."""

    code = "sandbox_failed"


def sandbox(
    *,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 0,
    conversations: Annotated[
        int | None, typer.Option(min=1, help="In each Page's inbox; 10,000, or all of the data set.")
    ] = None,
    folder: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=COUNT", help="Conversations in another folder; may be repeated."),
    ] = None,
    unknown_folders: Annotated[
        str, typer.Option(help="What a folder the Page lacks gets: empty, refuse, or ignore (the inbox).")
    ] = "empty",
    messages: Annotated[str, typer.Option(metavar="A:B", help="Fewest and most of a conversation.")] = "1:40",
    dataset: Annotated[Path | None, typer.Option(metavar="FILE", help="Serve these conversations.")] = None,
    pages: Annotated[int, typer.Option(min=1, max=10_000, help="How many Pages.")] = 1,
    no_limits: Annotated[bool, typer.Option("--no-limits", help="No limit on the calls.")] = False,
    seed: Annotated[int, typer.Option(help="Another seed is another world.")] = 0,
    latency: Annotated[float, typer.Option(min=0, metavar="SECONDS", help="How long an answer takes.")] = 0.0,
    rate_code: Annotated[int, typer.Option(help="What a call too soon is refused with: 613 or 80006.")] = 613,
    pace: Annotated[
        str, typer.Option(help="How 2 calls a second are counted: bucket, or rolling (in any second).")
    ] = "bucket",
    penalty: Annotated[
        float, typer.Option(min=0, metavar="SECONDS", help="For so long a refusal refuses all that follows.")
    ] = 0.0,
    engaged_users: Annotated[
        int | None, typer.Option(min=0, help="A day's allowance is 200 x this; else one a conversation.")
    ] = None,
    calls_a_day: Annotated[
        int | None, typer.Option(min=1, help="A day's allowance itself, of each type of calls.")
    ] = None,
    day_seconds: Annotated[
        float, typer.Option(min=0.1, metavar="SECONDS", help="How long the rolling day is.")
    ] = 86_400.0,
    regain_minutes: Annotated[
        int | None, typer.Option(min=0, help="The time to wait that is told from 95 % on; else the true one.")
    ] = None,
    app_usage_percent: Annotated[
        int, typer.Option(min=0, max=100, help="Told of the app; 100 refuses every call with code 4.")
    ] = 0,
    cursors: Annotated[str, typer.Option(help="opaque, or index.")] = "opaque",
    cursors_die_with_token: Annotated[
        bool, typer.Option("--cursors-die-with-token", help="A token's death takes the cursors with it.")
    ] = False,
    no_gzip: Annotated[
        bool, typer.Option("--no-gzip", help="Pack no answer: a bench is not to time the packing.")
    ] = False,
    time_windows: Annotated[bool, typer.Option("--time-windows", help="Honour updated_before_ms.")] = False,
    write_every: Annotated[int, typer.Option(min=0, help="Somebody writes on every so many list calls.")] = 0,
    write_people: Annotated[int, typer.Option(min=1, help="So many of them, in as many conversations.")] = 1,
    write_burst: Annotated[int, typer.Option(min=1, help="So many messages each.")] = 1,
    write_new_every: Annotated[
        int, typer.Option(min=0, help="A conversation is begun on every so many list calls.")
    ] = 0,
    unreadable_messages: Annotated[
        str, typer.Option(help="Instagram's beyond the newest 20 in a list: bare, refuse or omit.")
    ] = "bare",
    standard_access: Annotated[
        bool, typer.Option("--standard-access", help="As without Advanced Access.")
    ] = False,
    high_volume: Annotated[
        bool, typer.Option("--high-volume", help="Listing fails, single reads work.")
    ] = False,
    token_days: Annotated[
        int | None, typer.Option(min=0, help="Page tokens end so many days from now; else never.")
    ] = None,
    require_proof: Annotated[
        bool, typer.Option("--require-proof", help="Demand an appsecret_proof.")
    ] = False,
    ends_with_parent: Annotated[bool, typer.Option("--ends-with-parent", hidden=True)] = False,
    fault: Annotated[list[str] | None, typer.Option(metavar="NAME=VALUE", help=_FAULT_HELP)] = None,
) -> None:
    """Serve a Graph API of our own, to try things on: Pages, conversations, limits, faults.

    Prints one JSON line first, {"url", "port", "page_id", "token", "pages": [...]}, then
    serves until it is stopped. The same switches give the same world every time.
    """
    # Imported here: no other command needs a server.
    from inboxsync.sandbox import DatasetError, Faults, SandboxConfig, serve  # noqa: PLC0415

    chosen = {
        "rate_code": rate_code,
        "pace": pace,
        "cursors": cursors,
        "unknown_folders": unknown_folders,
        "unreadable_messages": unreadable_messages,
    }
    for name, value in chosen.items():
        if value not in _CHOICES[name]:
            choices = ", ".join(map(str, _CHOICES[name]))
            raise SettingsInvalid(f"--{name.replace('_', '-')} is one of {choices}.")
    config = SandboxConfig(
        conversations=conversations,
        folders=_read_folders(folder or []),
        unknown_folders=unknown_folders,
        messages=_read_range(messages),
        pages=pages,
        dataset=dataset,
        seed=seed,
        limits=not no_limits,
        rate_code=rate_code,
        pace=pace,
        penalty_seconds=penalty,
        engaged_users=engaged_users,
        calls_a_day=calls_a_day,
        day_seconds=day_seconds,
        regain_minutes=regain_minutes,
        app_usage_percent=app_usage_percent,
        latency_seconds=latency,
        cursors=cursors,
        cursors_die_with_token=cursors_die_with_token,
        gzip=not no_gzip,
        time_windows=time_windows,
        standard_access=standard_access,
        high_volume=high_volume,
        require_proof=require_proof,
        token_days=token_days,
        write_every=write_every,
        write_people=write_people,
        write_burst=write_burst,
        write_new_every=write_new_every,
        unreadable_messages=unreadable_messages,
        faults=_read_faults(fault or [], Faults()),
    )
    try:
        serve(config, port=port, ends_with_parent=ends_with_parent)
    except DatasetError as error:
        raise SettingsInvalid(
            str(error), hint="Correct that, or give --dataset another file of one JSON object a line."
        ) from None
    except OSError as error:
        raise SandboxFailed(
            f"Port {port} cannot be served: {error.strerror}.", hint="Take another --port."
        ) from None


def _read_range(text: str) -> tuple[int, int]:
    fewest, _, most = text.partition(":")
    if not (fewest.isdecimal() and most.isdecimal() and int(fewest) <= int(most)):
        raise SettingsInvalid(f"--messages {text!r} is no range.", hint="Write it as 1:40.")
    return int(fewest), int(most)


def _read_folders(asked: list[str]) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for text in asked:
        name, _, count = text.partition("=")
        if not (name.strip() and count.isdecimal() and count.isascii()):
            raise SettingsInvalid(f"--folder {text!r} has no number.", hint="Write it as spam=40.")
        if name.lower() == "inbox":
            raise SettingsInvalid("The inbox is what --conversations fills.")
        sizes[name.strip().lower()] = int(count)
    if len(sizes.keys() - {"other", "page_done", "spam"}) > _MOST_FOLDERS:
        raise SettingsInvalid(f"There is room for {_MOST_FOLDERS} folders beside other, page_done and spam.")
    return sizes


def _read_faults(asked: list[str], defaults: Any) -> Any:  # noqa: ANN401 - the sandbox's Faults, imported late
    types = {field.name: field.type for field in fields(defaults)}
    changes: dict[str, Any] = {}
    for text in asked:
        name, _, value = text.partition("=")
        if name not in types:
            raise SettingsInvalid(
                f"There is no fault {name!r}.", hint="`inboxsync sandbox --help` lists them."
            )
        try:
            changes[name] = _read_value(value, str(types[name]))
        except ValueError:
            raise SettingsInvalid(f"--fault {text!r} has no number.", hint="Write it as html=0.1.") from None
        if types[name] in (float, "float") and not name.endswith("_seconds") and not 0 <= changes[name] <= 1:
            raise SettingsInvalid(
                f"--fault {text!r} is no share of the calls.", hint="Shares lie between 0 and 1: html=0.1."
            )
    return type(defaults)(**changes)


def _read_value(text: str, kind: str) -> object:
    """As a switch of this type has it. Raises ValueError."""
    if "tuple" in kind:
        return tuple(int(each) for each in text.split(","))
    number = float(text)
    return bool(number) if "bool" in kind else int(number) if "int" in kind else number
