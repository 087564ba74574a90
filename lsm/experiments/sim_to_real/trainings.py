"""All trainings as jobs, one for each colour and seed, each network kept in a file of its own."""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from lsm.config import Config
from lsm.experiments.jobs import Job, finish
from lsm.experiments.sim_to_real.config import Colour, SimToRealConfig, SlideConfig
from lsm.experiments.sim_to_real.lights import LEARNED, fixed_light
from lsm.experiments.sim_to_real.phantoms import Fields, make_fields
from lsm.experiments.sim_to_real.reader import Reader, Trained, train
from lsm.experiments.sim_to_real.slide import Slide, open_slide
from lsm.sensing.progress import Reporter
from lsm.tensorfile import read_tensors, write_tensors

TRAIN, TEST = 1, 2
"""Random streams of the phantoms."""
Trainings = dict[tuple[str, int], Trained]
"""By light and seed."""


class SeedJob(Config):
    """Every light of one colour, trained with one seed."""

    config: SimToRealConfig
    colour: Colour
    seed: int
    cache: Path


def lights_of(config: SimToRealConfig) -> tuple[str, ...]:
    """The learned light and the fixed ones."""
    return (LEARNED, *config.fixed)


def train_all(config: SimToRealConfig, cache: Path, *, workers: int, progress: Reporter) -> None:
    """Every light with every seed in every colour; what `cache` holds of the same settings is not trained again.

    Raises LsmError naming the first job that failed.
    """
    jobs = []
    for seed in range(config.seeds):
        for colour in config.colours:
            job = SeedJob(config=_apart(config), colour=colour, seed=seed, cache=cache.resolve())
            key = f"{colour} / seed {seed} / {_digest(config)} / {len(config.fixed)} fixed"
            jobs.append(Job(key, train_seed, job.model_dump(mode="json"), ("cache",)))
    finish(jobs, cache / "table.jsonl", workers=workers, progress=progress)
    _training_fields.cache_clear()


def train_seed(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The work of one SeedJob; returns which lights were trained and what was kept from before."""
    job = SeedJob.from_table(dict(arguments), source="a job of sim_to_real")
    trained = []
    for light in lights_of(job.config):
        path = _file(job.config, job.cache, job.colour, light, job.seed)
        if path.is_file():
            continue
        fields, slide = _training_fields(job.config, job.colour)
        fixed = None if light == LEARNED else fixed_light(light, slide.board, job.config.rig.na, job.seed)
        _keep(path, train(fields, slide.board, job.config, fixed, job.seed))
        trained.append(light)
    return {"trained": trained}


def phantoms(config: SimToRealConfig, slide: Slide, *, stream: int, count: int) -> Fields:
    """Simulated fields as the described rig would see them in the slide's colour."""
    settings = config.phantoms
    system = config.rig.system(slide.board.wavelengths_um[0], camera_px=settings.field_px, margin_px=settings.margin_px)
    return make_fields(config, slide.board, system, slide.defocus_um, count=count, stream=stream)


def load_all(config: SimToRealConfig, colour: Colour, cache: Path) -> Trainings:
    """All trainings of one colour. Raises FileMissing for one that was removed."""
    return {
        (light, seed): _load(_file(config, cache, colour, light, seed), config.training.channels)
        for light in lights_of(config)
        for seed in range(config.seeds)
    }


@lru_cache(maxsize=1)
def _training_fields(config: SimToRealConfig, colour: Colour) -> tuple[Fields, Slide]:
    # of the slide only the board and the focus are used, as they are described
    slide = open_slide(config, colour)
    return phantoms(config, slide, stream=TRAIN, count=config.phantoms.train), slide


def _apart(config: SimToRealConfig) -> SimToRealConfig:
    """The configuration without what a training does not depend on."""
    return config.model_copy(update={"seeds": 1, "colours": ("red",), "slide": SlideConfig()})


def _digest(config: SimToRealConfig) -> str:
    return _apart(config).model_copy(update={"fixed": ("all",)}).digest()


def _file(config: SimToRealConfig, cache: Path, colour: Colour, light: str, seed: int) -> Path:
    return cache / f"{colour}-{light.replace(' ', '-')}-{seed}-{_digest(config)}.safetensors"


def _load(path: Path, channels: int) -> Trained:
    again = f"remove {path.with_name('table.jsonl')} too, and run again"
    _, held = read_tensors(path, hint=again, what="training")
    levels = held.pop("levels").numpy()
    reader = Reader(channels).to(memory_format=torch.channels_last)
    reader.load_state_dict(held)
    return Trained(levels, reader.eval())


def _keep(path: Path, trained: Trained) -> None:
    write_tensors(path, trained.reader.state_dict() | {"levels": torch.from_numpy(trained.levels)}, {})
