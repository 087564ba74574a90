"""The console: a rig seen and steered from a browser or a program, one owner of the hardware behind it.

What serves it is in `lsm.console.serve` and needs the extra `console`; the client needs nothing.
"""

from lsm.console.client import ConsoleClient

__all__ = ["ConsoleClient"]
