"""Adds a Page: proves that its token works before anything is kept."""

from dataclasses import replace
from datetime import datetime

from inboxsync.errors import NeedsPerson, PageNotVisible, SettingsInvalid, SourceRefused
from inboxsync.graph import Access, GraphClient, PageIdentity
from inboxsync.model import Page, Platform
from inboxsync.store import Store, TokenCipher
from inboxsync.store.state.pages import upsert_page
from inboxsync.store.state.schedules import make_due


async def check_token(
    source: GraphClient, facebook_page_id: str, *, platform: Platform, token: str
) -> PageIdentity:
    """Do what a sync needs: ask who the Page is, and for one conversation of its inbox.

    Raises NeedsPerson with what to do, or another SourceError.
    """
    access = Access(page_id=facebook_page_id, platform=platform, account_id=facebook_page_id, token=token)
    identity = await source.fetch_page(access)
    if identity.page_id != facebook_page_id:
        raise PageNotVisible(f"The source knows {facebook_page_id} as {identity.page_id}.")
    await source.fetch_conversation_times(access, after=None, limit=1)
    try:
        return replace(identity, token_expires_at=await source.fetch_token_end(access))
    except (NeedsPerson, SourceRefused) as refusal:
        # The Page's own token has just worked: it is the app's word that is not taken.
        raise SettingsInvalid(
            f"Meta tells INBOXSYNC_APP_ID and INBOXSYNC_APP_SECRET nothing of this token: {refusal.message}",
            hint="Set both to those of the app that the token is of, or neither.",
        ) from None


def keep_page(
    store: Store,
    token_cipher: TokenCipher,
    identity: PageIdentity,
    *,
    platform: Platform,
    token: str,
    name: str | None,
    now: datetime,
) -> tuple[Page, bool]:
    """Seal a checked token and add or update its Page; also returns whether it is new."""
    with store.write() as connection:
        page, is_new = upsert_page(
            connection,
            facebook_page_id=identity.page_id,
            platform=platform,
            account_id=identity.account_id,
            name=name or identity.name,
            access_token_encrypted=token_cipher.encrypt(token, page_id=identity.page_id),
            now=now,
            token_expires_at=identity.token_expires_at,
        )
        # Its token may have died in mid-run, and its interval be a day.
        make_due(connection, page.id, now=now)
    return page, is_new
