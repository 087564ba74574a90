"""What a rig may do, and the guard that refuses the rest before anything moves or shines."""

from lsm.safety.device_focus import DeviceFocus, guarded_device_focus, refuse_focus_lock
from lsm.safety.interlock import Interlock
from lsm.safety.light import Clock
from lsm.safety.limits import Interval, Limits, Obstacle

__all__ = [
    "Clock",
    "DeviceFocus",
    "Interlock",
    "Interval",
    "Limits",
    "Obstacle",
    "guarded_device_focus",
    "refuse_focus_lock",
]
