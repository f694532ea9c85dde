"""Draws what `scale.py --notes` has noted: conversations a second and memory against rows.

    .venv-bench/bin/python bench/curve.py docs/scale.png NOTES...

Needs matplotlib, in the environment of the benches alone.
"""

import sys
from itertools import pairwise
from pathlib import Path

import matplotlib as mpl

mpl.use("agg")
from matplotlib import pyplot as plt

_POINTS = 60


def main() -> None:
    """One line a file in each of two pictures, one above the other."""
    target, *files = map(Path, sys.argv[1:])
    figure, (speed, memory) = plt.subplots(2, 1, figsize=(8, 6), sharex=True)
    for path in files:
        lines = [tuple(map(float, line.split())) for line in path.read_text(encoding="ascii").splitlines()]
        step = max(1, len(lines) // _POINTS)
        points = [(0.0, 0.0, 0.0, lines[0][3]), *lines[step - 1 :: step]]
        name = path.stem.split("-")[1]
        rows = [each[0] for each in points[1:]]
        pairs = list(pairwise(points))
        speed.plot(rows, [(b[0] - a[0]) / (b[1] - a[1]) for a, b in pairs], label=f"{name}, by the clock")
        own = [(b[0] - a[0]) / (b[2] - a[2]) for a, b in pairs]
        speed.plot(rows, own, linestyle=":", label=f"{name}, by our processor time")
        memory.plot(rows, [each[3] for each in points[1:]], label=name)
    for axes, label in ((speed, "conversations a second"), (memory, "memory of the sync, MB")):
        axes.set_ylabel(label)
        axes.set_ylim(bottom=0)
        axes.grid(visible=True, alpha=0.3)
        axes.legend(loc="lower right", fontsize="small", ncols=2)
    memory.set_ylim(top=260)
    memory.axhline(250, color="grey", linewidth=0.8)
    memory.set_xlabel("conversations stored, ten messages each")
    memory.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    figure.tight_layout()
    figure.savefig(target, dpi=110)


if __name__ == "__main__":
    main()
