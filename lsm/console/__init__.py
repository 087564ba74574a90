"""The console: a rig seen and steered from a browser or a program, one owner of the hardware behind it."""

from lsm.console.client import ConsoleClient
from lsm.console.serve import ConsoleOptions, serve

__all__ = ["ConsoleClient", "ConsoleOptions", "serve"]
