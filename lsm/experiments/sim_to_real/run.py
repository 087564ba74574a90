"""The experiment: design and train on phantoms, score on phantoms, then on the measured slide as it is."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float

from lsm.experiments.sim_to_real.config import SimToRealConfig
from lsm.experiments.sim_to_real.figures import draw_lights, draw_readings, draw_scores
from lsm.experiments.sim_to_real.firmware import LightBoard
from lsm.experiments.sim_to_real.lights import LEARNED
from lsm.experiments.sim_to_real.phantoms import FINER_TRUTH, Fields
from lsm.experiments.sim_to_real.reader import Trained, captured, captured_shots, exposure, weights_of
from lsm.experiments.sim_to_real.score import Score, compare, overlap, score_fields, score_slide
from lsm.experiments.sim_to_real.slide import Shot, Slide, computed_truth, open_slide, predictions, recovered
from lsm.experiments.sim_to_real.tables import as_markdown
from lsm.experiments.sim_to_real.trainings import TEST, Trainings, lights_of, load_all, phantoms, train_all
from lsm.sensing.progress import Reporter

SIMULATED, REPLAYED = "simulated", "replayed"
COMPILED = {"8 bits": (8, 1), "1 bit": (1, 1), "1 bit, 8 frames": (1, 8)}
"""Levels in bits and most frames of what is compiled for the firmware."""
NOISE_SEED = 1_000_003
Scores = dict[tuple[str, str], list[Score]]
"""By light and where it was scored, one for each seed."""


@dataclass(frozen=True, eq=False)
class Reading:
    """What one training makes of the slide: the replayed capture in electrons, and its log-odds."""

    image: Float[np.ndarray, "y x"]
    odds: Float[np.ndarray, "fy fx"]


def run(
    config: Path, out: Path, *, quick: bool, seeds: int | None, workers: int, progress: Reporter
) -> Mapping[str, Any]:
    """All figures; three pictures and `table.md` lie in `out`. See `lsm.experiments.registry.run_experiment`.

    Trainings are kept in `out`/cache, from which the same run goes on.
    Raises FileMissing where LSM_DATA does not lead to the measured slide, ToolMissing without a C compiler.
    """
    started = time.monotonic()
    settings = SimToRealConfig.from_file(config).checked()
    settings = settings.quick() if quick else settings
    settings = settings if seeds is None else settings.model_copy(update={"seeds": seeds})
    slides = {colour: open_slide(settings, colour) for colour in settings.colours}
    train_all(settings, out / "cache", workers=workers, progress=progress)
    training_s = round(time.monotonic() - started, 1)
    found: dict[str, Any] = {}
    with LightBoard(settings) as board, progress.stage("Scores", len(slides)) as stage:
        truths = []
        for colour, slide in slides.items():
            scored = _Colour(settings, slide, load_all(settings, colour, out / "cache"))
            found[colour] = scored.table(board)
            truths.append(scored.truth)
            scored.draw(out)
            stage.advance()
    results = {
        "seconds": {"training": training_s, "all": round(time.monotonic() - started, 1)},
        "config": settings.model_dump(mode="json"),
        "colours": found,
        "truths_agree_iou": round(overlap(2.0 * truths[0].ravel() - 1, truths[-1].ravel()), 4),
    }
    draw_scores(results, out / "scores.png")
    (out / "table.md").write_text(as_markdown(results), encoding="utf-8")
    return results


class _Colour:
    """One colour: its phantoms to test on, its slide, its trainings, and all scores."""

    def __init__(self, config: SimToRealConfig, slide: Slide, trainings: Trainings) -> None:
        self.config, self.slide, self.trainings = config, slide, trainings
        self.lights, self.seeds = lights_of(config), range(config.seeds)
        self.test: Fields = phantoms(config, slide, stream=TEST, count=config.phantoms.test)
        sample, _ = recovered(slide, config, withhold=False)
        self.truth: Bool[np.ndarray, "fy fx"] = computed_truth(sample).numpy() > 0.5
        self.sample_figures = sample.summary()
        self.scores: Scores = {}
        self.shown: dict[str, dict[str, Any]] = {}
        self.readings: dict[str, Reading] = {}

    def table(self, board: LightBoard) -> dict[str, Any]:
        """Everything that is found in this colour."""
        for light in self.lights:
            for seed in self.seeds:
                self._score(light, seed, self.trainings[light, seed], board)
        return {
            "scores": {light: self._rows(light) for light in self.lights},
            "learned_minus": {light: self._against(light) for light in self.config.fixed},
            "drop": {light: self._drop(light) for light in self.lights},
            "by_compiling": {name: self._by_compiling(name) for name in COMPILED},
            "shown_by_firmware": self.shown,
            "exposure": {light: self._exposure(light) for light in self.lights},
            "learned_light": self._where_it_shines(),
            "prediction": self._fidelity(),
            "truth": {
                "stained_share": round(float(self.truth.mean()), 4),
                "recovery": {key: round(value, 4) for key, value in self.sample_figures.items()},
            },
        }

    def draw(self, out: Path) -> None:
        """Pictures of lights with images, and of readings of the slide, of the first seed."""
        slide = self.slide
        lights = {light: self.trainings[light, 0].levels for light in self.lights}
        simulated = {
            light: self.test.images(weights_of(levels, slide.board), [0])[0] for light, levels in lights.items()
        }
        measured = {light: reading.image for light, reading in self.readings.items()}
        draw_lights(slide, lights, simulated, measured, self.config.rig.na, out / f"lights_{slide.colour}.png")
        best = max(self.config.fixed, key=lambda light: self._mean(light, SIMULATED, "auc"))
        shown = {light: self.readings[light].odds for light in (LEARNED, best)}
        draw_readings(slide.colour, self.truth, shown, measured, out / f"readings_{slide.colour}.png")

    def _score(self, light: str, seed: int, trained: Trained, board: LightBoard) -> None:
        config, slide = self.config, self.slide
        # every light meets the same noise
        generator = torch.Generator().manual_seed(NOISE_SEED + seed)
        images = captured(self.test.images(weights_of(trained.levels, slide.board)), config.capture, generator)
        there = self.test.truth.numpy() > 0.5
        self._add(light, SIMULATED, score_fields(trained.read(images).numpy(), there))
        reading = self._read([(trained.levels, 1.0)], trained, seed)
        if seed == 0:
            self.readings[light] = reading
        self._add(light, REPLAYED, self._of_slide(reading))
        for name, (bits, frames) in COMPILED.items():
            lit = board.show(trained.levels, slide.colour, slide.place, board.drive(bits, frames))
            self._add(light, name, self._of_slide(self._read(lit.shots, trained, seed)))
            facts = self.shown.setdefault(name, {"as_sent": True, "elsewhere": 0, "rms_error": {}, "frames": {}})
            facts["as_sent"] = facts["as_sent"] and lit.as_sent
            facts["elsewhere"] = max(facts["elsewhere"], lit.elsewhere)
            facts["rms_error"].setdefault(light, []).append(round(lit.rms_error, 4))
            facts["frames"].setdefault(light, []).append(len(lit.shots))

    def _read(self, shots: list[Shot], trained: Trained, seed: int) -> Reading:
        """The slide under these shots, with the noise of one capture each, and what the network makes of it."""
        generator = torch.Generator().manual_seed(NOISE_SEED + seed)
        image = captured_shots(self.slide.images(shots), self.config.capture, generator)
        return Reading(image.numpy(), trained.read(image[None])[0].numpy())

    def _of_slide(self, reading: Reading) -> Score:
        settings = self.config.slide
        return score_slide(reading.odds, self.truth, rim=settings.rim_px * FINER_TRUTH, tiles=settings.tiles)

    def _add(self, light: str, where: str, score: Score) -> None:
        self.scores.setdefault((light, where), []).append(score)

    def _mean(self, light: str, where: str, measure: str) -> float:
        return float(np.mean([getattr(score, measure) for score in self.scores[light, where]]))

    def _rows(self, light: str) -> dict[str, Any]:
        return {
            where: {
                measure: [round(getattr(score, measure), 4) for score in self.scores[light, where]]
                for measure in ("auc", "iou")
            }
            for where in (SIMULATED, REPLAYED, *COMPILED)
        }

    def _against(self, light: str) -> dict[str, Any]:
        return {
            where: {
                measure: compare(self.scores[LEARNED, where], self.scores[light, where], number)
                for number, measure in enumerate(("auc", "iou"))
            }
            for where in (SIMULATED, REPLAYED, *COMPILED)
        }

    def _drop(self, light: str) -> dict[str, float]:
        """Means of simulation minus those of the slide."""
        return {
            measure: round(self._mean(light, SIMULATED, measure) - self._mean(light, REPLAYED, measure), 4)
            for measure in ("auc", "iou")
        }

    def _by_compiling(self, name: str) -> dict[str, Any]:
        """The learned light as the board shows it minus as it was asked for, on the slide."""
        return {
            measure: compare(self.scores[LEARNED, name], self.scores[LEARNED, REPLAYED], number)
            for number, measure in enumerate(("auc", "iou"))
        }

    def _exposure(self, light: str) -> dict[str, float]:
        """How long the same electrons take, all of this board's LEDs at full drive being 1; medians over seeds."""
        board, capture = self.slide.board, self.config.capture
        every = weights_of(np.full(board.n_leds, 255, dtype=np.uint8), board)
        times = [
            exposure(self.test.images(weights), capture).median().item()
            for weights in (every, *(weights_of(self.trainings[light, seed].levels, board) for seed in self.seeds))
        ]
        return {"simulated": round(float(np.median(times[1:])) / times[0], 2)}

    def _where_it_shines(self) -> dict[str, list[float]]:
        """Mean drive (0..1) of the learned lights' LEDs in three bands of NA, by seed."""
        na, own = self.slide.board.na, self.config.rig.na
        bands = {"inside": na <= own, "to twice the NA": (na > own) & (na <= 2 * own), "beyond": na > 2 * own}
        levels = [self.trainings[LEARNED, seed].levels / 255 for seed in self.seeds]
        return {name: [round(float(each[band].mean()), 3) for each in levels] for name, band in bands.items()}

    def _fidelity(self) -> dict[str, Any]:
        sample, held = recovered(self.slide, self.config, withhold=True)
        lights = {
            light: [self.trainings[light, seed].levels for seed in (self.seeds if light == LEARNED else (0,))]
            for light in self.lights
        }
        return predictions(self.slide, sample, held, lights, self.config.rig.na)
