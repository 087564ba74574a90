"""Thin films as tables: what a reading of every field finds, drawn from the reader's measured rates."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt, Le
from jaxtyping import Float, Int
from pydantic import model_validator

from lsm.agent.find_first.rates import ReaderRates
from lsm.agent.rules import ScanGrid
from lsm.config import Config
from lsm.errors import ConfigError
from lsm.samples.film import InfectionConfig, density_profile, infected_fractions, slow_noise

Counts = Int[np.ndarray, "film field"]


class FilmConfig(Config):
    """The part of a thin film that is searched.

    grid: its fields. along: where it lies between the thick end (0) and the feathered end (1); (0.35, 0.75) is the
    level part, where a film is read. The other numbers are those of lsm.samples.SmearConfig.
    """

    grid: ScanGrid = ScanGrid(columns=18, rows=12)
    along: tuple[Annotated[float, Ge(0)], Annotated[float, Le(1)]] = (0.35, 0.75)
    parasitaemia: Annotated[float, Gt(0), Le(1)] = 1e-3
    monolayer_per_mm2: Annotated[float, Gt(0)] = 4500.0
    thick_factor: Annotated[float, Ge(1), Le(4)] = 2.2
    density_spread: Annotated[float, Ge(0)] = 0.2
    infection: InfectionConfig = InfectionConfig()

    @model_validator(mode="after")
    def _thick_to_thin(self) -> "FilmConfig":
        if self.along[0] >= self.along[1]:
            raise ConfigError(
                f"A film from {self.along[0]:g} to {self.along[1]:g} has no length.",
                hint="give along as (thicker end, thinner end), such as (0.35, 0.75)",
            )
        return self

    def along_of(self, *, thick_first: bool) -> Float[np.ndarray, " field"]:
        """Place of every field between the thick and the feathered end."""
        columns = (np.arange(self.grid.n_fields) % self.grid.columns + 0.5) / self.grid.columns
        low, high = self.along
        along: Float[np.ndarray, " field"] = low + (high - low) * (columns if thick_first else 1 - columns)
        return along

    def nominal_per_mm2(self, *, thick_first: bool) -> Float[np.ndarray, " field"]:
        """Red cells per area that the profile alone gives."""
        profile = density_profile(self.along_of(thick_first=thick_first), self.thick_factor)
        nominal: Float[np.ndarray, " field"] = self.monolayer_per_mm2 * profile
        return nominal


@dataclass(frozen=True, eq=False)
class FilmTables:
    """Films as a search may come to see them, and what only the reward and the bounds may read.

    read: red cells found in a field. suspects: those of them that are suspicious, rightly or not. hits: suspects that
    are infected, which a closer look confirms. chance: probability of a hit before anything was drawn.
    infected, cells: the truth.
    """

    read: Counts
    suspects: Counts
    hits: Counts
    chance: Float[np.ndarray, "film field"]
    infected: Counts
    cells: Counts

    @property
    def n_films(self) -> int:
        return len(self.read)

    @classmethod
    def join(cls, parts: "list[FilmTables]") -> "FilmTables":
        """All films of `parts`, in order."""
        names = ("read", "suspects", "hits", "chance", "infected", "cells")
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def draw_films(config: FilmConfig, rates: ReaderRates, n: int, rng: np.random.Generator) -> FilmTables:
    """So many films, each with its own places of infection and its own thick end."""
    return FilmTables.join([_film(config, rates, rng) for _ in range(n)])


def field_centres(grid: ScanGrid) -> Float[np.ndarray, "field 2"]:
    """Centres of all fields from the corner of the region, in um."""
    row, column = np.divmod(np.arange(grid.n_fields), grid.columns)
    centres: Float[np.ndarray, "field 2"] = np.stack([column + 0.5, row + 0.5], axis=1) * grid.pitch_um
    return centres


def _film(config: FilmConfig, rates: ReaderRates, rng: np.random.Generator) -> FilmTables:
    grid, centres = config.grid, field_centres(config.grid)
    thick_first = bool(rng.random() < 0.5)
    per_mm2 = config.nominal_per_mm2(thick_first=thick_first)
    per_mm2 = per_mm2 * np.exp(slow_noise(centres, config.density_spread, rng))
    cells = rng.poisson(per_mm2 * (grid.pitch_um * 1e-3) ** 2)
    fraction = infected_fractions(
        centres,
        config.along_of(thick_first=thick_first),
        cells.astype(np.float64),
        height_um=grid.extent_um[1],
        parasitaemia=config.parasitaemia,
        config=config.infection,
        rng=rng,
    )
    infected = rng.binomial(cells, fraction)
    found, sensitivity, false_rate = rates.at(per_mm2)
    hits = rng.binomial(infected, sensitivity)
    own_rate = np.minimum(false_rate * np.exp(rng.normal(0.0, rates.slide_spread)), 1.0)
    wrong = rng.binomial(cells - infected, own_rate)
    suspects = hits + wrong
    read = suspects + rng.binomial(cells - suspects, found)
    chance = 1 - (1 - fraction * sensitivity) ** cells
    columns = (read, suspects, hits, chance, infected, cells)
    return FilmTables(*(column[None] for column in columns))
