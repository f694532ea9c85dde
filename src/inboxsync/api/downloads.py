"""Sends exports: a few at once, because each keeps a transaction open until its last byte is taken.

A client that takes nothing is dropped (see `middleware`), and its place is free again.
"""

import weakref
from datetime import UTC
from threading import BoundedSemaphore
from typing import Final

from starlette.concurrency import run_in_threadpool
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from inboxsync.api.problems import ExportsBusy
from inboxsync.engine import Engine
from inboxsync.reports import Export, ExportRequest

# Of the connections to the database most stay free for other requests.
AT_ONCE: Final = 4


class Downloads:
    """The exports that one process sends."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._places = BoundedSemaphore(AT_ONCE)

    def begin(self, request: ExportRequest) -> StreamingResponse:
        """The answer that sends this export. Blocks until its transaction has begun.

        Raises ExportsBusy, PageUnknown, PageAmbiguous, SettingsInvalid if a library is missing, StoreError.
        """
        if not self._places.acquire(blocking=False):
            raise ExportsBusy(f"{AT_ONCE} exports are being sent already.")
        try:
            export = Export(self._engine.store, request, now=self._engine.clock.now().astimezone(UTC))
            return _Download(export, self._places)
        except BaseException:
            self._places.release()
            raise


class _Download(StreamingResponse):
    """An export on its way. Its place is free when it has ended, or was thrown away unsent."""

    def __init__(self, export: Export, places: BoundedSemaphore) -> None:
        super().__init__(
            export.async_chunks(),
            media_type=export.media_type,
            headers={
                "Content-Disposition": f'attachment; filename="{export.filename}"',
                "X-Inboxsync-Rows": str(export.rows),
            },
        )
        self._export = export
        self._free = weakref.finalize(self, places.release)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI interface."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            try:
                # For a client that went before the first byte.
                await run_in_threadpool(self._export.close)
            finally:
                self._free()
