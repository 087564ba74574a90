"""Recordings: every frame, the light that was really on, and every decision, in one HDF5 file."""

from lsm.record.continued import ContinuedMicroscope
from lsm.record.hdf5 import Recorder
from lsm.record.reading import Recording, open_record

__all__ = ["ContinuedMicroscope", "Recorder", "Recording", "open_record"]
