"""Builds stores, clients and syncs from the settings; nothing else constructs them."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from datetime import timedelta
from functools import cached_property
from pathlib import Path

from sqlalchemy import Engine as Database

from inboxsync import __version__
from inboxsync.clock import Clock, SystemClock
from inboxsync.errors import SettingsInvalid
from inboxsync.graph import Access, App, GraphClient, RateLimiter, RetryPolicy
from inboxsync.model import History, Mode, Page, Platform, Quota
from inboxsync.settings import META_URL, Settings
from inboxsync.store import Store, TokenCipher, open_queue_database
from inboxsync.store.state.credentials import TokensEncrypted, encrypt_tokens_again
from inboxsync.store.state.pages import get_encrypted_token, list_quotas, put_quota
from inboxsync.sync import (
    Compared,
    Derive,
    Derived,
    Listener,
    PageSync,
    PageVerify,
    Stop,
    SyncOptions,
    TaskOptions,
    check_token,
    ignore,
    keep_page,
)

_PATIENCE_SECONDS = 30.0


class Engine:
    """One configured inboxsync. Close it when done."""

    def __init__(self, settings: Settings, *, clock: Clock | None = None) -> None:
        self.settings = settings
        self.clock: Clock = clock or SystemClock(settings.zone)
        self._token_cipher: TokenCipher | None = None

    @cached_property
    def store(self) -> Store:
        """The user's database, opened on first use."""
        return self.open_store()

    def open_store(self, *, upgrade: bool | None = None) -> Store:
        """Open the user's database; `upgrade` as in `Store.open`."""
        settings = self.settings
        return Store.open(settings.database, schema_name=settings.database_schema, upgrade=upgrade)

    @contextmanager
    def stores_to_copy(
        self, source_url: str, target_url: str, *, source_schema: str | None, target_schema: str | None
    ) -> Iterator[tuple[Store, Store]]:
        """Two open databases: an existing one, and one that is created if it does not exist.

        Without a name the schema is the one of the settings.
        """
        names = (
            source_schema or self.settings.database_schema,
            target_schema or self.settings.database_schema,
        )
        if (source_url, names[0]) == (target_url, names[1]):
            raise SettingsInvalid("Source and target are the same database.", hint="Name another target.")
        with (
            closing(Store.open_existing(source_url, schema_name=names[0])) as source,
            closing(Store.open(target_url, schema_name=names[1])) as target,
        ):
            yield source, target

    def token_cipher(self, *, may_make_key: bool = False) -> TokenCipher:
        """Encrypts tokens with the key of the environment, else of the key file. Either is read once."""
        if self._token_cipher is None:
            secret = self.settings.secret_key
            self._token_cipher = (
                TokenCipher.from_secret(secret.get_secret_value())
                if secret is not None
                else TokenCipher.from_file(self.settings.key_file, may_make=may_make_key)
            )
        return self._token_cipher

    def rotate_secret(self) -> tuple[TokensEncrypted, Path | None]:
        """Encrypt every token with another key, all or none: INBOXSYNC_NEW_SECRET_KEY, else a new key file.

        Returns the counts, and the key file if that has the new key. If it is killed, run it again: it
        continues with the same new key. Raises SettingsInvalid where no new key is named.
        """
        settings, old = self.settings, self.token_cipher(may_make_key=True)
        prepared = None
        if settings.new_secret_key is not None:
            new = TokenCipher.from_secret(settings.new_secret_key.get_secret_value())
        elif settings.secret_key is not None:
            raise SettingsInvalid(
                "INBOXSYNC_NEW_SECRET_KEY is not set.",
                hint="Set it to the new key, for example to the output of `openssl rand -base64 32`.",
            )
        else:
            prepared = settings.key_file.with_name(f"{settings.key_file.name}.new")
            new = TokenCipher.from_file(prepared, may_make=True)
        with self.store.write() as connection:
            counts = encrypt_tokens_again(connection, old=old, new=new)
        if prepared is not None:
            prepared.replace(settings.key_file)
        self._token_cipher = new
        return counts, settings.key_file if prepared is not None else None

    @asynccontextmanager
    async def source(self, *, remembers: bool = True) -> AsyncIterator[GraphClient]:
        """A client of the Graph API; its connections are kept alive while the context lasts.

        `remembers`: it knows until when Meta blocks calls from earlier processes, and stores it for later
        ones. Otherwise it waits no longer than a person at a prompt would.
        """
        # Imported here: it takes a tenth of a second, and not every command needs the network.
        from inboxsync.graph.transport import open_transport  # noqa: PLC0415

        settings = self.settings
        keep = self._keep_quota if remembers else None
        rate_limiter = RateLimiter(
            clock=self.clock,
            calls_per_second=settings.calls_per_second or None,
            keep=keep,
            patience_seconds=None if remembers else _PATIENCE_SECONDS,
        )
        if remembers:
            rate_limiter.restore(await asyncio.to_thread(self._stored_quotas))
        async with open_transport(
            f"{settings.graph_url}/{settings.graph_version}",
            headers={"User-Agent": f"inboxsync/{__version__}", "Accept": "application/json"},
            timeout_seconds=settings.timeout_seconds,
            largest_bytes=settings.largest_answer_mb * 1_000_000,
        ) as http:
            yield GraphClient(
                http=http,
                rate_limiter=rate_limiter,
                policy=RetryPolicy(
                    attempts=settings.retry_attempts, base_seconds=settings.retry_base_seconds
                ),
                clock=self.clock,
                version=settings.graph_version,
                app=self._app(),
            )

    async def add_page(
        self, facebook_page_id: str, *, platform: Platform, token: str, name: str | None
    ) -> tuple[Page, bool]:
        """Check, encrypt and store a Page's token; also returns whether the Page is new.

        A token that fails the check leaves nothing behind: neither a database nor a key.
        """
        async with self.source(remembers=False) as source:
            identity = await check_token(source, facebook_page_id, platform=platform, token=token)
        return await asyncio.to_thread(
            keep_page,
            self.store,
            self.token_cipher(may_make_key=True),
            identity,
            platform=platform,
            token=token,
            name=name,
            source_url=self.settings.graph_url if self.settings.graph_url != META_URL else None,
            now=self.clock.now(),
        )

    def page_sync(
        self,
        source: GraphClient,
        page: Page,
        *,
        options: SyncOptions,
        stop: Stop,
        listener: Listener,
        task_options: TaskOptions | None = None,
    ) -> PageSync:
        """A sync of one Page, ready to run; with `task_options` one task of it, for a worker."""
        return PageSync(
            store=self.store,
            source=source,
            clock=self.clock,
            page=page,
            open_access=self._open_access,
            options=options,
            stop=stop,
            listener=listener,
            task_options=task_options,
        )

    def sync_options(
        self,
        *,
        mode: Mode = Mode.AUTO,
        messages: int = 10,
        max_conversations: int | None = None,
        history: History | None = None,
        wait: bool = False,
    ) -> SyncOptions:
        """The options that a caller chose, with the rest from the settings."""
        return SyncOptions(
            mode=mode,
            messages=messages,
            max_conversations=max_conversations,
            history=history,
            wait=wait,
            stall_calls=self.settings.stall_calls,
            source_away_seconds=self.settings.source_away_seconds,
            folder_interval=timedelta(seconds=self.settings.folder_interval_seconds),
        )

    def derive(
        self, store: Store | None = None, *, max_seconds: float | None = None, unsettled: int = 0
    ) -> Derived:
        """Bring search, contacts and all other derived data up to date; blocks.

        `store` is another database than the engine's own; `unsettled` is what the pass before has left.
        """
        derive = Derive(store=store or self.store, clock=self.clock, region=self.settings.default_region)
        return derive.run(max_seconds=max_seconds, unsettled=unsettled)

    def page_verify(
        self,
        source: GraphClient,
        page: Page,
        *,
        stop: Stop,
        is_deep: bool,
        on_batch: Callable[[Compared], None],
        listener: Listener = ignore,
        owner: str | None = None,
    ) -> PageVerify:
        """A verification of one Page, ready to run; `owner` is who holds the Page's lease.

        `listener` is told of waits and of calls that are made again.
        """
        return PageVerify(
            store=self.store,
            source=source,
            clock=self.clock,
            page=page,
            open_access=self._open_access,
            stop=stop,
            stall_calls=self.settings.stall_calls,
            source_away_seconds=self.settings.source_away_seconds,
            is_deep=is_deep,
            on_batch=on_batch,
            listener=listener,
            owner=owner,
        )

    def stop(self, *, max_duration_seconds: float | None = None) -> Stop:
        """What can end a run early."""
        return Stop(clock=self.clock, max_duration_seconds=max_duration_seconds)

    async def refresh_quotas(self, source: GraphClient) -> None:
        """Learn which blocks by Meta other processes have met."""
        source.rate_limiter.restore(await asyncio.to_thread(self._stored_quotas))

    def queue_database(self) -> tuple[Database, str | None]:
        """The database of the workers' queue, and its schema.

        On PostgreSQL it is the same database, with a schema of its own. On SQLite it is a second file: both
        are written all the time, and SQLite allows one writer for each file.
        """
        return open_queue_database(self.settings.database, schema_name=self.settings.database_schema)

    def close(self) -> None:
        """Close the database, if it was opened."""
        if "store" in self.__dict__:
            self.store.close()

    def _app(self) -> App | None:
        secret = self.settings.app_secret
        return App(secret=secret.get_secret_value(), id=self.settings.app_id) if secret else None

    def _stored_quotas(self) -> list[Quota]:
        with self.store.read() as connection:
            return list_quotas(connection, blocked_after=self.clock.now())

    async def _keep_quota(self, quota: Quota) -> None:
        def write() -> None:
            with self.store.write() as connection:
                put_quota(connection, quota, now=self.clock.now())

        await asyncio.to_thread(write)

    def _open_access(self, page: Page) -> Access:
        """Raises TokenUndecryptable where the token was encrypted with another key."""
        with self.store.read() as connection:
            encrypted = get_encrypted_token(connection, page)
        return Access(
            page_id=page.facebook_page_id,
            platform=page.platform,
            account_id=page.account_id,
            token=self.token_cipher().decrypt(encrypted, page_id=page.facebook_page_id),
            source=self._own_source(page),
        )

    def _own_source(self, page: Page) -> str | None:
        """Where a Page is read that was added from a sandbox: Meta is never asked for it."""
        if page.source_url is None or self.settings.graph_url != META_URL:
            return None
        return f"{page.source_url}/{self.settings.graph_version}"
