"""Recordings: every frame, the light that was really on, and every decision, in one HDF5 file."""

from lsm.record._store import unborn
from lsm.record.ahead import AheadRecorder
from lsm.record.continued import ContinuedMicroscope
from lsm.record.hdf5 import Recorder
from lsm.record.reading import Recording, open_record
from lsm.record.verify import Verification, verify_record

__all__ = [
    "AheadRecorder",
    "ContinuedMicroscope",
    "Recorder",
    "Recording",
    "Verification",
    "open_record",
    "unborn",
    "verify_record",
]
