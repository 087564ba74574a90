"""A microscope computed by lsm.optics over a sample: light in as board levels, ADU out."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

import numpy as np
import torch
from jaxtyping import Bool, Complex, Float, Int
from pydantic import Field, model_serializer
from torch import Tensor

from lsm.config import Config
from lsm.devices import Frame, Observe, Shown
from lsm.errors import IlluminatorError, LimitExceeded, WrongFormat
from lsm.illum import LedBoard
from lsm.optics import Camera, ImagingSystem, integrate_pixels, led_stack, pattern_image
from lsm.optics.draws import STAGE, draws, exposure_noise
from lsm.optics.stage import Position, StageErrors, StageState
from lsm.samples import Smear
from lsm.types import DutyLevels, Image

LEVELS = 255
GREEN = 1

Rate = Float[Tensor, "cy cx"]


class GridBoardConfig(Config):
    """The numbers of `LedBoard.grid`: a flat, centred RGB board below the sample."""

    rows: Annotated[int, Field(ge=1)] = 13
    columns: Annotated[int, Field(ge=1)] = 13
    pitch_mm: Annotated[float, Field(gt=0)] = 3.0
    distance_mm: Annotated[float, Field(gt=0)] = 50.0

    def board(self) -> LedBoard:
        """The board itself."""
        return LedBoard.grid(rows=self.rows, columns=self.columns, pitch_mm=self.pitch_mm, distance_mm=self.distance_mm)


class TwinConfig(Config):
    """A 4x / 0.10 microscope with a 169-LED board; the defaults are the default rig.

    led_flux_e_per_ms: electrons per ms and pixel in the empty field from the strongest LED at full duty.
    cached_positions: stage positions whose LED images are kept, about 40 MB each in one colour.
    z_range_um: travel of the focus; the sample is in focus at 0.
    stage: errors of stage and focus that the microscope does not know of; none when None. Part of the digest
    only where given, so that a perfect stage keeps the digest that models and recordings carry.
    """

    system: ImagingSystem = ImagingSystem(margin_px=16)
    camera: Camera = Camera()
    led_board: GridBoardConfig = GridBoardConfig()
    led_flux_e_per_ms: Annotated[float, Field(gt=0)] = 100.0
    cached_positions: Annotated[int, Field(ge=1)] = 4
    z_range_um: tuple[float, float] = (-200.0, 200.0)
    stage: StageErrors | None = None

    @model_serializer(mode="wrap")
    def _without_a_perfect_stage(self, serialise: Callable[["TwinConfig"], dict[str, Any]]) -> dict[str, Any]:
        table = serialise(self)
        return table if self.stage is not None else {key: value for key, value in table.items() if key != "stage"}

    @classmethod
    def default(cls) -> "TwinConfig":
        """The default rig."""
        return cls()


@dataclass
class _ColourStack:
    """One image per LED of one field in one colour, computed for the LEDs that have been lit so far."""

    transmission: Tensor
    images: Tensor
    done: Bool[np.ndarray, " led"]


@dataclass
class _Field:
    """What is kept of one stage position."""

    colours: dict[int, _ColourStack] = field(default_factory=dict)


class FieldRenderer:
    """Images of a sample under any light, with one image per LED kept for the last few stage positions.

    Only LEDs and colours that are lit are computed. Safe to call from several threads.
    Raises ConfigError where the grid is too coarse for the board.
    """

    def __init__(self, sample: Smear, board: LedBoard, config: TwinConfig) -> None:
        self._sample = sample
        self._board = board
        self._config = config
        self._fields: OrderedDict[tuple[float, float, float], _Field] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def board(self) -> LedBoard:
        return self._board

    @property
    def cached(self) -> int:
        """How many stage positions are held in memory."""
        return len(self._fields)

    def rate(self, levels: DutyLevels, xy_um: tuple[float, float], z_um: float) -> Rate:
        """Electrons per ms and pixel, float32 [camera_px, camera_px], under 8-bit levels of all colours.

        Raises WrongFormat for levels that do not fit the board.
        """
        self._check(levels)
        side = self._config.system.camera_px
        total = torch.zeros(side, side)
        with self._lock, torch.no_grad():
            for colour in np.flatnonzero(levels.any(axis=0)):
                total += self._colour_rate(levels[:, colour], int(colour), xy_um, z_um)
        return total

    def prepare(self, xy_um: tuple[float, float], z_um: float, colours: tuple[int, ...] = (GREEN,)) -> None:
        """Compute every LED of these colours here now, so that the next images take milliseconds."""
        with self._lock, torch.no_grad():
            for colour in colours:
                self._stack(xy_um, z_um, colour, np.ones(self._board.n_leds, dtype=bool))

    def image(
        self,
        levels: DutyLevels,
        xy_um: tuple[float, float],
        z_um: float,
        exposure_ms: float,
        generator: torch.Generator,
    ) -> Image:
        """One camera frame in ADU with shot noise, read noise and clipping."""
        return self.image_along(levels, [(1.0, (*xy_um, z_um))], exposure_ms, generator)

    def image_along(
        self,
        levels: DutyLevels,
        path: Sequence[tuple[float, Position]],
        exposure_ms: float,
        generator: torch.Generator,
    ) -> Image:
        """One camera frame of an exposure that spends these shares of its time at these places (x, y, z)."""
        side = self._config.system.camera_px
        rate = torch.zeros(side, side)
        for share, (x_um, y_um, z_um) in path:
            rate += self.rate(levels, (x_um, y_um), z_um) * share
        return self.exposed(rate, exposure_ms, generator)

    def exposed(self, rate_e_per_ms: Rate, exposure_ms: float, generator: torch.Generator) -> Image:
        """What the camera makes of a rate. A renderer whose noise comes from elsewhere has its own."""
        adu = self._config.camera.expose(rate_e_per_ms, exposure_ms, generator)
        image: Image = adu.numpy()
        return image

    def _check(self, levels: DutyLevels) -> None:
        expected = (self._board.n_leds, self._board.n_colours)
        if levels.shape != expected:
            raise WrongFormat(
                f"Levels {levels.shape} do not fit board '{self._board.name}'.", hint=f"give uint8 {expected}"
            )

    def _colour_rate(self, levels: np.ndarray, colour: int, xy_um: tuple[float, float], z_um: float) -> Rate:
        lit = levels > 0
        images = self._stack(xy_um, z_um, colour, lit).images
        duty = levels / LEVELS * self._board.relative_irradiance * self._config.led_flux_e_per_ms
        weights = torch.from_numpy(duty.astype(np.float32))
        if 2 * int(lit.sum()) < len(lit):
            # a copy of few images; of many it would cost more than to multiply the others by 0
            some = torch.from_numpy(np.flatnonzero(lit))
            images, weights = images[some], weights[some]
        summed = pattern_image(images, weights[None])[0]
        system = self._system(colour)
        return integrate_pixels(summed, system) if _sums_points(system) else summed

    def _system(self, colour: int) -> ImagingSystem:
        return self._config.system.at_wavelength(self._board.wavelengths_um[colour])

    def _stack(
        self, xy_um: tuple[float, float], z_um: float, colour: int, lit: Bool[np.ndarray, " led"]
    ) -> _ColourStack:
        colours = self._field(xy_um, z_um).colours
        if colour not in colours:
            colours[colour] = self._new_stack(xy_um, colour)
        stack = colours[colour]
        missing = np.flatnonzero(lit & ~stack.done)
        if len(missing):
            stack.images[missing] = self._compute(stack.transmission, colour, torch.from_numpy(missing), z_um)
            stack.done[missing] = True
        return stack

    def _compute(self, transmission: Tensor, colour: int, leds: Int[Tensor, " led"], z_um: float) -> Tensor:
        system = self._system(colour)
        if not _sums_points(system):
            return led_stack(transmission, self._board, system, leds=leds, defocus_um=z_um)
        whole = system.without_margin()
        return led_stack(transmission, self._board, whole, leds=leds, defocus_um=z_um, pixel="point")

    def _transmission(self, xy_um: tuple[float, float], colour: int) -> Complex[Tensor, "y x"]:
        """The sample around a place, of which images in this colour are made."""
        system = self._system(colour)
        field = self._sample.transmission(
            x_um=xy_um[0],
            y_um=xy_um[1],
            n_px=system.sample_px,
            pixel_um=system.sample_pixel_um,
            wavelength_um=system.wavelength_um,
        )
        return torch.from_numpy(field)

    def _new_stack(self, xy_um: tuple[float, float], colour: int) -> _ColourStack:
        system = self._system(colour)
        side = system.computed_px if _sums_points(system) else system.camera_px
        leds = self._board.n_leds
        return _ColourStack(
            self._transmission(xy_um, colour), torch.zeros(leds, side, side), np.zeros(leds, dtype=bool)
        )

    def _field(self, xy_um: tuple[float, float], z_um: float) -> _Field:
        # a nanometre is far below anything a stage or an image resolves
        key = (round(xy_um[0], 3), round(xy_um[1], 3), round(z_um, 3))
        if key not in self._fields:
            self._fields[key] = _Field()
        self._fields.move_to_end(key)
        while len(self._fields) > self._config.cached_positions:
            self._fields.popitem(last=False)
        return self._fields[key]


def _sums_points(system: ImagingSystem) -> bool:
    """Whether pixels may be integrated once, after the sum over LEDs."""
    return system.intensity_px == system.computed_px


class Twin:
    """A Microscope whose board latches exactly what is asked and whose stage goes where it is told.

    The stage starts at the middle of the sample, the focus at 0. With `TwinConfig.stage` it ends up elsewhere
    than the frames say: they carry what the controller reports. It moves first the stage, then the focus, and waits
    after each; its clock counts moves, waits and exposures, not the time that computing takes.

    The noise of the n-th exposure and the error of the n-th move depend on the seed and n alone, so the same seed
    and the same requests give the same images.
    renderer: computes the images, in place of the one made from sample and configuration.
    """

    def __init__(self, sample: Smear, config: TwinConfig, seed: int, *, renderer: FieldRenderer | None = None) -> None:
        self._config = config
        self._extent_um = sample.extent_um
        self._renderer = renderer or FieldRenderer(sample, config.led_board.board(), config)
        self._seed = seed
        self._exposures = 0
        self._xy_um, self._z_um = (self._extent_um[0] / 2, self._extent_um[1] / 2), 0.0
        self._stage = StageState(config.stage or StageErrors(), draws(seed, STAGE), xy_um=self._xy_um, z_um=self._z_um)
        self._wait_ms = config.stage.wait_ms if config.stage else 0.0
        self._latch = 0

    @property
    def board(self) -> LedBoard:
        return self._renderer.board

    @property
    def renderer(self) -> FieldRenderer:
        """What computes the images, shared by this microscope's observations."""
        return self._renderer

    def observe(self, request: Observe) -> Frame:
        """One frame; see Microscope.

        Raises IlluminatorError for a pattern of another board, LimitExceeded for a position outside the
        sample or the focus range, or an exposure that is not positive; then nothing has moved.
        """
        xy_um = self._xy_um if request.xy_um is None else request.xy_um
        z_um = self._z_um if request.z_um is None else request.z_um
        self._check(request, xy_um, z_um)
        levels = request.pattern.levels
        started_ns = time.monotonic_ns()
        noise = exposure_noise(self._seed, self._exposures)
        path = self._travel(xy_um, z_um, request.exposure_ms)
        image = self._renderer.image_along(levels, path, request.exposure_ms, noise)
        return Frame(
            image=image,
            request=request,
            shown=Shown(levels=levels, latch=self._latch),
            xy_um=xy_um,
            z_um=z_um,
            started_ns=started_ns,
            ended_ns=time.monotonic_ns(),
            metadata={"microscope": "twin", "config": self._config.digest()},
        )

    def relive(self, requests: Iterable[Observe]) -> None:
        """Come to the state that observing these leaves, without computing images. Raises as observe() does."""
        for request in requests:
            xy_um = self._xy_um if request.xy_um is None else request.xy_um
            z_um = self._z_um if request.z_um is None else request.z_um
            self._check(request, xy_um, z_um)
            self._travel(xy_um, z_um, request.exposure_ms)

    def close(self) -> None:
        """Nothing to release."""

    def _travel(self, xy_um: tuple[float, float], z_um: float, exposure_ms: float) -> list[tuple[float, Position]]:
        """Where an exposure there spends its time; it counts as made."""
        start_ms = self._stage.now_ms
        if xy_um != self._xy_um:
            start_ms = self._stage.move(start_ms, xy_um=xy_um) + self._wait_ms
        if z_um != self._z_um:
            start_ms = self._stage.move(start_ms, z_um=z_um) + self._wait_ms
        self._xy_um, self._z_um = xy_um, z_um
        self._latch += 1
        self._exposures += 1
        return self._stage.during(start_ms, exposure_ms)

    def _check(self, request: Observe, xy_um: tuple[float, float], z_um: float) -> None:
        if request.pattern.board != self.board.digest:
            raise IlluminatorError(
                f"Pattern '{request.pattern.name}' is for another board than '{self.board.name}'.",
                hint="build patterns with microscope.board",
            )
        width_um, height_um = self._extent_um
        if not (0 <= xy_um[0] <= width_um and 0 <= xy_um[1] <= height_um):
            raise LimitExceeded(
                f"The position ({xy_um[0]:g}, {xy_um[1]:g}) um is outside the sample.",
                hint=f"x is 0 to {width_um:g} um, y is 0 to {height_um:g} um",
            )
        low_um, high_um = self._config.z_range_um
        if not low_um <= z_um <= high_um:
            raise LimitExceeded(f"The focus {z_um:g} um is out of range.", hint=f"z is {low_um:g} to {high_um:g} um")
        if not (np.isfinite(request.exposure_ms) and request.exposure_ms > 0):
            raise LimitExceeded(
                f"An exposure of {request.exposure_ms:g} ms is impossible.", hint="give a positive number of ms"
            )
