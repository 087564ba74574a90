"""The same captures on the twin, on Micro-Manager's core with firmware, on vendor devices, on the chips' own binaries.

    python experiments/rig_parity/run.py                     # all five, a minute
    python experiments/rig_parity/run.py --rigs twin native  # some of them

The script below sees a Microscope and nothing else. What came of all rigs goes into results.json beside this file.
"""

import argparse
import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Literal

import numpy as np

from lsm.bench.machine import this_machine
from lsm.config import Config
from lsm.devices import Frame, Microscope, Observe
from lsm.illum import Pattern, annulus, bright_field, dark, half_disc, single_led
from lsm.optics import ImagingSystem
from lsm.samples import ProceduralSmear, SmearConfig
from lsm.scope import RigConfig, connect, find_rig
from lsm.twin import GridBoardConfig, Twin, TwinConfig

HERE = Path(__file__).parent
Rig = Literal["twin", "native", "demo_camera", "avr_mega", "stm32f405"]


class Optics(Config):
    """Grid on which the sample is computed; see lsm.optics.ImagingSystem."""

    sample_pixel_um: float
    sample_px: int
    margin_px: int


class ParityConfig(Config):
    """What is captured, and where."""

    seed: int
    exposure_ms: float
    places_um: tuple[tuple[float, float], ...]
    z_um: tuple[float, ...]
    rigs: tuple[Rig, ...]
    board: GridBoardConfig
    optics: Optics
    smear: SmearConfig


def captures(microscope: Microscope, config: ParityConfig) -> list[Frame]:
    """The script: every light at every place and focus, whatever the microscope is made of."""
    board = microscope.board
    noise = np.random.default_rng(config.seed).random((board.n_leds, board.n_colours)).astype(np.float32)
    noise[:, [0, 2]] = 0
    lights = [
        dark(board),
        bright_field(board, na=0.1),
        annulus(board, na_min=0.05, na_max=0.1),
        annulus(board, na_min=0.1, na_max=0.2),
        half_disc(board, na=0.1, angle_rad=0.0),
        single_led(board, int(np.argmin(board.na))),
        Pattern.of(board, 0.05 * noise, name="grey"),
    ]
    return [
        microscope.observe(Observe(light, config.exposure_ms, place, z_um))
        for place in config.places_um
        for z_um in config.z_um
        for light in lights
    ]


def open_rig(name: Rig, config: ParityConfig) -> Microscope:
    """One of the microscopes, over the same sample where it computes one."""
    smear = ProceduralSmear(config.smear, config.seed)
    if name == "twin":
        system = ImagingSystem(**config.optics.model_dump())
        return Twin(smear, TwinConfig(led_board=config.board, system=system), config.seed)
    shipped = RigConfig.from_file(find_rig("demo_camera" if name == "demo_camera" else "simulated"))
    board = shipped.led.board.model_copy(update=config.board.model_dump())
    rig = shipped.model_copy(update={"led": shipped.led.model_copy(update={"board": board})})
    if name == "demo_camera":
        return connect(rig, seed=config.seed)
    # the twin's stage goes where it is sent
    options = {"board": name, "repeatability_um": 0.0, **config.optics.model_dump()}
    simulator = rig.simulator.model_copy(update={"options": {**rig.simulator.options, **options}})
    limits = rig.limits.model_copy(update={"x_um": (0.0, 700.0), "y_um": (0.0, 400.0)})
    rig = rig.model_copy(update={"simulator": simulator, "limits": limits})
    return connect(rig, sample=smear, seed=config.seed)


def compare(frames: list[Frame], reference: list[Frame]) -> dict[str, object]:
    """How frames differ from those of the twin, and from what was asked."""
    same_shape = [frame.image.shape == other.image.shape for frame, other in zip(frames, reference, strict=True)]
    equal = [np.array_equal(frame.image, other.image) for frame, other in zip(frames, reference, strict=True)]
    shown = [
        np.array_equal(frame.shown.levels, other.shown.levels) for frame, other in zip(frames, reference, strict=True)
    ]
    asked = [np.array_equal(frame.shown.levels, frame.request.pattern.levels) for frame in frames]
    off_um = max(
        abs(got - want) for frame in frames for got, want in zip(frame.xy_um, frame.request.xy_um, strict=True)
    )
    digest = hashlib.sha256(b"".join(frame.image.tobytes() for frame in frames)).hexdigest()
    return {
        "frames": len(frames),
        "images_equal_to_the_twin": sum(equal) if all(same_shape) else None,
        "light_equal_to_the_twin": sum(shown),
        "light_equal_to_the_request": sum(asked),
        "repeated": sum(frame.metadata.get("attempts", "1") != "1" for frame in frames),
        "largest_stage_difference_um": round(off_um, 4),
        "shape_px": list(frames[0].image.shape),
        "images_sha256": digest[:16],
    }


def main() -> None:
    """Run the rigs and write what came of them."""
    config = ParityConfig.from_file(HERE / "config.toml")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rigs", nargs="+", default=list(config.rigs), choices=Rig.__args__)
    options = parser.parse_args()
    with_twin = ["twin", *(name for name in options.rigs if name != "twin")]
    found: dict[str, object] = {}
    reference: list[Frame] = []
    for name in with_twin:
        microscope = open_rig(name, config)
        try:
            frames = captures(microscope, config)
        finally:
            microscope.close()
        reference = reference or frames
        found[name] = compare(frames, reference)
        print(name, json.dumps(found[name]))
    if set(found) != set(config.rigs):
        print("results.json is left as it is: it holds all rigs")
        return
    result = {"machine": asdict(this_machine()), "config": config.model_dump(mode="json"), "rigs": found}
    (HERE / "results.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
