"""Every curl of docs/api.md works as it is written."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from inboxsync.api.problems import RequestError, status_of_code
from inboxsync.model import Scope
from tests.api.fixtures import Live
from tests.fixtures import PATIENCE_SECONDS

SANDBOX = {"pages": 1, "conversations": 12}
PAGE = (Path(__file__).parents[2] / "docs" / "api.md").read_text(encoding="utf-8")
# As a reader's terminal has it, but loud where an answer is no success.
_PAGE = "$INBOXSYNC/api/v1/pages/$PAGE"
CURL = 'curl() { command curl -sS --fail-with-body --max-time 300 "$@" && echo; }\n'


def blocks() -> list[str]:
    found = re.findall(r"```sh\n(.*?)```", PAGE, flags=re.DOTALL)
    return [block for block in found if "export " not in block]


def test_every_curl_of_the_docs_works(live: Live, tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    page = live.page()
    api = live.api
    run = api.post("/api/conversations/sync", json=live.asked(page)).json()["runId"]
    conversation = api.get("/api/v1/conversations").json()["items"][0]["id"]
    environment = os.environ | {
        "INBOXSYNC": api.url,
        "KEY": api.key(Scope.ADMIN)["Authorization"].removeprefix("Bearer "),
        "META": page.facebook_page_id,
        "TOKEN": live.served.world.pages[0].token,
        "PAGE": page.id,
        "RUN": run,
        "CONVERSATION": conversation,
    }
    wanted = blocks()
    assert len(wanted) >= 10
    # The Page is removed last.
    wanted.sort(key=lambda block: f'DELETE "{_PAGE}"' in block)
    for block in wanted:
        # A verification waits for the sync before it, the report for the verification.
        script = re.sub(
            r"^(curl .*/(?:verify|verification)\".*)$",
            r"for _ in $(seq 200); do \1 && break; sleep 0.3; done",
            block,
            flags=re.MULTILINE,
        )
        done = subprocess.run(
            ["bash", "-e", "-c", CURL + script],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )
        assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"


def test_every_code_in_the_docs_exists_and_has_that_status() -> None:
    (table,) = re.findall(r"\| status \| `code` \|\n(.*?)\n\n", PAGE, flags=re.DOTALL)
    others = {"not_found", "method_not_allowed", "body_too_slow"}
    told = set()
    for row in table.splitlines()[1:]:
        statuses, codes = row.strip("|").split("|", 1)
        for code in set(re.findall(r"`(\w+)`", codes)) - others - {"errors"}:
            assert str(status_of_code(code)) in statuses, code
            told.add(code)
    assert {kind.code for kind in kinds_of(RequestError)} <= told


def kinds_of(error: type[RequestError]) -> set[type[RequestError]]:
    return {each for kind in error.__subclasses__() for each in {kind, *kinds_of(kind)}}
