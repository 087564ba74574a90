"""Invented but plausible slide tables, for tests and for tuning without optics; no result rests on them."""

from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt, Le
from jaxtyping import Bool, Float, UInt16

from lsm.agent.rules import SearchRules
from lsm.agent.tables import SlideTables
from lsm.config import Config
from lsm.stats import ScoreCalibration


class SyntheticConfig(Config):
    """How well each pattern separates the classes, and how slides differ.

    separation: per pattern, the distance d' between the classes of its log-likelihood ratio.
    correlation: of the ratios of two patterns for one cell of known class.
    slide_shift: standard deviation of a slide's common shift of the ratios, in nats.
    cells: mean red cells per field in the middle of the slide. slope: change of the log of that mean from
    there to the thick end. crowding: standard deviation of its smooth changes.
    overlap: share of cells that overlap where a field holds the mean number; it grows with their number.
    prevalence: lowest and highest; slides are spread log-uniformly, `empty` of them hold no infected cell.
    """

    separation: tuple[Annotated[float, Gt(0)], ...] = (1.1, 2.0, 1.6, 1.2)
    correlation: Annotated[float, Ge(0), Le(1)] = 0.4
    slide_shift: Annotated[float, Ge(0)] = 0.1
    cells: Annotated[float, Gt(0)] = 100.0
    slope: Annotated[float, Ge(0)] = 0.8
    crowding: Annotated[float, Ge(0)] = 0.2
    overlap: Annotated[float, Ge(0), Le(1)] = 0.15
    prevalence: tuple[Annotated[float, Gt(0)], Annotated[float, Le(1)]] = (5e-3, 0.3)
    empty: Annotated[float, Ge(0), Le(1)] = 0.05


def synthetic_tables(
    rules: SearchRules, n_slides: int, *, seed: int, config: SyntheticConfig | None = None
) -> tuple[SlideTables, ScoreCalibration]:
    """Tables of `n_slides` invented slides and a calibration from twelve others.

    Crowded fields overlap more and separate worse, so that where to look and what to look again at matters.
    """
    config = config or SyntheticConfig(separation=SyntheticConfig().separation[: rules.n_patterns])
    rng = np.random.default_rng(seed)
    slides = [_slide(rules, config, rng) for _ in range(n_slides)]
    tables = SlideTables(
        np.stack([np.add(infected, healthy).astype(np.uint16) for infected, healthy, _, _ in slides]),
        np.stack([quality for _, _, quality, _ in slides]),
        np.array([truth for _, _, _, truth in slides]),
    )
    known = [_slide(rules, config.model_copy(update={"empty": 0.0}), rng) for _ in range(12)]
    infected, healthy = (np.stack([np.asarray(slide[part]).sum(axis=0) for slide in known]) for part in (0, 1))
    return tables, ScoreCalibration.from_slides(infected, healthy)


def _slide(
    rules: SearchRules, config: SyntheticConfig, rng: np.random.Generator
) -> tuple[
    UInt16[np.ndarray, "field mask bin"],
    UInt16[np.ndarray, "field mask bin"],
    Float[np.ndarray, "field mask quality"],
    float,
]:
    """Counts of infected and of healthy cells, quality, and the prevalence of one slide."""
    low, high = config.prevalence
    prevalence = 0.0 if rng.random() < config.empty else float(np.exp(rng.uniform(np.log(low), np.log(high))))
    crowding = _crowding(rules, config, rng)
    cells = rng.poisson(config.cells * crowding)
    field = np.repeat(np.arange(rules.grid.n_fields), cells)
    infected = rng.random(len(field)) < prevalence
    overlap = np.clip(config.overlap * crowding**1.5, 0.0, 0.9)
    ratio = _ratios(config, infected, overlap[field], rng)
    shape = (rules.grid.n_fields, rules.n_masks, rules.n_bins)
    counts = [np.zeros(shape, dtype=np.uint16) for _ in range(2)]
    for mask in range(1, rules.n_masks):
        score = 1 / (1 + np.exp(-_combined(ratio, config, mask)))
        bins = np.minimum((score * rules.n_bins).astype(np.int64), rules.n_bins - 1)
        for table, chosen in zip(counts, (infected, ~infected), strict=True):
            np.add.at(table[:, mask], (field[chosen], bins[chosen]), 1)
    noisy = np.clip(overlap[:, None] + 0.02 * rng.standard_normal((len(overlap), rules.n_masks)), 0, 1)
    quality = np.stack([noisy, np.ones_like(noisy)], axis=2).astype(np.float32)
    quality[:, 0] = 0.0
    return counts[0], counts[1], quality, float(infected.mean()) if len(infected) else 0.0


def _crowding(rules: SearchRules, config: SyntheticConfig, rng: np.random.Generator) -> Float[np.ndarray, " field"]:
    """Density of each field relative to the mean: a smear's slope along x to either side, and smooth noise."""
    rows, columns = rules.grid.rows, rules.grid.columns
    noise = rng.standard_normal((rows + 2, columns + 2))
    smooth = np.mean([noise[dy : dy + rows, dx : dx + columns] for dy in range(3) for dx in range(3)], axis=0) * 3
    along = np.linspace(-1, 1, columns) * rng.choice([-1, 1])
    crowding: Float[np.ndarray, " field"] = np.exp(config.slope * along + config.crowding * smooth).ravel()
    return crowding


def _ratios(
    config: SyntheticConfig,
    infected: Bool[np.ndarray, " cell"],
    overlap: Float[np.ndarray, " cell"],
    rng: np.random.Generator,
) -> Float[np.ndarray, "cell pattern"]:
    """Log-likelihood ratio of every cell under every pattern, N(+-d^2/2, d^2) as for two equal normals."""
    separation = np.array(config.separation)
    d = separation * np.sqrt(1 - overlap)[:, None]
    common = rng.standard_normal((len(infected), 1))
    own = rng.standard_normal((len(infected), len(separation)))
    noise = np.sqrt(config.correlation) * common + np.sqrt(1 - config.correlation) * own
    shift = config.slide_shift * rng.standard_normal()
    ratios: Float[np.ndarray, "cell pattern"] = np.where(infected, 0.5, -0.5)[:, None] * d**2 + d * noise + shift
    return ratios


def _combined(
    ratio: Float[np.ndarray, "cell pattern"], config: SyntheticConfig, mask: int
) -> Float[np.ndarray, " cell"]:
    """The best linear ratio from the patterns of `mask`, given their correlation."""
    chosen = [k for k in range(ratio.shape[1]) if mask >> k & 1]
    separation = np.array(config.separation)[chosen]
    correlation = np.full((len(chosen), len(chosen)), config.correlation)
    np.fill_diagonal(correlation, 1.0)
    covariance = correlation * np.outer(separation, separation)
    weight = np.linalg.solve(covariance + 1e-9 * np.eye(len(chosen)), separation**2)
    combined: Float[np.ndarray, " cell"] = ratio[:, chosen] @ weight
    return combined
