"""Readers that learn: a small network per frame, what it says summed over captures, in whole numbers throughout."""

from lsm.agent.adaptive.readers.frames import BookFrames, turned_stack
from lsm.agent.adaptive.readers.network import SetNetwork, SetReaderConfig
from lsm.agent.adaptive.readers.quantise import quantised
from lsm.agent.adaptive.readers.set_reader import SetReader, load_reader, save_reader
from lsm.agent.adaptive.readers.training import train_set_reader

__all__ = [
    "BookFrames",
    "SetNetwork",
    "SetReader",
    "SetReaderConfig",
    "load_reader",
    "quantised",
    "save_reader",
    "train_set_reader",
    "turned_stack",
]
