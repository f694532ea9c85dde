"""The `inboxsync` command: parses, calls the engine, renders. Nothing is decided here."""

from inboxsync.cli.app import main

__all__ = ["main"]
