"""Medians in a row each, the ratio taken pair by pair: these machines drift."""

import statistics
from collections.abc import Mapping, Sequence


def rates(conversations: int, seconds: Mapping[str, Sequence[float]], *, against: str) -> str:
    """A Markdown table of conversations a second; `against` is the side of ratio 1."""
    lines = [
        f"| side | conversations/s (median) | min | max | of {against} |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for side, took in seconds.items():
        if not took:
            continue
        # A side may run several times a round.
        others = seconds[against]
        pairs = [(others[place * len(others) // len(took)], own) for place, own in enumerate(took)]
        ratio = statistics.median(other / own for other, own in pairs)
        speeds = sorted(conversations / each for each in took)
        shown = " | ".join(f"{each:,.0f}" for each in (statistics.median(speeds), speeds[0], speeds[-1]))
        lines.append(f"| {side} | {shown} | {ratio:.2f} |")
    return "\n".join(lines)
