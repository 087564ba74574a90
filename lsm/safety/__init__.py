"""What a rig may do, and the guard that refuses the rest before anything moves or shines."""

from lsm.safety.interlock import Interlock
from lsm.safety.limits import Limits

__all__ = ["Interlock", "Limits"]
