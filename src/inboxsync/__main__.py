"""The `inboxsync` command, and `python -m inboxsync`."""

import sys

_INTERRUPTED = 130


def main() -> None:
    """Run the command line."""
    try:
        # The import takes most of a second: Ctrl-C in that time should not print a traceback.
        from inboxsync.cli import main as run  # noqa: PLC0415
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)
    run()


if __name__ == "__main__":
    main()
