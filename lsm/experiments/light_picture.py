"""What a study learned, to look at and to put on a board."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from lsm.experiments.cell_run import lamps_of, open_cells
from lsm.experiments.study import Votes
from lsm.illum import LightFile
from lsm.sensing.cells import CellStack
from lsm.sensing.cells.light import Lamps, split_captures
from lsm.sensing.cells.shown import light_file
from lsm.sensing.picture import draw_light, save_picture


def save_lights(votes: Votes, arms: Sequence[str], out: Path) -> None:
    """light.json of the first arm and light.png of all: each as its first seed learned it without the first fold.

    The cells in the picture are of that fold; their images have no noise.
    """
    captures, names, exposures, signs, samples = [], [], [], [], []
    for number, arm in enumerate(arms):
        seed, fold = votes.whole_seeds(arm)[0], 0
        held = votes.held(arm, seed, fold)
        design = votes.config.design_of(arm)
        stack = open_cells(votes.crops, votes.cache, design.stack, design.cells)
        lamps, weights = lamps_of(stack, design.stack.na), torch.from_numpy(held["weights"])
        made = {"arm": arm, "seed": seed, "fold": fold, "data": stack.source, "design": design.digest()}
        file = light_file(
            weights, torch.from_numpy(held["exposure"]), lamps, flux_e_per_ms=design.budget.flux_e_per_ms, made=made
        )
        if number == 0:
            file.save(out / "light.json")
        captures += [capture.array / 255 for capture in file.captures]
        names += _names(arm, file)
        exposures += [capture.exposure_ms for capture in file.captures]
        signs += [capture.sign for capture in file.captures]
        samples.append(_under(stack, lamps, weights, _two_cells(stack, held["rows"])))
    images = {
        name: np.concatenate([sample[k] for sample in samples]) for k, name in enumerate(("infected", "not infected"))
    }
    figure = draw_light(
        lamps.board, np.stack(captures), lamps.na_objective, images, names, exposures_ms=exposures, signs=signs
    )
    save_picture(figure, out / "light.png")


def _names(arm: str, file: LightFile) -> list[str]:
    many = len(file.captures) > 1
    return [f"{arm} ({number})" if many else arm for number in range(1, len(file.captures) + 1)]


def _two_cells(stack: CellStack, rows: np.ndarray) -> np.ndarray:
    """The first infected and the first uninfected cell among these rows."""
    infected = stack.infected[rows]
    return np.array([rows[infected][0], rows[~infected][0]], dtype=np.int64)


@torch.no_grad()
def _under(
    stack: CellStack, lamps: Lamps, weights: Float[Tensor, "channel lamp"], rows: np.ndarray
) -> Float[np.ndarray, "row part y x"]:
    parts, _, _ = split_captures(weights)
    return np.asarray(stack.mix(rows, parts * torch.from_numpy(lamps.irradiance).float()).numpy())
