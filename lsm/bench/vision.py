"""How many cells a second the live detector finds on one core, beside torch and a two-stage network."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from rich.console import Group
from rich.table import Table

from lsm.bench.machine import Machine, this_machine
from lsm.bench.promises import Promise
from lsm.bench.timing import Effort
from lsm.bench.vision_frames import CELLS, HEIGHT_PX, WIDTH_PX, painted_frames
from lsm.bench.vision_programs import (
    ONNX,
    OPENVINO,
    Form,
    Rate,
    Reference,
    judge,
    rates_of,
    references_of,
)
from lsm.errors import InputError
from lsm.threads import threads
from lsm.vision.data import read_annotations
from lsm.vision.detect import Augmentation, Detector, FitConfig
from lsm.vision.detect.grid import GridConfig

FULL, FAST = "full form", "fast form"
CELLS_S, FAST_CELLS_S = 1500.0, 5000.0
PROMISED: Final = (ONNX, OPENVINO)
"""Programs of which the faster one has to keep the promise: both compute with float32."""

PACKAGES: Final = ("torchvision", "onnxruntime", "openvino")
_MOST_IMAGES = 12
_CROP_PX = 256


@dataclass(frozen=True)
class VisionComparison:
    """quick: forms were hardly taught, and nothing is promised of them."""

    quick: bool
    machine: Machine
    versions: dict[str, str | None]
    seed: int
    forms: tuple[Form, ...]
    rates: tuple[Rate, ...]
    references: tuple[Reference, ...]

    def promises(self) -> list[Promise]:
        """Of the painted frames, on one core, the faster of ONNX Runtime and OpenVINO with float32."""
        found = []
        for form, limit in ((FULL, CELLS_S), (FAST, FAST_CELLS_S)):
            rates = [one.cells_s for one in self.rates if one.form == form and one.program in PROMISED]
            measured = None if self.quick or not rates else max(rates)
            text = f"{form}, {HEIGHT_PX} x {WIDTH_PX}, {CELLS} cells, one core"
            found.append(Promise(text, "cells/s", limit, True, measured))
        return found

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self) | {"promises": [asdict(one) | {"kept": one.kept} for one in self.promises()]}


def compare_vision(
    *,
    quick: bool = False,
    seed: int = 0,
    models: Sequence[Path] = (),
    data: Path | None = None,
    on_step: Callable[[str], None] = lambda name: None,
) -> VisionComparison:
    """Teach both forms on painted frames, and time all programs on others, in turns and on one core.

    quick: taught for seconds and timed twice. models: grid detectors that were saved, to be scored and timed on the
    images of `data`, which they must not have seen. on_step: told what comes next.
    Raises InputError for models without data, and what reading them raises.
    """
    if bool(models) != (data is not None):
        raise InputError("A model is judged by annotated images.", hint="give both --model and --data")
    given = [(path.stem, Detector.load(path)) for path in models]
    seen = None if data is None else read_annotations(data)
    effort = Effort(2, 0.0) if quick else Effort(15, 0.2)
    frames = painted_frames(2 if quick else 8, seed=seed + 1)
    forms, rates = [], []
    with TemporaryDirectory(prefix="lsm-bench-") as name, threads(1):
        on_step("painting")
        examples = painted_frames(3 if quick else 24, seed=seed)
        detectors = []
        for form, config in ((FULL, GridConfig()), (FAST, GridConfig().fast())):
            on_step(f"teaching the {form}")
            detector = Detector.of(config, examples, seed=seed)
            detector.fit(examples, fit=_lesson(quick=quick, seed=seed))
            forms.append(judge(form, detector, frames, taught="painted frames"))
            detectors.append((form, detector))
        on_step("timing")
        rates += rates_of(detectors, frames, Path(name) / "painted", effort)
        for form, detector in given:
            if seen is None:
                continue
            on_step(f"scoring {form}")
            forms.append(judge(form, detector, seen, taught="as its file says"))
            # OpenVINO is compiled anew for another size, which is not to be timed
            alike = [k for k, image in enumerate(seen.images) if image.size == seen.images[0].size]
            some = seen.where(alike[:_MOST_IMAGES])
            rates += rates_of([(form, detector)], some, Path(name) / form, effort)
        on_step("timing torchvision")
        references = references_of(frames, CELLS, effort)
    versions = {package: _version(package) for package in PACKAGES}
    return VisionComparison(quick, this_machine(), versions, seed, tuple(forms), tuple(rates), references)


def _lesson(*, quick: bool, seed: int) -> FitConfig:
    look = Augmentation(scale=(0.9, 1.1), crop_px=_CROP_PX, brightness=0.1, contrast=0.1, tint=0.0)
    return FitConfig(
        steps=60 if quick else 500,
        images_per_step=2 if quick else 4,
        learning_rate=6e-3 if quick else 4e-3,
        average=0.9 if quick else 0.98,
        count_share=0.2,
        augmentation=look,
        seed=seed,
    )


def show_vision(comparison: VisionComparison) -> Group:
    """Tables for a terminal."""
    forms = Table(title="Detectors, on images they have not seen")
    for column in ("", "images", "weights", "GMAC", "mAP", "at 0.5", "counted"):
        forms.add_column(column, justify="left" if column in ("", "images") else "right")
    for form in comparison.forms:
        figures = (f"{form.gmac:.2f}", f"{form.map:.3f}", f"{form.map_50:.3f}", f"{form.counted_percent:.1f} %")
        forms.add_row(form.name, form.scored, f"{form.parameters:,}", *figures)
    tables = [_rate_table(comparison, images) for images in dict.fromkeys(rate.images for rate in comparison.rates)]
    promises = [
        f"{one.promise}: {'not measured' if one.measured is None else f'{one.measured:,.0f} {one.unit}'}, promised at "
        f"least {one.limit:,.0f}{'' if one.kept is None else ' (kept)' if one.kept else ' (MISSED)'}"
        for one in comparison.promises()
    ]
    versions = ", ".join(f"{name} {number or '-'}" for name, number in comparison.versions.items())
    return Group(
        f"{comparison.machine.cpu}, commit {comparison.machine.commit}; torch "
        f"{comparison.machine.versions['torch']}, {versions}.",
        forms,
        *tables,
        *promises,
    )


def _rate_table(comparison: VisionComparison, images: str) -> Table:
    table = Table(title=f"One core, from an image to its cells: {images}")
    for column in ("", "program", "ms", "found", "cells/s", "from torch"):
        table.add_column(column, justify="left" if column in ("", "program") else "right")
    for rate in comparison.rates:
        if rate.images == images:
            apart = "" if rate.apart_px is None else f"{rate.apart_px:.1g} px"
            figures = (f"{rate.milliseconds:.1f}", f"{rate.hits:.1f}", f"{rate.cells_s:,.0f}", apart)
            table.add_row(rate.form, rate.program, *figures)
    if images == comparison.rates[0].images:
        for one in comparison.references:
            table.add_row("torchvision", one.name, f"{one.milliseconds:.1f}", "", f"< {one.cells_s:,.0f}", "")
    return table


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
