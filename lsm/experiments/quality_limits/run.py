"""The experiment: fields are judged, counted by condition and size, and drawn."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lsm.agent.pipeline import design_of
from lsm.diagnose.scan.quality import Fault
from lsm.errors import InputError
from lsm.experiments.cell_run import nih_crops
from lsm.experiments.jobs import Job, finish
from lsm.experiments.quality_limits.config import QualityLimitsConfig, Sizes
from lsm.experiments.quality_limits.fields import DUST, SOUND, FieldsJob, judge_fields
from lsm.experiments.quality_limits.figures import draw_bodies
from lsm.experiments.quality_limits.tables import as_markdown
from lsm.sensing import Bundle
from lsm.sensing.progress import Reporter
from lsm.stats import clopper_pearson
from lsm.vision.look import TypicalFields

Row = Mapping[str, Any]

SLIDES_PER_JOB = 10
WITH_WHITE_CELLS = "sound, with a white cell"


def run(
    config: Path, out: Path, *, quick: bool, seeds: int | None, workers: int, progress: Reporter
) -> Mapping[str, Any]:
    """Table, picture and counts; see `lsm.experiments.registry.run_experiment`.

    One seed serves: slides are its repetitions. Raises InputError for `seeds`, ModelMismatch for a model whose card
    does not say how its fields look.
    """
    if seeds is not None:
        raise InputError("Quality limits have one seed; slides are what is repeated.", hint="leave --seeds out")
    settings = QualityLimitsConfig.from_file(config)
    settings = settings.short() if quick else settings
    jobs = {model: jobs_of(settings, model) for model in settings.models}
    every = [
        Job(f"{_name(job)}, {_digest(job)}", judge_fields, job.model_dump(mode="json"), ("cells",))
        for each in jobs.values()
        for job in each
    ]
    rows = list(finish(every, out / "fields.jsonl", workers=workers, progress=progress).values())
    fields: dict[str, list[Row]] = {}
    for model, its in jobs.items():
        own, rows = rows[: len(its)], rows[len(its) :]
        fields[model] = [field for row in own for field in row["fields"]]
    found = {
        "models": {model: {"digest": its[0].model_digest} | _basis(model) for model, its in jobs.items()},
        "counts": {model: counts_of(settings, fields[model]) for model in jobs},
        "config": settings.model_dump(mode="json"),
    }
    (out / "table.md").write_text(as_markdown(found), encoding="utf-8")
    draw_bodies(fields, settings.quality.unlike).savefig(out / "picture.png", dpi=130)
    return found


def jobs_of(settings: QualityLimitsConfig, model: str) -> list[FieldsJob]:
    """The model's slides in small groups. Raises FileMissing without the crops that its design needs."""
    bundle = Bundle.named(model)
    TypicalFields.of_model(bundle)  # what cannot be is said before the first field
    last = settings.first_slide + settings.slides
    return [
        FieldsJob(
            seed=settings.seed,
            model=model,
            model_digest=bundle.card.digest(),
            cells=nih_crops() if design_of(bundle).data == "nih" else None,
            first_slide=first,
            slides=min(SLIDES_PER_JOB, last - first),
            bubbles=settings.bubbles,
            dust=settings.dust,
            quality=settings.quality,
        )
        for first in range(settings.first_slide, last, SLIDES_PER_JOB)
    ]


def counts_of(settings: QualityLimitsConfig, fields: Sequence[Row]) -> list[dict[str, Any]]:
    """A row for sound fields, those of them with white cells, and every thing that spoils fields by its size."""
    sound = [field for field in fields if field["condition"] == SOUND]
    rows = [_count(SOUND, None, sound), _count(WITH_WHITE_CELLS, None, [each for each in sound if each["white_cells"]])]
    sizes: dict[str, Sizes] = {**dict.fromkeys(settings.bubbles.index_steps, settings.bubbles), DUST: settings.dust}
    for name, its in sizes.items():
        spoilt = [field for field in fields if field["condition"] == name]
        rows.append(_count(name, its.radius_um, spoilt))
        parts = its.spans_um if its.parts_um else ()
        for number, span in enumerate(parts):
            rows.append(_count(name, span, [each for each in spoilt if its.part(each["radius_um"]) == number]))
    return rows


def _count(name: str, radius_um: tuple[float, float] | None, fields: Sequence[Row]) -> dict[str, Any]:
    """named: refused as a bubble or debris. refused: by any limit. Both as number, share, low and high end of 95 %.

    off: least, median and largest standard deviations of the darkest body.
    """
    faults = Counter(field["fault"] for field in fields)
    named, good = faults[Fault.BUBBLE.value], faults.pop("", 0)
    off = sorted(field["off"] for field in fields)
    return {
        "condition": name,
        "radius_um": radius_um,
        "fields": len(fields),
        "named": _share(named, len(fields)),
        "refused": _share(len(fields) - good, len(fields)),
        "faults": dict(faults),
        "off": [off[0], off[len(off) // 2], off[-1]] if off else None,
    }


def _share(count: int, of: int) -> list[float] | None:
    return [count, *(round(each, 4) for each in (count / of, *clopper_pearson(count, of)))] if of else None


def _basis(model: str) -> dict[str, Any]:
    """What the limits rest on."""
    return {"typical": TypicalFields.of_model(Bundle.named(model)).model_dump(mode="json")}


def _name(job: FieldsJob) -> str:
    return f"{job.model}, slides {job.first_slide} to {job.first_slide + job.slides - 1}"


def _digest(job: FieldsJob) -> str:
    """Of everything but where the crops lie: a changed setting is another job of the same table."""
    return job.model_copy(update={"cells": None}).digest()
