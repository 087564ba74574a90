"""What a recording's header and a report say about where a run comes from."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from lsm.agent import SlideRun
from lsm.config import Config
from lsm.scope import RigConfig
from lsm.sensing import Bundle


def rig_header(made_by: str, rig: RigConfig) -> dict[str, Any]:
    """Header of any recording: who made it when, with which rig, camera and board."""
    return {
        "made_by": made_by,
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "rig": rig.name,
        "rig_digest": rig.digest(),
        "camera_pixel_um": rig.camera_pixel_um,
        "camera": rig.camera.model_dump(mode="json", exclude_none=True),
        "objective": rig.objective.model_dump(mode="json"),
        "board_digest": rig.led.board.build().digest,
    }


def run_header(
    made_by: str, config: Config, rig: RigConfig, bundle: Bundle, *, seed: int, cells: str
) -> dict[str, Any]:
    """Header of a search's recording: that of the rig, and the digests of configuration and model."""
    return rig_header(made_by, rig) | {
        "seed": seed,
        "config": config.model_dump(mode="json"),
        "config_digest": config.digest(),
        "model": bundle.card.name,
        "model_digest": bundle.card.weights_digest,
        "cells": cells,
    }


def run_summary(run: SlideRun) -> dict[str, Any]:
    """What a recording's summary says of one run over the slide."""
    return {
        "policy": run.policy,
        "captures": run.captures,
        "fields": len(run.visits),
        "light_dose_led_ms": run.light_dose,
        "prevalence": run.estimate.prevalence,
        "interval": [run.estimate.low, run.estimate.high],
        "cells": run.estimate.cells,
    }


def report_provenance(rig: RigConfig, bundle: Bundle, header: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Groups of facts for the report, from the header of its recording."""
    card = bundle.card
    return {
        "Slide": {
            "Cells": str(header["cells"]),
            "Seed": str(header["seed"]),
            "Recorded": str(header["started"]),
            "Configuration": str(header["config_digest"]),
        },
        "Rig": {
            "Name": rig.name,
            "Objective": f"{rig.objective.magnification:g}x / NA {rig.objective.na:.2f}",
            "Camera pixel at the sample": f"{rig.camera_pixel_um:g} um",
            "Digest": rig.digest(),
            "Simulated": _simulated(rig),
        },
        "Model": {
            "Name": card.name,
            "Trained on": card.data,
            "Commit": card.commit,
            "Seed": str(card.seed),
            "Configuration": card.config_digest,
            "Weights": card.weights_digest[:16],
        },
    }


def _simulated(rig: RigConfig) -> str:
    if rig.simulator is None:
        return "nothing"
    if rig.cfg is not None:
        return "the LED board's processor; firmware, protocol and Micro-Manager with its devices are real"
    return "sample, optics, camera, stage; firmware, protocol and Micro-Manager core are real"
