"""docs/tutorial.md is a shell session that works, and prints what it shows."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.system

ROOT = Path(__file__).parents[2]
_STEP = re.compile(r"```sh\n(.*?)```(?:\n\n```text\n(.*?)```)?", re.DOTALL)
_MARK = "=== end of a step ==="


def steps() -> list[tuple[str, str]]:
    """The tutorial's commands, each with the output it shows."""
    text = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
    assert text.count("```sh\n") == len(_STEP.findall(text))
    return _STEP.findall(text)


def test_every_command_of_the_tutorial_does_what_it_says(tmp_path: Path) -> None:
    if not (ROOT / ".venv" / "bin" / "inboxsync").exists():
        pytest.skip("the tutorial is about a checkout with its own .venv")
    assert Path(sys.prefix) == ROOT / ".venv"
    script = "set -euo pipefail\n" + "".join(
        f"{commands}printf '\\n%s\\n' '{_MARK}'\n" for commands, _ in steps()
    )
    kept = {name: value for name, value in os.environ.items() if not name.startswith("INBOXSYNC_")}
    ended = subprocess.run(
        [shutil.which("bash") or "bash", "-c", script],
        cwd=ROOT,
        env=kept | {"TMPDIR": str(tmp_path), "HOME": str(tmp_path), "LC_ALL": "C.UTF-8"},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    outputs = ended.stdout.split(f"\n{_MARK}\n")
    assert len(outputs) == len(steps()) + 1
    for (commands, shown), output in zip(steps(), outputs, strict=False):
        if shown:
            pattern = re.escape(shown.strip()).replace(r"\.\.\.", ".*?")
            # What a file for Excel begins with is not to be seen.
            assert re.fullmatch(pattern, output.replace("\ufeff", "").strip(), re.DOTALL), (
                f"{commands}\n{output}"
            )
