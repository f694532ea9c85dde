"""`python -m inboxsync` is the `inboxsync` command."""

from inboxsync.cli import main

if __name__ == "__main__":
    main()
