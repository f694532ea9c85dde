"""`inboxsync sandbox`."""

from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any

import typer

from inboxsync.errors import InboxsyncError, SettingsInvalid

_FAULT_HELP = (
    "Something that goes wrong, as NAME=VALUE; may be repeated. Shares of calls, 0 to 1: reset, html, empty, "
    "null, cut, code_1, code_2, transient, stall, short_batch, empty_batch, repeat_cursor. Others: "
    "stall_seconds=30, refuse_cursors=1, weight_limit=500, poison=3, token_dies_after=40, token_subcode=460."
)


class SandboxFailed(InboxsyncError):
    """The sandbox cannot serve."""

    code = "sandbox_failed"


def sandbox(
    *,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 0,
    conversations: Annotated[
        int | None, typer.Option(min=1, help="In each Page's inbox; 10,000, or all of the data set.")
    ] = None,
    messages: Annotated[str, typer.Option(metavar="A:B", help="Fewest and most of a conversation.")] = "1:40",
    dataset: Annotated[Path | None, typer.Option(metavar="FILE", help="Serve these conversations.")] = None,
    pages: Annotated[int, typer.Option(min=1, max=10_000, help="How many Pages.")] = 1,
    no_limits: Annotated[bool, typer.Option("--no-limits", help="No limit on the calls.")] = False,
    seed: Annotated[int, typer.Option(help="Another seed is another world.")] = 0,
    latency: Annotated[float, typer.Option(min=0, metavar="SECONDS", help="How long an answer takes.")] = 0.0,
    rate_code: Annotated[int, typer.Option(help="What a call too soon is refused with: 613 or 80006.")] = 613,
    penalty: Annotated[
        float, typer.Option(min=0, metavar="SECONDS", help="For so long a refusal refuses all that follows.")
    ] = 0.0,
    engaged_users: Annotated[
        int | None, typer.Option(min=0, help="A day's allowance is 200 x this; else one a conversation.")
    ] = None,
    cursors: Annotated[str, typer.Option(help="opaque, or index.")] = "opaque",
    time_windows: Annotated[bool, typer.Option("--time-windows", help="Honour updated_before_ms.")] = False,
    write_every: Annotated[int, typer.Option(min=0, help="Somebody writes on every so many list calls.")] = 0,
    standard_access: Annotated[
        bool, typer.Option("--standard-access", help="As without Advanced Access.")
    ] = False,
    high_volume: Annotated[
        bool, typer.Option("--high-volume", help="Listing fails, single reads work.")
    ] = False,
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

    if rate_code not in (613, 80006) or cursors not in ("opaque", "index"):
        raise SettingsInvalid("--rate-code is 613 or 80006, and --cursors is opaque or index.")
    config = SandboxConfig(
        conversations=conversations,
        messages=_read_range(messages),
        pages=pages,
        dataset=dataset,
        seed=seed,
        limits=not no_limits,
        rate_code=rate_code,
        penalty_seconds=penalty,
        engaged_users=engaged_users,
        latency_seconds=latency,
        cursors=cursors,
        time_windows=time_windows,
        standard_access=standard_access,
        high_volume=high_volume,
        require_proof=require_proof,
        write_every=write_every,
        faults=_read_faults(fault or [], Faults()),
    )
    try:
        serve(config, port=port, ends_with_parent=ends_with_parent)
    except DatasetError as error:
        raise SettingsInvalid(str(error), hint="Give --dataset a file of one JSON object a line.") from None
    except OSError as error:
        raise SandboxFailed(
            f"Port {port} cannot be served: {error.strerror}.", hint="Take another --port."
        ) from None


def _read_range(text: str) -> tuple[int, int]:
    fewest, _, most = text.partition(":")
    if not (fewest.isdecimal() and most.isdecimal() and int(fewest) <= int(most)):
        raise SettingsInvalid(f"--messages {text!r} is no range.", hint="Write it as 1:40.")
    return int(fewest), int(most)


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
            number = float(value)
        except ValueError:
            raise SettingsInvalid(f"--fault {text!r} has no number.", hint="Write it as html=0.1.") from None
        whole = "int" in str(types[name])
        changes[name] = bool(number) if "bool" in str(types[name]) else int(number) if whole else number
    return type(defaults)(**changes)
