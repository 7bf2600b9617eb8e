"""The `sightline` command, and `python -m sightline`: nothing is imported before Ctrl-C has a line to say."""

import sys


def main() -> None:
    """Reads the command line and does what it says; ends with the codes of docs/exit_codes.md."""
    try:
        from sightline.cli.main import main as command

        command()
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
