"""The command `lsm`: one file per command, thin."""

import sys
from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; see lsm.cli.app.main. Ctrl-C ends in a word also while the modules are read."""
    try:
        from lsm.cli.app import main as run
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        sys.exit(130)
    run(arguments)
