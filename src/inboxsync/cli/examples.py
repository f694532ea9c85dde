"""An example for the help of each command, which a test parses.

In one table, so that what they have in common can be seen; each help ends with its own.
"""

from typing import Final

import typer

# By the words of the command; "" is inboxsync itself.
EXAMPLES: Final = {
    "": "inboxsync demo",
    "sync": "inboxsync sync 104567890123456 --history all",
    "verify": "inboxsync verify 104567890123456 --deep",
    "search": "inboxsync search 'refund OR return' --since 30d",
    "serve": "inboxsync serve --port 8080",
    "worker": "inboxsync worker --concurrency 4",
    "demo": "inboxsync demo --serve",
    "sandbox": "inboxsync sandbox --port 8099 --conversations 500",
    "pages": "inboxsync pages list --sort messages",
    "pages add": "inboxsync pages add 104567890123456 --token-stdin < token.txt",
    "pages list": "inboxsync pages list --problem",
    "pages show": "inboxsync pages show 'My shop'",
    "pages set": "inboxsync pages set 104567890123456 --every 5m",
    "pages remove": "inboxsync pages remove 104567890123456",
    "export": "inboxsync export contacts -o contacts.xlsx",
    "export contacts": "inboxsync export contacts -o contacts.xlsx",
    "export conversations": "inboxsync export conversations -o chats.csv",
    "export messages": "inboxsync export messages --since 30d -o messages.csv",
    "export html": "inboxsync export html 104567890123456 -o inbox.html",
    "export check": "inboxsync export check contacts.csv",
    "report": "inboxsync report activity --since 4w",
    "report response-times": "inboxsync report response-times --since 4w",
    "report activity": "inboxsync report activity --since 4w",
    "keys": "inboxsync keys create website --scope read",
    "keys create": "inboxsync keys create website --scope read",
    "keys list": "inboxsync keys list --json",
    "keys revoke": "inboxsync keys revoke website",
    "keys rotate-secret": "inboxsync keys rotate-secret",
    "runs": "inboxsync runs --limit 50",
    "runs show": "inboxsync runs show 0197c2f4-8a51-7c3e-9d20-5b1f6e7a8c90 --follow",
    "runs cancel": "inboxsync runs cancel 0197c2f4-8a51-7c3e-9d20-5b1f6e7a8c90",
    "db": "inboxsync db check",
    "db upgrade": "inboxsync db upgrade",
    "db check": "inboxsync db check --json",
    "db copy": "inboxsync db copy old.db new.db",
}


def show_examples(app: typer.Typer, *words: str) -> None:
    """End the help of each command of this group, and of the groups in it, with its example."""
    for command in app.registered_commands:
        callback = command.callback.__name__ if command.callback else ""
        command.epilog = _shown(*words, command.name or callback)
    for group in app.registered_groups:
        if group.typer_instance is not None and isinstance(group.name, str):
            group.epilog = _shown(*words, group.name)
            show_examples(group.typer_instance, *words, group.name)


def _shown(*words: str) -> str | None:
    example = EXAMPLES.get(" ".join(words))
    return f"Example: {example}" if example else None
