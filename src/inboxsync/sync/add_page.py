"""Adds a Page: checks that its token works before anything is stored."""

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
    """Do what a sync needs: ask for the Page, and for one conversation of its inbox.

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
        # The Page's own token has just worked, so it is the app's id and secret that Meta refuses.
        raise SettingsInvalid(
            f"Meta refuses INBOXSYNC_APP_ID and INBOXSYNC_APP_SECRET for this token: {refusal.message}",
            hint="Set both to those of the app that the token belongs to, or set neither.",
        ) from None


def keep_page(
    store: Store,
    token_cipher: TokenCipher,
    identity: PageIdentity,
    *,
    platform: Platform,
    token: str,
    name: str | None,
    source_url: str | None,
    now: datetime,
) -> tuple[Page, bool]:
    """Encrypt a checked token and add or update its Page; also returns whether it is new."""
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
            source_url=source_url,
        )
        # A dead token may have ended its last run, and its interval may be a day.
        make_due(connection, page.id, now=now)
    return page, is_new
