"""Microscopes driven through Micro-Manager (pycromanager), described by a rig file."""

from lsm.scope.check import Finding, Report, check_rig
from lsm.scope.connect import connect, open_light, open_microscope
from lsm.scope.light_check import LightCheck, check_leds
from lsm.scope.micromanager import MicroManagerMicroscope
from lsm.scope.mm_light import MmPropertyLight, MmSlmLight
from lsm.scope.rig import RigConfig, Trigger, find_rig

__all__ = [
    "Finding",
    "LightCheck",
    "MicroManagerMicroscope",
    "MmPropertyLight",
    "MmSlmLight",
    "Report",
    "RigConfig",
    "Trigger",
    "check_leds",
    "check_rig",
    "connect",
    "find_rig",
    "open_light",
    "open_microscope",
]
