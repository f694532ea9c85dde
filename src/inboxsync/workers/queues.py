"""The lanes: what each is for, and how much room it has. Each is a queue of its own.

A run begins in `newest`, where it reads the newest conversations of its Page, goes on in `walk`, and reads
older messages in `history`. So no Page's first conversations and no catching up wait behind another's depth.
"""

from typing import Final

from inboxsync.model import TaskQueue

# So many conversations are a Page's newest.
NEWEST_CONVERSATIONS: Final = 50
# After so long a slice gives its place to others that wait for it.
TURN_SECONDS: Final = 60.0
# Whole comparisons, which cannot be taken apart: few at a time.
_VERIFIES = 2


def queue_name(queue: TaskQueue) -> str:
    """The lane's queue."""
    return f"inboxsync-{queue.value}"


def slots(queue: TaskQueue, concurrency: int) -> int:
    """How many slices of this lane a worker executes side by side."""
    match queue:
        case TaskQueue.HISTORY:
            return max(1, concurrency // 2)
        case TaskQueue.VERIFY:
            return min(_VERIFIES, concurrency)
    return concurrency
