"""Levels of the WHO's external competence assessment of malaria microscopists, and how sure they are.

WHO, Malaria Microscopy Quality Assurance Manual, version 2 (2016): of the slides of a panel a reader of level 1 must
get 90 % of detection, 90 % of species and 50 % of counts (within 25 %) right; 80, 80 and 40 % for level 2; 70, 70 and
30 % for level 3; whoever misses one of them is of level 4.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from jaxtyping import Float

from lsm.errors import WrongFormat
from lsm.stats._tails import check_confidence
from lsm.stats.estimate import Share

Marks = Float[np.ndarray, " slide"]
"""1 where right, 0 where wrong, nan where the slide is not marked for this."""

CRITERIA = ("detection", "species", "counts")
LEVELS: Mapping[int, tuple[float, float, float]] = MappingProxyType(
    {1: (0.9, 0.9, 0.5), 2: (0.8, 0.8, 0.4), 3: (0.7, 0.7, 0.3)}
)
LOWEST = 4
PRIOR_SLIDES = 0.5
"""Of a right and of a wrong slide that every stratum is thought to hold besides its own: Jeffreys' prior."""


@dataclass(frozen=True)
class Competence:
    """A level with how likely each is, and the shares that it rests on.

    level: that of the shares as they are. best, worst: the levels between which it lies at `confidence`. probability:
    of the levels 1 to 4. species: None where species were not asked for; the level is then one of detection and counts
    alone, and `basis` says so.
    """

    level: int
    best: int
    worst: int
    probability: tuple[float, float, float, float]
    detection: Share
    counts: Share
    species: Share | None
    confidence: float

    @property
    def basis(self) -> str:
        """What the level is a level of."""
        return "detection, species and counts" if self.species else "detection and counts alone, no species"


def assess_competence(
    detection: Marks,
    counts: Float[np.ndarray, " other"],
    species: Float[np.ndarray, " third"] | None = None,
    *,
    stratum: Sequence[object] | None = None,
    rng: np.random.Generator,
    confidence: float = 0.95,
    draws: int = 4000,
) -> Competence:
    """The level of a reader on a panel, with its interval from weighing the slides anew.

    stratum: kind of each slide, such as negative, low and high density; the panel's composition is kept. Every draw
    gives the slides of a stratum random weights (the Bayesian bootstrap of Rubin, Ann. Stat. 9, 130 (1981)), and to
    each stratum half a slide that is right and half a one that is wrong: 35 of 35 are not taken for certain. Raises
    WrongFormat for marks that do not fit or a criterion without slides.
    """
    check_confidence(confidence)
    marks = [detection, detection if species is None else species, counts]
    kinds = np.unique(["all"] * len(detection) if stratum is None else list(map(str, stratum)), return_inverse=True)[1]
    if any(each.shape != kinds.shape or np.isnan(each).all() for each in marks):
        raise WrongFormat(
            f"Marks of {len(detection)} slides do not give a level.",
            hint="give one mark per slide and criterion, nan where it is not asked, and some of each",
        )
    weights = rng.exponential(size=(draws, len(kinds)))
    ghosts = rng.gamma(PRIOR_SLIDES, size=(2, draws, int(kinds.max()) + 1))
    drawn = np.stack([_weighted(each, kinds, weights, ghosts) for each in marks])
    shares = [_share(values, each, confidence) for values, each in zip(drawn, marks, strict=True)]
    levels = level_of(drawn)
    found = level_of(np.array([[each.value] for each in shares]))
    low, high = np.quantile(levels, [(1 - confidence) / 2, (1 + confidence) / 2], method="inverted_cdf")
    return Competence(
        int(found[0]),
        int(low),
        int(high),
        tuple(float((levels == level).mean()) for level in (1, 2, 3, 4)),  # type: ignore[arg-type]
        shares[0],
        shares[2],
        None if species is None else shares[1],
        confidence,
    )


def level_of(shares: Float[np.ndarray, "criterion case"]) -> np.ndarray:
    """Levels 1 to 4 of shares of detection, species and counts, in this order; give detection twice without species."""
    found = np.full(shares.shape[1], LOWEST)
    for level in sorted(LEVELS, reverse=True):
        # 9 of 10 must not miss 90 % by rounding
        found[(shares >= np.array(LEVELS[level])[:, None] - 1e-9).all(axis=0)] = level
    return found


def _weighted(
    marks: Marks,
    kinds: np.ndarray,
    weights: Float[np.ndarray, "draw slide"],
    ghosts: Float[np.ndarray, "truth draw kind"],
) -> Float[np.ndarray, " draw"]:
    """The share right in every draw, strata in the proportions of the panel."""
    marked = ~np.isnan(marks)
    total = np.zeros(len(weights))
    for kind in np.unique(kinds[marked]):
        held = marked & (kinds == kind)
        right = weights[:, held] @ marks[held] + ghosts[0, :, kind]
        total += held.sum() * right / (weights[:, held].sum(axis=1) + ghosts[:, :, kind].sum(axis=0))
    return np.asarray(total / marked.sum())


def _share(drawn: Float[np.ndarray, " draw"], marks: Marks, confidence: float) -> Share:
    right, of = int(np.nansum(marks)), int((~np.isnan(marks)).sum())
    low, high = np.quantile(drawn, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Share(right / of, min(float(low), right / of), max(float(high), right / of), right, of)
