"""Lights at one cell: a book of patterns with their exposures, and a meter that exposes free weights."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float, Float32, UInt8
from torch import Tensor

from lsm.errors import ConfigError
from lsm.illum import LEVELS, LedBoard, Pattern
from lsm.optics import Camera
from lsm.sensing.cells import CellStack
from lsm.sensing.cells.exposure import PhotonBudget
from lsm.sensing.cells.light import CellLight, CellLightConfig, Kind, Lamps

METER_QUANTILE = 0.995
METER_ROWS = 512
TINY = 1e-9


@dataclass(frozen=True, eq=False)
class LightBook:
    """K patterns over the lamps of a stack, each with its exposure.

    duty: drive of every lamp in whole levels of a board, 0..1. A signed pattern is two of them.
    Raises ConfigError for duties or exposures that no board or camera can have.
    """

    duty: Float32[np.ndarray, "pattern lamp"]
    exposure_ms: Float[np.ndarray, " pattern"]
    names: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        if len(self.duty) == 0 or len(self.duty) != len(self.exposure_ms):
            raise ConfigError(
                f"{len(self.duty)} patterns with {len(self.exposure_ms)} exposures are no book of lights.",
                hint="give one exposure per pattern",
            )
        inside = np.isfinite(self.duty) & (self.duty >= 0) & (self.duty <= 1)
        if not inside.all() or not (self.duty > 0).any(axis=1).all():
            raise ConfigError(
                f"Duties from {self.duty.min():g} to {self.duty.max():g} cannot be shown, or a pattern is dark.",
                hint="duties are 0 to 1, some above 0; a signed pattern is two captures",
            )
        if not (np.isfinite(self.exposure_ms).all() and (self.exposure_ms > 0).all()):
            raise ConfigError(
                f"An exposure of {self.exposure_ms.min():g} ms is impossible.", hint="give milliseconds above 0"
            )

    @classmethod
    def from_patterns(cls, patterns: Sequence[Pattern], lamps: Lamps, exposures_ms: Sequence[float]) -> "LightBook":
        """The book of patterns of the lamps' board, in the levels that it holds.

        Raises ConfigError for another board, or for light from LEDs that the stack has no images of.
        """
        duty = np.stack([_lamp_duty(pattern, lamps) for pattern in patterns])
        names = tuple(pattern.name or f"pattern {index}" for index, pattern in enumerate(patterns))
        return cls(duty, np.asarray(exposures_ms, dtype=np.float64), names)

    def patterns(self, lamps: Lamps) -> tuple[Pattern, ...]:
        """The same lights for a board. Raises ConfigError where the numbers of lamps differ."""
        if self.duty.shape[1] != len(lamps):
            raise ConfigError(
                f"Lights of {self.duty.shape[1]} lamps do not fit {len(lamps)} lamps.", hint="use the stack's lamps"
            )
        return tuple(
            lamps_pattern(lamps, duty, name)
            for duty, name in zip(self.duty, self.names or [""] * len(self), strict=True)
        )

    def __len__(self) -> int:
        return len(self.duty)

    @property
    def lights_led_s(self) -> Float[np.ndarray, " pattern"]:
        """LED-seconds that each capture emits."""
        lit: Float[np.ndarray, " pattern"] = lit_lamps(torch.from_numpy(self.duty)).numpy()
        return np.asarray(lit * self.exposure_ms / 1000)

    @cached_property
    def digest(self) -> str:
        """Identity of lights and exposures, whatever their names."""
        parts = (str(self.duty.shape).encode(), self.duty.tobytes(), self.exposure_ms.tobytes())
        return hashlib.sha256(b"".join(parts)).hexdigest()[:16]


@dataclass(frozen=True, eq=False)
class Meter:
    """Exposure of any light from what lamps give on a typical cell.

    mean_e_per_ms, peak_e_per_ms: of each lamp at full drive, the mean over the field and the 99.5 % quantile of
    its pixels. The mean of a sum is exact; its peak is at most the sum of the peaks, and that is what is used.
    electrons: wanted in the mean over the field, or from the empty field in the same light (see PhotonBudget.rule),
    for each capture. saturation_e: what the peak may reach.
    """

    mean_e_per_ms: Float[np.ndarray, " lamp"]
    peak_e_per_ms: Float[np.ndarray, " lamp"]
    electrons: float
    saturation_e: float
    exposure_max_ms: float

    @classmethod
    def of(cls, stack: CellStack, lamps: Lamps, budget: PhotonBudget, camera: Camera, *, captures: int = 1) -> "Meter":
        """Measured on up to 512 cells from all over the stack; each of `captures` gets its share of the budget."""
        rows = np.unique(np.linspace(0, len(stack) - 1, min(METER_ROWS, len(stack))).astype(np.int64))
        images = stack.batch(rows).numpy()
        flux = budget.flux_e_per_ms * lamps.irradiance
        mean = images.mean(axis=(0, 2), dtype=np.float64) if budget.rule == "signal" else np.ones(len(lamps))
        pixels = np.swapaxes(images, 0, 1).reshape(len(lamps), -1)
        peak = np.quantile(pixels, METER_QUANTILE, axis=1)
        return cls(
            mean_e_per_ms=mean * (flux if budget.rule == "signal" else budget.flux_e_per_ms),
            peak_e_per_ms=peak * flux,
            electrons=budget.electrons / captures,
            saturation_e=budget.peak * camera.full_well_e,
            exposure_max_ms=budget.exposure_max_ms,
        )

    @cached_property
    def digest(self) -> str:
        """Identity of all its numbers."""
        rest = np.array([self.electrons, self.saturation_e, self.exposure_max_ms])
        parts = (self.mean_e_per_ms.tobytes(), self.peak_e_per_ms.tobytes(), rest.tobytes())
        return hashlib.sha256(b"".join(parts)).hexdigest()[:16]

    def exposure_ms(self, duty: Float[Tensor, "light lamp"]) -> Float[Tensor, " light"]:
        """Milliseconds for each light, float64; at most `exposure_max_ms`, which a dark light gets."""
        # products of float64 are summed lamp by lamp, in the same order however many lights there are
        rate, peak = (
            _sum_of_lamps(duty.double() * torch.from_numpy(each).to(duty.device))
            for each in (self.mean_e_per_ms, self.peak_e_per_ms)
        )
        wanted = self.electrons / rate.clamp_min(TINY)
        return torch.minimum(wanted, self.saturation_e / peak.clamp_min(TINY)).clamp_max(self.exposure_max_ms)

    def book(self, duty: Float[np.ndarray, "pattern lamp"], names: Sequence[str] = ()) -> LightBook:
        """The book of these lights, each in the board's levels, exposed by this meter."""
        shown = in_levels(torch.from_numpy(np.ascontiguousarray(duty, dtype=np.float32)))
        return LightBook(shown.numpy(), self.exposure_ms(shown).numpy(), tuple(names))


def in_levels(duty: Float32[Tensor, "light lamp"]) -> Float32[Tensor, "light lamp"]:
    """Duties as a board with 8 bits holds them; below 0 is dark, above 1 is full drive."""
    return (duty.clamp(0, 1) * LEVELS).round() / LEVELS


def lit_lamps(duty: Float32[Tensor, "light lamp"]) -> Float[Tensor, " light"]:
    """Lamps at full drive that give as much light, float64, exact for duties in levels of a board."""
    return (duty.double() * LEVELS).round().sum(1) / LEVELS


def named_lights(lamps: Lamps, kinds: Sequence[Kind], *, seed: int = 0) -> Float32[np.ndarray, "pattern lamp"]:
    """Duties of the fixed lights of the cell experiments; of signed ones what is added, then what is subtracted."""
    parts = []
    for kind in kinds:
        config = CellLightConfig(kind=kind, colours=lamps.colours, bits=8)
        with torch.no_grad():
            weights = CellLight(lamps, config, torch.Generator().manual_seed(seed))().sum(0)
        parts += [part for part in (weights.clamp_min(0), (-weights).clamp_min(0)) if bool(part.any())]
    duty: Float32[np.ndarray, "pattern lamp"] = torch.stack(parts).numpy().astype(np.float32)
    return duty


def lamps_of_stack(stack: CellStack) -> Lamps:
    """The lamps of a stack. Raises ConfigError where it does not say on which board and in which optics."""
    if stack.board is None or stack.system is None:
        raise ConfigError(
            f"{stack.source} says nothing about board or optics.", hint="use a stack that was computed for a board"
        )
    return Lamps(stack.board, stack.led, stack.colour, stack.system.na)


def lamps_pattern(lamps: Lamps, duty: Float32[np.ndarray, " lamp"], name: str) -> Pattern:
    """One light for the lamps' board, from a duty for each lamp."""
    board: LedBoard = lamps.board
    full = np.zeros((board.n_leds, board.n_colours), dtype=np.float32)
    full[lamps.led, lamps.colour] = duty
    return Pattern.of(board, full, name=name)


def _sum_of_lamps(products: Float[Tensor, "light lamp"]) -> Float[Tensor, " light"]:
    total = torch.zeros(len(products), dtype=torch.float64, device=products.device)
    for lamp in products.unbind(1):
        total = total + lamp
    return total


def _lamp_duty(pattern: Pattern, lamps: Lamps) -> Float32[np.ndarray, " lamp"]:
    if pattern.board != lamps.board.digest:
        raise ConfigError(
            f"Pattern '{pattern.name}' is for another board than '{lamps.board.name}'.", hint="use the stack's board"
        )
    levels = pattern.levels
    duty: UInt8[np.ndarray, " lamp"] = levels[lamps.led, lamps.colour]
    if int(duty.sum(dtype=np.int64)) != int(levels.sum(dtype=np.int64)):
        raise ConfigError(
            f"Pattern '{pattern.name}' lights LEDs of which the stack has no images.",
            hint="compute the stack with every LED and colour that the patterns use",
        )
    return np.asarray(duty / LEVELS, dtype=np.float32)
