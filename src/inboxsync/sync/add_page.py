"""Adds a Page: proves that its token works before anything is kept."""

import asyncio

from inboxsync.clock import Clock
from inboxsync.errors import PageNotVisible
from inboxsync.graph import Access, GraphClient
from inboxsync.model import Page, Platform
from inboxsync.store import Store, TokenSealer
from inboxsync.store.pages import upsert_page


async def add_page(
    *,
    store: Store,
    source: GraphClient,
    sealer: TokenSealer,
    clock: Clock,
    facebook_page_id: str,
    platform: Platform,
    token: str,
    name: str | None,
) -> tuple[Page, bool]:
    """Check the token against the source, seal it, add or update the Page; also returns whether it is new.

    The check is what a sync needs: who the Page is, and one conversation of its inbox.
    Raises NeedsPerson with what to do, SourceError, StoreError; then nothing is changed.
    """
    access = Access(page_id=facebook_page_id, platform=platform, account_id=facebook_page_id, token=token)
    identity = await source.fetch_page(access)
    if identity.page_id != facebook_page_id:
        raise PageNotVisible(f"The source knows {facebook_page_id} as {identity.page_id}.")
    await source.fetch_conversation_times(access, after=None, limit=1)

    def write() -> tuple[Page, bool]:
        with store.write() as connection:
            return upsert_page(
                connection,
                facebook_page_id=facebook_page_id,
                platform=platform,
                account_id=identity.account_id,
                name=name or identity.name,
                access_token_sealed=sealer.seal(token, page_id=facebook_page_id),
                now=clock.now(),
            )

    return await asyncio.to_thread(write)
