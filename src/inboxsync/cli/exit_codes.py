"""Exit codes: stable, for scripts."""

from collections.abc import Iterable

from inboxsync.errors import (
    ApiKeyNameTaken,
    ApiKeyUnknown,
    InboxsyncError,
    NeedsPerson,
    PageBusy,
    PageUnknown,
    RunUnknown,
    SearchInvalid,
    SettingsInvalid,
)
from inboxsync.model import Run, RunStatus

COMPLETE = 0
FAILED = 1
USAGE = 2
PARTIAL = 3
NEEDS_PERSON = 4

_USAGE_ERRORS = (SettingsInvalid, PageUnknown, RunUnknown, SearchInvalid, ApiKeyNameTaken, ApiKeyUnknown)
_NEEDS_PERSON_CODES = frozenset({kind.code for kind in NeedsPerson.__subclasses__()})


def exit_code(error: InboxsyncError) -> int:
    """The code for an error that ended a command."""
    if isinstance(error, NeedsPerson):
        return NEEDS_PERSON
    return USAGE if isinstance(error, _USAGE_ERRORS) else FAILED


def exit_code_of_runs(runs: Iterable[Run]) -> int:
    """The code for runs: of several, what asks most of the caller (a person, then a look, then a repeat)."""
    codes = {_exit_code_of_run(run) for run in runs}
    return next((code for code in (NEEDS_PERSON, FAILED, PARTIAL) if code in codes), COMPLETE)


def _exit_code_of_run(run: Run) -> int:
    if any(problem.code in _NEEDS_PERSON_CODES for problem in run.problems):
        return NEEDS_PERSON
    if any(problem.code == PageBusy.code for problem in run.problems):
        return COMPLETE  # another process is at it: nothing for the caller to do
    if run.status is RunStatus.COMPLETE:
        return COMPLETE
    is_failed = run.status in (RunStatus.FAILED, RunStatus.INTERRUPTED)
    return FAILED if is_failed else PARTIAL
