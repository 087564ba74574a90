"""A whole `lsm diagnose` on the simulated rig, to be killed at random moments and resumed.

    python -m lsm_sim.kill_campaign --job diagnosis --frames 24 --kills 200 --seed 1 --json kills.json

Firmware, driver, Micro-Manager's core, networks and recording are those of the command; see lsm_sim.kill_campaign for
what is looked at after every kill. A resumed run must find the slide as the uninterrupted one did: the same images to
the bit, the same decisions, the same estimate.
"""

import importlib
import multiprocessing
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from lsm.diagnose.slide import RECORD, RESUMED, DiagnoseConfig, diagnose, resume
from lsm.record import Recording, open_record
from lsm.samples import ProceduralSmear, SmearConfig
from lsm.scope import RigConfig, find_rig
from lsm.twin import FieldRenderer, TwinConfig

SEED = 4
FORK = multiprocessing.get_context("fork")


@dataclass(frozen=True)
class Diagnosis:
    """The job. Its images are computed once, by `prepared`, and shared by all processes that come after."""

    renderer: FieldRenderer
    captures: int

    @classmethod
    def prepared(cls, captures: int, folder: Path) -> "Diagnosis":
        """The job with the images of every field that it will visit, which a run in the empty `folder` has found."""
        # processes are copied later: threads would not survive, and modules need not be imported again
        torch.set_num_threads(1)
        for module in ("pycromanager", "pymmcore_plus.experimental.unicore", "matplotlib.pyplot"):
            importlib.import_module(module)
        rig = RigConfig.from_file(find_rig("simulated"))
        renderer = FieldRenderer(
            ProceduralSmear(SmearConfig(), SEED), rig.led.board.build(), TwinConfig(cached_positions=captures)
        )
        job = cls(renderer, captures)
        first = FORK.Process(target=job.run, args=(folder, _ignore))
        first.start()
        first.join()
        with open_record(job.record(folder)) as recording:
            for place in {frame.xy_um for frame in recording.frames()}:
                renderer.prepare(place, 0.0)
        return job

    def run(self, folder: Path, acknowledge: Callable[[int], None]) -> None:
        def on_step(taken: int, most: int, decision: object) -> None:
            acknowledge(taken)

        if self.record(folder).exists():
            resume(folder, on_step=on_step, renderer=self.renderer)
        else:
            config = DiagnoseConfig(seed=SEED, captures=self.captures)
            diagnose(config, folder, on_step=on_step, renderer=self.renderer)

    def record(self, folder: Path) -> Path:
        return folder / RECORD

    def differences(self, recording: Recording, reference: Recording) -> list[str]:
        """Where two runs differ in anything but times, the board's own counts, and the mark of the interruption."""
        found = []
        for index in range(min(recording.n_frames, reference.n_frames)):
            one, other = recording.frame(index), reference.frame(index)
            decision = {key: value for key, value in recording.decision(index).items() if key != RESUMED}
            parts = {
                "image": np.array_equal(one.image, other.image),
                "light": np.array_equal(one.shown.levels, other.shown.levels) and one.request == other.request,
                "place": (one.xy_um, one.z_um) == (other.xy_um, other.z_um),
                "decision": decision == reference.decision(index),
            }
            found += [f"frame {index} has another {name}" for name, same in parts.items() if not same]
        if recording.n_frames > reference.n_frames:
            found.append(f"{recording.n_frames - reference.n_frames} frames are too many")
        return found


def _ignore(frames: int) -> None:
    pass
