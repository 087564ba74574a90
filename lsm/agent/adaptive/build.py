"""A world from a stack of cells: its lights exposed, its reader fitted on patients of their own."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float

from lsm.agent.adaptive.light import Meter
from lsm.agent.adaptive.naive import fit_naive_reader
from lsm.agent.adaptive.reader import Reader
from lsm.agent.adaptive.rules import AdaptiveConfig
from lsm.agent.adaptive.source import CPU, CellSource
from lsm.agent.adaptive.world import AdaptiveWorld
from lsm.optics import Camera
from lsm.sensing.cells import CellStack
from lsm.sensing.cells.exposure import PhotonBudget
from lsm.sensing.cells.folds import check_disjoint
from lsm.sensing.cells.light import Lamps


def build_world(
    cells: CellStack,
    lamps: Lamps,
    *,
    learn_from: CellStack | None = None,
    duty: Float[np.ndarray, "pattern lamp"] | None = None,
    names: Sequence[str] = (),
    config: AdaptiveConfig | None = None,
    camera: Camera | None = None,
    budget: PhotonBudget | None = None,
    captures_charged: int = 1,
    reader: Reader | None = None,
    seed: int = 0,
    device: torch.device = CPU,
) -> AdaptiveWorld:
    """Episodes at `cells`, lit by patterns of these duties, or by free weights where there are none.

    learn_from: other patients' cells, on which exposures are set and the default reader is fitted; without them the
    cells themselves, which is for tests. budget: electrons of all captures together, which `captures_charged` share.
    reader: in place of the default one. Raises InputError for a patient on both sides, and as the parts do.
    """
    camera, budget = camera or Camera(), budget or PhotonBudget()
    known = learn_from or cells
    if learn_from is not None:
        patients = np.concatenate([cells.patient, learn_from.patient])
        check_disjoint(patients, np.arange(len(patients)) >= len(cells), np.arange(len(patients)) < len(cells))
    meter = Meter.of(known, lamps, budget, camera, captures=captures_charged)
    light = meter if duty is None else meter.book(duty, names)
    irradiance = lamps.irradiance.astype(np.float32)
    if reader is None:
        per_duty = torch.from_numpy((lamps.irradiance * budget.flux_e_per_ms).astype(np.float32))
        reader = fit_naive_reader(CellSource(known, device), light, camera, per_duty, seed=seed)
    return AdaptiveWorld(
        CellSource(cells, device),
        light,
        reader,
        irradiance=irradiance,
        config=config or AdaptiveConfig(),
        camera=camera,
        flux_e_per_ms=budget.flux_e_per_ms,
    )
