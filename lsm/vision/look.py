"""How a field looks, from one bright-field image and the cells found in it, and how the fields of a design look."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from pydantic import NonNegativeFloat
from scipy import ndimage

from lsm.config import Config
from lsm.errors import ModelMismatch
from lsm.sensing.bundle import Bundle
from lsm.types import Image
from lsm.vision.finder import FoundCells

RED_CELL = 0
FIGURE = "fields"
"""Key under which a model's card holds its TypicalFields."""

FEWEST_CELLS = 20
"""Of fields with fewer red cells a median says little; they are left out of a design's statistics."""

FEWEST_FIELDS = 12
STAINS = 3.0
"""Standard deviations of absorbance to either side that a design's slides span."""

LONGEST_CELL_UM = 20.0
"""No blood cell is longer on a film; a monocyte may be nearly so."""

_BACKGROUND = 95.0
_SMALLEST = 1e-3
_ABSORBANCE_STEP = 0.01
_TOUCHING = np.ones((3, 3))


@dataclass(frozen=True)
class FieldLook:
    """What is measured of one field.

    red_cells: found. coverage: share of the area under cells. absorbance: median, over red cells, of the natural
    absorbance at their centre against the empty field (the image's 95th percentile).
    sharpness: logarithm of the mean squared difference of pixels two apart (Brenner et al., JHC 24, 100 (1976)),
    relative to the empty field squared and to the coverage. certainty: median score of the finder's red cells.
    body: natural absorbance that touching pixels along more than LONGEST_CELL_UM all exceed: of a rim of air, of dust,
    or, where there is none, of cells that overlap. A white cell is darker and too short.
    """

    red_cells: int
    coverage: float
    absorbance: float
    sharpness: float
    certainty: float
    body: float


def look_at(image: Image, cells: FoundCells, *, offset_adu: float, pixel_um: float) -> FieldLook:
    """The look of a bright-field image in ADU; of a field without red cells absorbance and certainty are 0."""
    signal = image.astype(np.float32) - np.float32(offset_adu)
    empty = max(float(np.percentile(signal, _BACKGROUND)), 1.0)
    coverage = float(np.pi * (cells.radius_px**2).sum() / image.size)
    red = cells.kind == RED_CELL
    rows = np.clip(np.rint(cells.y_px[red]), 0, image.shape[0] - 1).astype(np.int64)
    columns = np.clip(np.rint(cells.x_px[red]), 0, image.shape[1] - 1).astype(np.int64)
    edges = ((signal[:, 2:] - signal[:, :-2]) ** 2).mean() + ((signal[2:] - signal[:-2]) ** 2).mean()
    some = bool(red.any())
    return FieldLook(
        red_cells=int(red.sum()),
        coverage=coverage,
        absorbance=float(np.median(_absorbance(signal[rows, columns] / empty))) if some else 0.0,
        sharpness=float(np.log(max(float(edges), _SMALLEST) / empty**2 / max(coverage, _SMALLEST))),
        certainty=float(np.median(cells.score[red])) if some else 0.0,
        body=_longest_body(_absorbance(signal / empty), LONGEST_CELL_UM / pixel_um),
    )


class Line(Config):
    """A measure as a linear function of coverage and absorbance, and the standard deviation around it."""

    at_zero: float
    per_coverage: float
    per_absorbance: float
    spread: NonNegativeFloat

    def off(self, value: float, coverage: float, absorbance: float) -> float:
        """Standard deviations by which a value lies above what such a field has."""
        usual = self.at_zero + self.per_coverage * coverage + self.per_absorbance * absorbance
        return (value - usual) / max(self.spread, 1e-9)


@dataclass(frozen=True)
class OffLook:
    """Standard deviations by which the measures of a field lie above those of a design's fields."""

    absorbance: float
    sharpness: float
    certainty: float
    body: float


class TypicalFields(Config):
    """How the fields of a design's calibration slides look; see FieldLook for the measures.

    fields, slides: that it rests on. absorbance, absorbance_spread: mean and standard deviation.
    """

    fields: int
    slides: int
    absorbance: float
    absorbance_spread: NonNegativeFloat
    sharpness: Line
    certainty: Line
    body: Line

    @classmethod
    def of(cls, looks: Iterable[tuple[int, FieldLook]]) -> "TypicalFields | None":
        """From (slide, look) of many fields; None where FEWEST_FIELDS with cells are not among them."""
        kept = [(slide, look) for slide, look in looks if look.red_cells >= FEWEST_CELLS]
        if len(kept) < FEWEST_FIELDS:
            return None
        seen = [look for _, look in kept]
        stain = np.array([look.absorbance for look in seen])
        design = np.array([(1.0, look.coverage, look.absorbance) for look in seen])
        return cls(
            fields=len(seen),
            slides=len({slide for slide, _ in kept}),
            absorbance=float(stain.mean()),
            absorbance_spread=float(stain.std(ddof=1)),
            sharpness=_line(design, [look.sharpness for look in seen]),
            certainty=_line(design, [look.certainty for look in seen]),
            body=_line(design, [look.body for look in seen]),
        )

    def off(self, look: FieldLook) -> OffLook:
        """How unlike the design's fields one is.

        Beyond the design's stains, edges and certainty are compared with the last of them; the darkest body goes on
        along its line, as absorbances do (Beer-Lambert).
        """
        reach = STAINS * self.absorbance_spread
        stain = float(np.clip(look.absorbance, self.absorbance - reach, self.absorbance + reach))
        return OffLook(
            absorbance=(look.absorbance - self.absorbance) / max(self.absorbance_spread, 1e-9),
            sharpness=self.sharpness.off(look.sharpness, look.coverage, stain),
            certainty=self.certainty.off(look.certainty, look.coverage, stain),
            body=self.body.off(look.body, look.coverage, look.absorbance),
        )

    @classmethod
    def of_model(cls, bundle: Bundle) -> "TypicalFields":
        """What the model's card says. Raises ModelMismatch for a card without it, or with other figures than these."""
        table: Any = bundle.card.figures.get(FIGURE)
        if not isinstance(table, dict) or set(table) != set(cls.model_fields):
            raise ModelMismatch(
                f"The card of model '{bundle.card.name}' does not say how the fields of its design look.",
                hint="calibrate it again: lsm design CONFIG --calibrate MODEL",
            )
        return cls.from_table(table, source=f"the card of model '{bundle.card.name}'")


def _line(design: Float[np.ndarray, "field 3"], values: Sequence[float]) -> Line:
    found = np.array(values)
    (at_zero, per_coverage, per_absorbance), *_ = np.linalg.lstsq(design, found, rcond=None)
    left = found - design @ [at_zero, per_coverage, per_absorbance]
    spread = float(np.sqrt((left**2).sum() / (len(found) - design.shape[1])))
    return Line(
        at_zero=float(at_zero), per_coverage=float(per_coverage), per_absorbance=float(per_absorbance), spread=spread
    )


def _longest_body(absorbance: Float[np.ndarray, "y x"], longest_px: float) -> float:
    """The highest level above which pixels still touch over more than that length along x or y."""

    def reaches(level: float) -> bool:
        bodies, _ = ndimage.label(absorbance > level, _TOUCHING)
        return any(max(part.stop - part.start for part in box) > longest_px for box in ndimage.find_objects(bodies))

    low, high = 0.0, float(absorbance.max())
    while high - low > _ABSORBANCE_STEP:
        middle = (low + high) / 2
        low, high = (middle, high) if reaches(middle) else (low, middle)
    return low


def _absorbance(transmission: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    natural: Float[np.ndarray, "*shape"] = -np.log(np.clip(transmission, _SMALLEST, None))
    return natural
