"""The command `lsm`: one file per command, thin."""

from lsm.cli.main import main

__all__ = ["main"]
