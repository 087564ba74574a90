"""Geometry and radiometry of a programmable LED board.

The sample sits at the origin, the optical axis is z and light travels towards +z, so LEDs have
negative z. A board's index order is its wiring order; for a grid that is row by row, x fastest,
row 0 at the smallest y.
"""

import csv
import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from lsm.errors import ConfigError, FileMissing, WrongFormat
from lsm.types import LedVectors, PerLed

RGB_WAVELENGTHS_UM = (0.63, 0.53, 0.47)


@dataclass(frozen=True, eq=False)
class LedBoard:
    """LEDs at `positions_mm` [led, 3] with one drive level per colour channel.

    wavelengths_um: centre wavelength of each colour channel, red first.
    lambertian_order: m in the emitted radiant intensity cos^m; 1 is an ideal flat emitter.
    normals: unit vectors along which the LEDs emit [led, 3].
    Raises ConfigError for an LED at or behind the sample plane.
    """

    name: str
    positions_mm: LedVectors
    normals: LedVectors
    wavelengths_um: tuple[float, ...] = RGB_WAVELENGTHS_UM
    lambertian_order: float = 1.0

    def __post_init__(self) -> None:
        if self.positions_mm.shape != self.normals.shape or len(self.positions_mm) == 0:
            raise ConfigError(
                f"Board '{self.name}' has {self.positions_mm.shape} positions and {self.normals.shape} normals.",
                hint="give both as [led, 3] with at least one LED",
            )
        if float(self.positions_mm[:, 2].max()) >= 0.0:
            raise ConfigError(
                f"Board '{self.name}' has an LED at z = {self.positions_mm[:, 2].max():g} mm.",
                hint="LEDs lie below the sample, at negative z",
            )

    @classmethod
    def grid(
        cls,
        *,
        rows: int,
        columns: int,
        pitch_mm: float,
        distance_mm: float,
        name: str = "grid",
        wavelengths_um: tuple[float, ...] = RGB_WAVELENGTHS_UM,
    ) -> "LedBoard":
        """A flat, centred board, `distance_mm` below the sample, all LEDs facing along the axis."""
        if min(rows, columns) < 1 or min(pitch_mm, distance_mm) <= 0:
            raise ConfigError(
                f"A {rows} x {columns} grid of pitch {pitch_mm} mm at {distance_mm} mm is impossible.",
                hint="rows and columns count from 1; pitch and distance are positive millimetres",
            )
        y, x = np.meshgrid(
            (np.arange(rows) - (rows - 1) / 2) * pitch_mm,
            (np.arange(columns) - (columns - 1) / 2) * pitch_mm,
            indexing="ij",
        )
        positions = np.stack([x.ravel(), y.ravel(), np.full(x.size, -distance_mm)], axis=1)
        normals = np.tile(np.array([0.0, 0.0, 1.0]), (x.size, 1))
        return cls(name, positions, normals, wavelengths_um)

    @classmethod
    def quasi_dome(
        cls, *, rings: int, radius_mm: float, na_max: float, leds_per_ring: int = 6, name: str = "quasi-dome"
    ) -> "LedBoard":
        """Rings of LEDs on a sphere around the sample, each facing it; ring k holds k * leds_per_ring LEDs."""
        if rings < 1 or leds_per_ring < 1 or radius_mm <= 0 or not 0 < na_max < 1:
            raise ConfigError(
                f"A dome of {rings} rings, radius {radius_mm} mm and NA {na_max} is impossible.",
                hint="give at least one ring, a positive radius and 0 < na_max < 1",
            )
        directions = [(0.0, 0.0)]
        for ring in range(1, rings + 1):
            count = ring * leds_per_ring
            angle = 2 * np.pi * np.arange(count) / count
            sine = na_max * ring / rings
            directions += list(zip(sine * np.cos(angle), sine * np.sin(angle), strict=True))
        xy = np.array(directions)
        z = -np.sqrt(1 - (xy**2).sum(axis=1))
        positions = radius_mm * np.column_stack([xy, z])
        return cls(name, positions, -positions / radius_mm)

    @classmethod
    def from_csv(cls, path: Path, *, name: str | None = None) -> "LedBoard":
        """Read one LED per line with the header x_mm,y_mm,z_mm; the LEDs face the sample plane along z.

        Raises FileMissing or WrongFormat.
        """
        if not path.is_file():
            raise FileMissing(f"The LED table {path} does not exist.", hint="give a CSV with x_mm,y_mm,z_mm")
        with path.open(newline="", encoding="utf-8") as lines:
            rows = list(csv.DictReader(lines))
        try:
            positions = np.array([[float(row[key]) for key in ("x_mm", "y_mm", "z_mm")] for row in rows])
        except (KeyError, TypeError, ValueError) as error:
            raise WrongFormat(
                f"The LED table {path} has a line without numbers in x_mm, y_mm and z_mm.",
                hint="first line: x_mm,y_mm,z_mm; then one LED per line",
            ) from error
        if positions.size == 0:
            raise WrongFormat(f"The LED table {path} holds no LED.", hint="one LED per line after the header")
        normals = np.tile(np.array([0.0, 0.0, 1.0]), (len(positions), 1))
        return cls(name or path.stem, positions, normals)

    @property
    def n_leds(self) -> int:
        return len(self.positions_mm)

    @property
    def n_colours(self) -> int:
        return len(self.wavelengths_um)

    @cached_property
    def directions(self) -> LedVectors:
        """Unit vectors from each LED to the sample [led, 3]."""
        vectors: LedVectors = -self.positions_mm / np.linalg.norm(self.positions_mm, axis=1, keepdims=True)
        return vectors

    @cached_property
    def na(self) -> PerLed:
        """Illumination numerical aperture of each LED in air: the sine of its angle to the axis."""
        sine: PerLed = np.hypot(self.directions[:, 0], self.directions[:, 1])
        return sine

    @cached_property
    def relative_irradiance(self) -> PerLed:
        """Irradiance at the sample per unit duty, relative to the strongest LED.

        Lambertian emission cos^m at the LED, 1/r^2, and cos at the sample; for a flat board and
        m = 1 this is cos^4 of the illumination angle.
        """
        distance_mm = np.linalg.norm(self.positions_mm, axis=1)
        at_led = np.clip((self.directions * self.normals).sum(axis=1), 0.0, None)
        irradiance = at_led**self.lambertian_order * self.directions[:, 2] / distance_mm**2
        relative: PerLed = irradiance / irradiance.max()
        return relative

    @cached_property
    def digest(self) -> str:
        """Identity of the geometry and colours, independent of the name."""
        numbers = np.concatenate(
            [self.positions_mm.ravel(), self.normals.ravel(), [*self.wavelengths_um, self.lambertian_order]]
        )
        return hashlib.sha256(np.round(numbers, 6).tobytes()).hexdigest()[:16]
