"""The `sightline` command, and `python -m sightline`: nothing is imported before Ctrl-C has a line to say."""

import os
import sys

INTERRUPTED = 130


def main() -> None:
    """Reads the command line and does what it says; ends with the codes of docs/exit_codes.md."""
    try:
        _main()
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        sys.exit(INTERRUPTED)


def _main() -> None:
    import signal

    is_heard = signal.getsignal(signal.SIGINT) == signal.default_int_handler  # not ignored, as behind nohup
    if is_heard:
        signal.signal(signal.SIGINT, _end)
    from sightline.cli.main import main as command

    if is_heard:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    command()


def _end(number: int, frame: object) -> None:
    """Ends at once, while modules are imported: an exception there may be lost, or told as a fault of one of them."""
    try:
        os.write(2, b"Interrupted.\n")
    finally:
        os._exit(INTERRUPTED)


if __name__ == "__main__":
    main()
