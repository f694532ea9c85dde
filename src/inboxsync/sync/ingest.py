"""Applies fetched batches to the store.

The only module that writes archived data. A batch and the progress that follows from
it are committed together or not at all, so a crash between two batches costs one fetch
and never a gap. Nothing here talks to the network.
"""

from dataclasses import dataclass, replace
from datetime import datetime

from inboxsync.model import Batch, Counts, Following, Page, Progress, Run
from inboxsync.store import Store
from inboxsync.store.pages import get_page, set_last_synced_at
from inboxsync.store.progress import put_progress
from inboxsync.store.runs import update_run
from inboxsync.store.writes import upsert_batch


@dataclass(frozen=True, slots=True, kw_only=True)
class Ingest:
    """Writes one list of one Page."""

    store: Store
    page: Page
    folder: str

    def apply(
        self,
        batch: Batch,
        *,
        progress: Progress,
        run: Run,
        is_full: bool,
        counts_unchanged: bool,
        now: datetime,
    ) -> tuple[Run, Counts]:
        """Store a batch with the progress and the run's totals; returns both counts.

        `counts_unchanged` is False for a second look at what this run has counted already.
        Blocks; call it from a thread.
        """
        source = "initial_sync" if is_full else "incremental_sync"
        with self.store.write() as connection:
            get_page(connection, self.page.id)  # removed meanwhile: say so, rather than that a key is foreign
            written = upsert_batch(
                connection, self.page, batch.conversations, folder=self.folder, source=source, now=now
            )
            counts = written.counts
            if not counts_unchanged:
                counts = counts.without_unchanged()
            run = replace(run, counts=run.counts + counts, batches=run.batches + 1)
            put_progress(connection, self.page, self.folder, progress, now=now)
            update_run(connection, run)
            if isinstance(progress, Following):
                set_last_synced_at(connection, self.page, progress.watermark, now=now)
        return run, counts
