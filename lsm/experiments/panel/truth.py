"""What really lies in the scanned part of a slide: read by the scoring, never by a scan."""

from collections.abc import Mapping
from typing import Any

from lsm.agent.pipeline import design_of
from lsm.config import Config
from lsm.diagnose.scan import RegionConfig, plan_scan
from lsm.experiments.panel.scope import rig_over_film
from lsm.experiments.panel.slides import PanelSlide
from lsm.sensing import Bundle


class TruthJob(Config):
    """One slide and the region that is scanned. model_digest: of the model whose design the average slide is from."""

    slide: PanelSlide
    model: str
    model_digest: str
    rig: str
    film_um: tuple[float, float]
    region: RegionConfig


def count_truth(arguments: dict[str, Any]) -> Mapping[str, Any]:
    """Red cells and infected ones of the region; a function of lsm.experiments.jobs."""
    job = TruthJob.from_table(arguments)
    average = design_of(Bundle.named(job.model)).smear
    plan = plan_scan(job.region, rig_over_film(job.rig, job.film_um))
    (x0, x1), (y0, y1) = plan.x_um, plan.y_um
    cells = job.slide.smear(average, job.film_um).truth().within(x0, x1, y0, y1).red_cells
    return {"cells": len(cells), "infected": int(cells.infected.sum())}
