"""How often a cell is called wrongly above a threshold, on a slide to come: from calibration slides, one by one."""

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Real

from lsm.errors import WrongFormat
from lsm.stats._alike import concentration
from lsm.stats.rate_fit import fit_gamma_rate
from lsm.stats.rates import BetaShare, GammaRate

MaskWeights = Float[np.ndarray, " mask"]
SlideMaskBins = Real[np.ndarray, "slide mask bin"]
MOST_OF_ALL = 0.999
"""No share of cells that are called is taken to be larger."""


@dataclass(frozen=True, eq=False)
class CalibrationSlides:
    """Counts [slide, mask, bin] of the infected and of the uninfected cells of each calibration slide.

    The two classes may come from different slides.
    """

    infected: SlideMaskBins
    uninfected: Real[np.ndarray, "other mask bin"]
    _fits: dict[tuple[int, int], tuple[BetaShare, GammaRate]] = field(default_factory=dict, repr=False)

    def shares_above(self, weight: MaskWeights, first_bin: int) -> tuple[BetaShare, GammaRate]:
        """Shares of infected and of uninfected cells in `first_bin` and above, where the cells of a slide share out
        over sets of captures as `weight` does.

        What the calibration slides leave open of means and of variation is in them: they hold for one slide to come.
        One slide deviates the same way under every set of captures, so that deviations add up. Raises WrongFormat for a
        bin that does not exist, or a set of captures that fewer than two slides show.
        """
        bins = self.infected.shape[2]
        if not 0 < first_bin < bins:
            raise WrongFormat(f"Bin {first_bin} of {bins} is no threshold.", hint=f"give 1 to {bins - 1}")
        parts = [(weight[mask], *self._fit(int(mask), first_bin)) for mask in np.flatnonzero(weight)]
        found = sum(share * each.mean for share, each, _ in parts)
        found_sd = sum(share * each.sd for share, each, _ in parts)
        false = sum(share * each.mean for share, _, each in parts)
        false_sd = sum(share * each.mean * each.cv for share, _, each in parts)
        return _share(float(found), float(found_sd)), GammaRate(float(false), float(false_sd / false))

    def _fit(self, mask: int, first_bin: int) -> tuple[BetaShare, GammaRate]:
        if (mask, first_bin) not in self._fits:
            above, cells = _above(self.infected, mask, first_bin)
            false, among = _above(self.uninfected, mask, first_bin)
            if min((cells > 0).sum(), (among > 0).sum()) < 2:
                raise WrongFormat(
                    f"Fewer than two calibration slides show infected and other cells under captures {mask:b}.",
                    hint="calibrate with more slides",
                )
            rate = fit_gamma_rate(false, among).new_slide
            self._fits[mask, first_bin] = _share_to_come(above, cells), GammaRate(min(rate.mean, MOST_OF_ALL), rate.cv)
        return self._fits[mask, first_bin]


def _above(
    counts: SlideMaskBins, mask: int, first_bin: int
) -> tuple[Real[np.ndarray, " slide"], Real[np.ndarray, " slide"]]:
    return counts[:, mask, first_bin:].sum(axis=1), counts[:, mask].sum(axis=1)


def _share_to_come(hits: Real[np.ndarray, " slide"], cells: Real[np.ndarray, " slide"]) -> BetaShare:
    """With Jeffreys' prior for the mean."""
    mean = float((hits.sum() + 0.5) / (cells.sum() + 1))
    trust = concentration(hits, cells.astype(np.float64))
    return _share(mean, float(np.sqrt(mean * (1 - mean) / (trust + 1))))


def _share(mean: float, sd: float) -> BetaShare:
    """A share cannot spread further than all or nothing."""
    return BetaShare(mean, min(sd, 0.99 * float(np.sqrt(mean * (1 - mean)))))
