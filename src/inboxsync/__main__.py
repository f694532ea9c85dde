"""The `inboxsync` command, which `python -m inboxsync` is too."""

import sys

_INTERRUPTED = 130


def main() -> None:
    """Run the command line."""
    try:
        # It takes most of a second, and whoever presses Ctrl-C in it wants no traceback.
        from inboxsync.cli import main as run  # noqa: PLC0415
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)
    run()


if __name__ == "__main__":
    main()
