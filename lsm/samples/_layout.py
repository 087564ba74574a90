"""Where the cells of a smear lie and what each is, drawn once per slide from its seed."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy.spatial import cKDTree

from lsm.samples.film import UNIFORM, InfectionConfig, density_profile, infected_fractions, slow_noise
from lsm.samples.smear import SmearConfig
from lsm.samples.table import ROW, CellTable, Kind, Stage

PerCell = Float[np.ndarray, " cell"]
Points = Float[np.ndarray, "cell 2"]

SEPARATION_STEPS = 3


@dataclass(frozen=True)
class Layout:
    """The objects of one slide; arrays run over `table.rows`.

    aspect, angle_rad: elongation of red cells. dimple: 1 is the Evans-Fung profile, 0 a flat cell.
    crenation: depth of the scalloped rim. target: extra stain in the middle.
    stain: factor on the cell's own absorbance.
    howell_jolly: the red cell holds a nuclear remnant.
    stain_exponent, thickness_factor: how this slide differs from the average one.
    """

    table: CellTable
    aspect: PerCell
    angle_rad: PerCell
    dimple: PerCell
    crenation: PerCell
    target: PerCell
    stain: PerCell
    howell_jolly: Bool[np.ndarray, " cell"]
    stain_exponent: float
    thickness_factor: float


def lay_out(config: SmearConfig, seed: int, infection: InfectionConfig = UNIFORM) -> Layout:
    """The same objects for the same configuration and seed; `infection` only changes which cells are infected."""
    rng = np.random.default_rng([seed, 0])
    points, thick_first = _scatter(config, rng)
    red = _separate(points, 2 * config.radius_um, config)
    chance = _chances(red, thick_first, config, infection, np.random.default_rng([seed, 3]))
    rows = [_red_cells(red, chance, config, rng), *_others(len(red), config, rng)]
    table = np.concatenate(rows)
    n_red, n_all = len(red), len(table)
    odd = rng.random(n_red)
    elliptic, crenated, target = np.cumsum(config.odd_fractions)
    is_elliptic, is_crenated = odd < elliptic, (odd >= elliptic) & (odd < crenated)
    is_target = (odd >= crenated) & (odd < target)
    howell_jolly = (rng.random(n_red) < config.howell_jolly_fraction) & ~table["infected"][:n_red]
    table["look_alike"][:n_red] |= howell_jolly
    _mark_covered(table, n_red)
    return Layout(
        table=CellTable(table),
        aspect=_extend(np.where(is_elliptic, rng.uniform(1.3, 1.7, n_red), rng.uniform(1.0, 1.12, n_red)), n_all),
        angle_rad=_extend(rng.uniform(0, 2 * np.pi, n_red), n_all),
        dimple=_extend(rng.uniform(0.3, 1.0, n_red), n_all),
        crenation=_extend(np.where(is_crenated, rng.uniform(0.03, 0.08, n_red), 0.0), n_all),
        target=_extend(np.where(is_target, rng.uniform(0.08, 0.16, n_red), 0.0), n_all),
        stain=_extend(np.exp(rng.normal(0.0, config.cell_stain_spread, n_red)), n_all),
        howell_jolly=np.concatenate([howell_jolly, np.zeros(n_all - n_red, dtype=bool)]),
        stain_exponent=float(np.exp(rng.normal(0.0, config.stain_spread))),
        thickness_factor=float(np.exp(rng.normal(0.0, config.stain_spread / 2))),
    )


def _extend(values: PerCell, n: int) -> Float[np.ndarray, " object"]:
    extended: Float[np.ndarray, " object"] = np.concatenate([values, np.zeros(n - len(values))])
    return extended


def _scatter(config: SmearConfig, rng: np.random.Generator) -> tuple[Float[np.ndarray, "kept 2"], bool]:
    """Random points whose density falls from the thick end to the feathered edge; whether x = 0 is the thick end."""
    size = np.array([config.width_um, config.height_um])
    peak = config.thick_factor * np.exp(2.5 * config.density_spread)
    expected = config.monolayer_per_mm2 * peak * size.prod() * 1e-6
    points = rng.random((rng.poisson(expected), 2)) * size
    along = points[:, 0] / config.width_um
    thick_first = rng.random() >= 0.5
    if not thick_first:
        along = 1 - along
    relative = density_profile(along, config.thick_factor) * np.exp(slow_noise(points, config.density_spread, rng))
    keep = rng.random(len(points)) * peak < relative
    keep &= ~_in_hole(points, config, rng)
    kept: Float[np.ndarray, "kept 2"] = points[keep]
    return kept, thick_first


def _chances(
    points: Points, thick_first: bool, config: SmearConfig, infection: InfectionConfig, rng: np.random.Generator
) -> PerCell:
    """Probability of infection of every red cell."""
    along = points[:, 0] / config.width_um
    return infected_fractions(
        points,
        along if thick_first else 1 - along,
        np.ones(len(points)),
        height_um=config.height_um,
        parasitaemia=config.parasitaemia,
        config=infection,
        rng=rng,
    )


def _in_hole(points: Points, config: SmearConfig, rng: np.random.Generator) -> Bool[np.ndarray, " cell"]:
    area_mm2 = config.width_um * config.height_um * 1e-6
    count = rng.poisson(config.holes_per_mm2 * area_mm2)
    inside = np.zeros(len(points), dtype=bool)
    for _ in range(count):
        centre = rng.random(2) * [config.width_um, config.height_um]
        inside |= np.hypot(*(points - centre).T) < rng.uniform(20, 60)
    return inside


def _separate(points: Points, distance_um: float, config: SmearConfig) -> Points:
    """Push overlapping cells apart until 5-15 % overlap is left in the monolayer; thick parts stay overlapped."""
    points = points.copy()
    for _ in range(SEPARATION_STEPS):
        if len(points) < 2:
            break
        pairs = cKDTree(points).query_pairs(0.97 * distance_um, output_type="ndarray")
        pairs = pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]
        step = points[pairs[:, 0]] - points[pairs[:, 1]]
        length = np.maximum(np.hypot(*step.T), 1e-6)
        push = step * (0.3 * (distance_um - length) / length)[:, None]
        for axis in range(2):
            points[:, axis] += np.bincount(pairs[:, 0], push[:, axis], len(points))
            points[:, axis] -= np.bincount(pairs[:, 1], push[:, axis], len(points))
    inside: Points = np.clip(points, 0.0, np.nextafter([config.width_um, config.height_um], 0))
    return inside


def _red_cells(points: Points, chance: PerCell, config: SmearConfig, rng: np.random.Generator) -> np.ndarray:
    rows = np.zeros(len(points), dtype=ROW)
    rows["x_um"], rows["y_um"] = points.T
    scale = np.clip(rng.normal(1.0, config.radius_spread, len(points)), 0.75, 1.25)
    rows["radius_um"] = config.radius_um * scale
    rows["kind"] = Kind.RED_CELL
    rows["infected"] = rng.random(len(points)) < chance
    weights = np.array(config.stage_weights) / sum(config.stage_weights)
    stages = rng.choice([Stage.RING, Stage.TROPHOZOITE, Stage.SCHIZONT, Stage.GAMETOCYTE], len(points), p=weights)
    rows["stage"] = np.where(rows["infected"], stages, Stage.NONE)
    return rows


def _others(n_red: int, config: SmearConfig, rng: np.random.Generator) -> list[np.ndarray]:
    area_mm2 = config.width_um * config.height_um * 1e-6
    counts = {
        (Kind.WHITE_CELL, 5.0, 7.0): n_red * config.white_per_red,
        (Kind.PLATELET, 1.0, 1.5): n_red * config.platelets_per_red,
        (Kind.PRECIPITATE, 0.3, 1.0): area_mm2 * config.precipitate_per_mm2,
    }
    tables = []
    for (kind, smallest, largest), expected in counts.items():
        rows = np.zeros(rng.poisson(expected), dtype=ROW)
        rows["x_um"] = rng.random(len(rows)) * config.width_um
        rows["y_um"] = rng.random(len(rows)) * config.height_um
        rows["radius_um"] = rng.uniform(smallest, largest, len(rows))
        rows["kind"] = kind
        tables.append(rows)
    return tables


def _mark_covered(table: np.ndarray, n_red: int) -> None:
    """A platelet or precipitate on a red cell makes both of them look-alikes."""
    small = np.flatnonzero((table["kind"] == Kind.PLATELET) | (table["kind"] == Kind.PRECIPITATE))
    if n_red == 0 or len(small) == 0:
        return
    places = np.stack([table["x_um"], table["y_um"]], axis=1)
    for index, near in zip(small, cKDTree(places[:n_red]).query_ball_point(places[small], 8.0), strict=True):
        distance = np.hypot(*(places[near] - places[index]).T)
        under = np.array(near, dtype=np.int64)[distance < table["radius_um"][near]]
        table["look_alike"][under] = True
        table["look_alike"][index] = len(under) > 0
