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
from jaxtyping import Float

from lsm.errors import ConfigError, FileMissing, WrongFormat
from lsm.illum.rays import NO_GLASS, Glass, arriving_rays
from lsm.types import LedVectors, PerLed

RGB_WAVELENGTHS_UM = (0.63, 0.53, 0.47)
POSITION, NORMAL = ("x_mm", "y_mm", "z_mm"), ("nx", "ny", "nz")
COLUMNS = (*POSITION, *NORMAL, "gain")


@dataclass(frozen=True, eq=False)
class LedBoard:
    """LEDs at `positions_mm` [led, 3] with one drive level per colour channel.

    wavelengths_um: centre wavelength of each colour channel, red first.
    lambertian_order: m in the emitted radiant intensity cos^m; 1 is an ideal flat emitter.
    normals: unit vectors along which the LEDs emit [led, 3].
    glass: sheet between LEDs and sample, such as the slide under it.
    die_mm: side of each LED's square emitter; 0 is a point.
    die_points: points along that side with which images are computed; 0 leaves it to lsm.optics.die_points.
    gain: radiant intensity of each LED relative to the others [led]; all alike when None.
    Raises ConfigError for an LED at or behind the sample plane or inside the glass, and for values
    that are not finite or have the wrong shape.
    """

    name: str
    positions_mm: LedVectors
    normals: LedVectors
    wavelengths_um: tuple[float, ...] = RGB_WAVELENGTHS_UM
    lambertian_order: float = 1.0
    glass: Glass = NO_GLASS
    die_mm: float = 0.0
    die_points: int = 0
    gain: Float[np.ndarray, " number"] | None = None

    def __post_init__(self) -> None:
        if self.positions_mm.shape != self.normals.shape or len(self.positions_mm) == 0:
            raise ConfigError(
                f"Board '{self.name}' has {self.positions_mm.shape} positions and {self.normals.shape} normals.",
                hint="give both as [led, 3] with at least one LED",
            )
        if not (np.isfinite(self.positions_mm).all() and np.isfinite(self.normals).all()):
            bad = int((~np.isfinite(self.positions_mm + self.normals)).any(axis=1).argmax())
            raise ConfigError(
                f"LED {bad} of board '{self.name}' is at {self.positions_mm[bad]} mm, facing {self.normals[bad]}.",
                hint="positions and normals are finite",
            )
        if float(self.positions_mm[:, 2].max()) >= -self.glass.thickness_mm:
            led = int(self.positions_mm[:, 2].argmax())
            limit = f"below z = {-self.glass.thickness_mm:g} mm" if self.glass.thickness_mm else "at negative z"
            raise ConfigError(
                f"Board '{self.name}' has LED {led} at z = {self.positions_mm[led, 2]:g} mm.",
                hint=f"light travels towards +z and the sample is at 0: LEDs lie {limit}",
            )
        if not 0 <= self.die_mm < np.inf or self.die_points < 0:
            raise ConfigError(
                f"An LED of {self.die_mm} mm in {self.die_points} points is impossible.",
                hint="die_mm is 0 (a point) or more, die_points 0 (as many as needed) or more",
            )
        if self.gain is not None and not (self.gain.shape == (self.n_leds,) and (self.gain > 0).all()):
            raise ConfigError(
                f"Gains of shape {self.gain.shape} and least value {self.gain.min(initial=np.inf):g} do not fit "
                f"board '{self.name}'.",
                hint=f"give one positive number for each of {self.n_leds} LEDs",
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
        glass: Glass = NO_GLASS,
        die_mm: float = 0.0,
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
        return cls(name, positions, normals, wavelengths_um, glass=glass, die_mm=die_mm)

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
        """Read one LED per line: x_mm,y_mm,z_mm, then if wanted nx,ny,nz (normal) and gain, as the header says.

        Without normals the LEDs face the sample plane along z.

        Raises FileMissing or WrongFormat.
        """
        if not path.is_file():
            raise FileMissing(f"The LED table {path} does not exist.", hint="give a CSV with x_mm,y_mm,z_mm")
        with path.open(newline="", encoding="utf-8") as lines:
            rows = list(csv.DictReader(lines))
        header = set(rows[0]) if rows else set()
        try:
            table = {
                key: np.array([float(row[key]) for row in rows]) for key in COLUMNS if key in header or key in POSITION
            }
        except (KeyError, TypeError, ValueError) as error:
            raise WrongFormat(
                f"The LED table {path} has a line without numbers in {', '.join(POSITION)}.",
                hint=f"first line: {','.join(POSITION)}, and if wanted {','.join(COLUMNS[3:])}; then one LED per line",
            ) from error
        if not rows:
            raise WrongFormat(f"The LED table {path} holds no LED.", hint="one LED per line after the header")
        positions = np.stack([table[key] for key in POSITION], axis=1)
        normals = np.tile(np.array([0.0, 0.0, 1.0]), (len(rows), 1))
        if header.issuperset(NORMAL):
            normals = np.stack([table[key] for key in NORMAL], axis=1)
            normals = normals / np.linalg.norm(normals, axis=1, keepdims=True)
        return cls(name or path.stem, positions, normals, gain=table.get("gain"))

    @property
    def n_leds(self) -> int:
        return len(self.positions_mm)

    @property
    def n_colours(self) -> int:
        return len(self.wavelengths_um)

    @cached_property
    def directions(self) -> LedVectors:
        """Unit vectors of the light that arrives on the axis from each LED [led, 3], in air."""
        return self.directions_at()

    def directions_at(self, x_um: float = 0.0, y_um: float = 0.0) -> LedVectors:
        """Unit vectors of the light that arrives at a point of the sample from each LED [led, 3], in air."""
        return self._rays(x_um, y_um)[0]

    @cached_property
    def na(self) -> PerLed:
        """Illumination numerical aperture of each LED in air: the sine of its angle to the axis."""
        sine: PerLed = np.hypot(self.directions[:, 0], self.directions[:, 1])
        return sine

    @cached_property
    def relative_irradiance(self) -> PerLed:
        """Irradiance on the axis per unit duty, relative to the strongest LED."""
        return self.irradiance_at()

    def irradiance_at(self, x_um: float = 0.0, y_um: float = 0.0) -> PerLed:
        """Irradiance at a point of the sample per unit duty, relative to the strongest LED on the axis.

        Lambertian emission cos^m at the LED, times gain, times the solid angle that the sample fills; for
        a flat board without glass and m = 1 this is cos^4 of the illumination angle.
        """
        strongest: float = self._irradiance(0.0, 0.0).max()
        relative: PerLed = self._irradiance(x_um, y_um) / strongest
        return relative

    def _irradiance(self, x_um: float, y_um: float) -> PerLed:
        directions, solid_angle = self._rays(x_um, y_um)
        at_led = np.clip((directions * self.normals).sum(axis=1), 0.0, None)
        irradiance: PerLed = at_led**self.lambertian_order * solid_angle
        return irradiance if self.gain is None else irradiance * self.gain

    def _rays(self, x_um: float, y_um: float) -> tuple[LedVectors, PerLed]:
        return arriving_rays(self.positions_mm, np.array([x_um, y_um, 0.0]) / 1000, self.glass)

    @cached_property
    def digest(self) -> str:
        """Identity of geometry, radiometry and colours, independent of the name."""
        rest = np.array([*self.wavelengths_um, self.lambertian_order])
        parts: list[PerLed] = [self.positions_mm.ravel(), self.normals.ravel(), rest]
        # a board that has none of these keeps the digest under which models were trained for it
        if self.glass.thickness_mm:
            parts.append(np.array([1.0, self.glass.thickness_mm, self.glass.refractive_index]))
        if self.die_mm:
            parts.append(np.array([2.0, self.die_mm, self.die_points]))
        if self.gain is not None:
            parts.append(np.append(3.0, self.gain))
        numbers = np.concatenate(parts)
        return hashlib.sha256(np.round(numbers, 6).tobytes()).hexdigest()[:16]
