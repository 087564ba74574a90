"""Microscopes driven through Micro-Manager (pycromanager), described by a rig file."""

from lsm.scope.connect import connect, open_light, open_microscope
from lsm.scope.micromanager import MicroManagerMicroscope
from lsm.scope.rig import RigConfig, Trigger, find_rig

__all__ = ["MicroManagerMicroscope", "RigConfig", "Trigger", "connect", "find_rig", "open_light", "open_microscope"]
