"""A world without its cells, in one safetensors file: all that a policy needs to run on a microscope.

It holds lamps and board, optics, lights or meter, camera, brightness, rules and reader, and the digests of environment
and rig, which are checked when it is read. Nothing of the cells that were learned from is in it but what the reader
and the exposures took from them.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import Tensor

from lsm.agent.adaptive.light import LightBook, Meter
from lsm.agent.adaptive.naive import NaiveReader
from lsm.agent.adaptive.policies.checkpoint import rig_digest
from lsm.agent.adaptive.reader import Reader
from lsm.agent.adaptive.readers import SetReader
from lsm.agent.adaptive.rules import AdaptiveConfig
from lsm.agent.adaptive.source import CPU, CellSource
from lsm.agent.adaptive.world import AdaptiveWorld
from lsm.errors import ConfigError, InputError, ModelMismatch, WrongFormat
from lsm.optics import Camera, ImagingSystem
from lsm.optics.stackfile import board_arrays, board_facts, board_of
from lsm.sensing.bundle import tensors_digest
from lsm.sensing.cells import CellStack
from lsm.tensorfile import read_tensors, under, write_tensors

KIND: Final = "lsm adaptive world 1"
NAIVE, LEARNED = "naive", "set"
"""Kinds of readers."""

_HINT: Final = "name the folder that 'lsm train-policy' wrote for single cells"
_BOOK, _METER, _BOARD, _READER = "book.", "meter.", "board.", "reader."


def save_world(path: Path, world: AdaptiveWorld) -> None:
    """Write the world without its cells; the old file stays until the new one is complete.

    Raises InputError for a stack that says nothing about board or optics, ConfigError for a reader that no file holds.
    """
    stack = world.source.stack
    if stack.board is None or stack.system is None:
        raise InputError(
            f"{stack.source} says nothing about board or optics.", hint="use a stack that was computed for a board"
        )
    tensors = {"led": stack.led, "colour": stack.colour, "irradiance": world.irradiance}
    tensors |= {f"{_BOARD}{name}": values for name, values in board_arrays(stack.board).items()}
    held = {name: torch.from_numpy(np.ascontiguousarray(values)) for name, values in tensors.items()}
    light_words, light = _light_parts(world.light)
    reader_words, reader = _reader_parts(world.reader)
    held |= light | reader
    words = {
        "kind": KIND,
        "world": world.digest,
        "rig": rig_digest(world),
        "contents": tensors_digest(held),
        "board": json.dumps(board_facts(stack.board)),
        "system": stack.system.model_dump_json(),
        "side_px": json.dumps(world.source.side_px),
        "camera": world.camera.model_dump_json(),
        "flux_e_per_ms": repr(world.flux_e_per_ms),
        "config": world.config.model_dump_json(),
        "source": stack.source,
    }
    write_tensors(path, held, words | light_words | reader_words)


def load_world(path: Path, cells: CellStack | None = None) -> AdaptiveWorld:
    """The world in a file, with these cells, or with two blank ones where it is not for episodes.

    Raises FileMissing, WrongFormat for a damaged or other file, ModelMismatch for cells of another rig.
    """
    words, tensors = read_tensors(path, hint=_HINT, what="world")
    if words.get("kind") != KIND or words.get("contents") != tensors_digest(tensors):
        raise WrongFormat(f"{path} is no world of single cells, or damaged.", hint=_HINT)
    try:
        blank = _blank(words, tensors)
        world = AdaptiveWorld(
            CellSource(blank, CPU),
            _light(words, tensors),
            _reader(words, tensors),
            irradiance=tensors["irradiance"].numpy(),
            config=AdaptiveConfig.model_validate_json(words["config"]),
            camera=Camera.model_validate_json(words["camera"]),
            flux_e_per_ms=float(words["flux_e_per_ms"]),
        )
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise WrongFormat(f"{path} is no world of single cells: {error}.", hint=_HINT) from error
    if (world.digest, rig_digest(world)) != (words["world"], words["rig"]):
        raise WrongFormat(f"{path} is of another version of this program.", hint="train the policy again")
    return world if cells is None else _with_cells(world, cells, path)


def _with_cells(world: AdaptiveWorld, cells: CellStack, path: Path) -> AdaptiveWorld:
    found = replace(world, source=CellSource(cells))
    if rig_digest(found) != rig_digest(world) or cells.shape[2:] != world.source.side_px:
        raise ModelMismatch(
            f"{path} is for another rig than {cells.source}.", hint="use cells under the same board, optics and camera"
        )
    return found


def _blank(words: Mapping[str, str], tensors: Mapping[str, Tensor]) -> CellStack:
    """Two rows of nothing, one of each kind, which carry what is known of the rig."""
    led, colour = tensors["led"].numpy(), tensors["colour"].numpy()
    arrays = {name: values.numpy() for name, values in under(dict(tensors), _BOARD).items()}
    board = board_of(json.loads(words["board"]), arrays)
    return CellStack(
        np.zeros((2, len(led), *json.loads(words["side_px"])), dtype=np.float16),
        led=led,
        colour=colour,
        infected=np.array([True, False]),
        patient=np.array(["nobody", "nobody"]),
        crop=np.arange(2),
        board=board,
        system=ImagingSystem.model_validate_json(words["system"]),
        source=f"no cells, for the rig of {words['source']}",
    )


def _light_parts(light: LightBook | Meter) -> tuple[dict[str, str], dict[str, Tensor]]:
    if isinstance(light, LightBook):
        arrays = {"duty": light.duty, "exposure_ms": light.exposure_ms}
        words = {"light": "book", "names": json.dumps(light.names)}
        return words, {f"{_BOOK}{name}": torch.from_numpy(np.array(values)) for name, values in arrays.items()}
    numbers = [light.electrons, light.saturation_e, light.exposure_max_ms]
    arrays = {"mean_e_per_ms": light.mean_e_per_ms, "peak_e_per_ms": light.peak_e_per_ms, "numbers": np.array(numbers)}
    return {"light": "meter"}, {f"{_METER}{name}": torch.from_numpy(np.array(part)) for name, part in arrays.items()}


def _light(words: Mapping[str, str], tensors: Mapping[str, Tensor]) -> LightBook | Meter:
    if words["light"] == "book":
        held = under(dict(tensors), _BOOK)
        return LightBook(held["duty"].numpy(), held["exposure_ms"].numpy(), tuple(json.loads(words["names"])))
    held = under(dict(tensors), _METER)
    return Meter(held["mean_e_per_ms"].numpy(), held["peak_e_per_ms"].numpy(), *held["numbers"].tolist())


def _reader_parts(reader: Reader) -> tuple[dict[str, str], dict[str, Tensor]]:
    if isinstance(reader, SetReader):
        kind, parts = LEARNED, reader.tensors()
    elif isinstance(reader, NaiveReader):
        full_adu = torch.tensor(reader.full_adu, dtype=torch.float64)
        kind = NAIVE
        parts = {"templates": reader.templates, "slope": reader.slope, "offset": reader.offset, "full_adu": full_adu}
    else:
        raise ConfigError(
            f"A reader of the kind {type(reader).__name__} cannot be kept in a world's file.",
            hint="use the default reader, or one that 'train_set_reader' made",
        )
    return {"reader": kind}, {f"{_READER}{name}": value.cpu() for name, value in parts.items()}


def _reader(words: Mapping[str, str], tensors: Mapping[str, Tensor]) -> Reader:
    held = under(dict(tensors), _READER)
    if words["reader"] == LEARNED:
        return SetReader(**held)
    if words["reader"] == NAIVE:
        return NaiveReader(held["templates"], held["slope"], held["offset"], float(held["full_adu"]))
    raise ValueError(f"the reader '{words['reader']}' is not known")
