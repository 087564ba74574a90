"""The light of a cell experiment: fixed patterns by name, or weights per lamp that are learned.

A lamp is one LED in one colour. A channel is one image that the network sees: a capture, or the difference of
two where weights are signed (Muthumbi et al., Biomed. Opt. Express 10, 6351 (2019)).
"""

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import torch
from annotated_types import Ge, Gt, Le
from jaxtyping import Float, Int
from pydantic import model_validator
from torch import Tensor, nn

from lsm.config import Config
from lsm.errors import ConfigError
from lsm.illum import LEVELS, LedBoard
from lsm.sensing.drivable import drivable, least_level, quantise
from lsm.sensing.illumination import led_symmetries

Kind = Literal[
    "learned",
    "centre",
    "bright field",
    "all LEDs",
    "dark field",
    "outer dark field",
    "off-axis",
    "PC ring",
    "PC +/-",
    "random",
]
Start = Literal["dark field", "bright field", "all LEDs", "random"]

_OUTER_RING = 2.2
"""Outer aperture of the phase-contrast ring in units of the objective's."""


@dataclass(frozen=True, eq=False)
class Lamps:
    """The lamps of a stack, in its order, and the objective that looks.

    led, colour: [lamp]. na_objective: inside it a lamp lights the bright field.
    """

    board: LedBoard
    led: Int[np.ndarray, " lamp"]
    colour: Int[np.ndarray, " lamp"]
    na_objective: float

    def __post_init__(self) -> None:
        if len(self.led) != len(self.colour) or len(self.led) == 0:
            raise ConfigError(
                f"{len(self.led)} LEDs and {len(self.colour)} colours name no lamps.", hint="one of each per image"
            )
        if int(self.led.min()) < 0 or int(self.led.max()) >= self.board.n_leds:
            raise ConfigError(
                f"Lamps name LEDs {int(self.led.min())} to {int(self.led.max())} of board '{self.board.name}'.",
                hint=f"it has LEDs 0 to {self.board.n_leds - 1}",
            )

    def __len__(self) -> int:
        return len(self.led)

    @property
    def colours(self) -> tuple[int, ...]:
        """Colour channels that occur, in ascending order."""
        return tuple(int(colour) for colour in np.unique(self.colour))

    @property
    def na(self) -> Float[np.ndarray, " lamp"]:
        """Numerical aperture under which each lamp shines."""
        return np.asarray(self.board.na[self.led])

    @property
    def irradiance(self) -> Float[np.ndarray, " lamp"]:
        """Each lamp's irradiance at the sample relative to the strongest."""
        return np.asarray(self.board.relative_irradiance[self.led])

    def symmetries(self) -> Int[Tensor, "8 lamp"]:
        """As `led_symmetries`, over lamps. Raises ConfigError where board or choice of LEDs is not symmetric."""
        leds = led_symmetries(self.board).numpy()
        place = {(int(led), int(colour)): k for k, (led, colour) in enumerate(zip(self.led, self.colour, strict=True))}
        try:
            rows = [
                [place[int(turned[led]), int(colour)] for led, colour in zip(self.led, self.colour, strict=True)]
                for turned in leds
            ]
        except KeyError as missing:
            raise ConfigError(
                f"Lamp {missing} is not among those chosen, but one that it turns into is.",
                hint="choose LEDs that a quarter turn and a mirror map onto themselves, or train with turned = false",
            ) from None
        return torch.tensor(rows)


class CellLightConfig(Config):
    """Which light a cell experiment uses.

    kind: "learned", or one of the fixed lights. The outer dark field has the LEDs whose NA is nearer to the board's
    largest than to the objective's.
    signed: learned weights may be negative; a channel is then two captures, and is charged as two.
    captures: channels per colour. colours: colour channels of the board; each gets its own captures.
    start, start_noise, sharpness: where learned weights begin. Few lamps light the bright field, and light from
    them drowns all other: from a start that holds them, gradients do not find the way out.
    bits: what a drive level resolves; 0 leaves weights as they are, which no board can show.
    max_ma: current that the whole board may draw, at `channel_ma` per LED at full drive; None is no limit. It needs
    bits above 0.
    """

    kind: Kind = "learned"
    signed: bool = False
    captures: Annotated[int, Ge(1), Le(8)] = 1
    colours: tuple[Annotated[int, Ge(0)], ...] = (1,)
    start: Start = "dark field"
    start_noise: Annotated[float, Ge(0)] = 0.1
    sharpness: Annotated[float, Gt(0)] = 3.0
    bits: Annotated[int, Ge(0), Le(8)] = 8
    max_ma: Annotated[float, Gt(0)] | None = None
    channel_ma: Annotated[float, Gt(0)] = 20.0

    @model_validator(mode="after")
    def _can_be_shown(self) -> "CellLightConfig":
        if not self.colours:
            raise ConfigError("A light of no colour is dark.", hint="set colours, such as [1]")
        if self.max_ma is not None and self.bits == 0:
            raise ConfigError("A current limit applies to levels of a board.", hint="set bits from 1 to 8")
        return self

    @property
    def n_channels(self) -> int:
        """Images that the network sees."""
        return self.captures * len(self.colours)


class CellLight(nn.Module):
    """Weights [channel, lamp] in -1..1, as the board will show them."""

    lit: Tensor
    fixed: Tensor

    def __init__(self, lamps: Lamps, config: CellLightConfig, generator: torch.Generator) -> None:
        super().__init__()
        missing = sorted(set(config.colours) - set(lamps.colours))
        if missing:
            raise ConfigError(
                f"The stack has no images in colour channel {missing[0]}.",
                hint=f"it has channels {', '.join(map(str, lamps.colours))}",
            )
        if config.kind != "learned" and config.captures != 1:
            raise ConfigError(f"The light '{config.kind}' is one image per colour.", hint="set captures = 1")
        self.config = config
        of_channel = np.repeat(config.colours, config.captures)
        lit = torch.from_numpy(of_channel[:, None] == lamps.colour[None, :])
        self.register_buffer("lit", lit)
        self.learned = config.kind == "learned"
        if self.learned:
            start = torch.from_numpy(_fixed(lamps, config.start, generator)).float()
            noise = torch.randn(lit.shape, generator=generator)
            begin = _signed_start(start, noise) if config.signed else 1.2 * start - 0.6
            if config.start == "random":
                begin = torch.zeros_like(start)
            scale = 3 * config.start_noise if config.start == "random" else config.start_noise
            self.logits = nn.Parameter((begin + scale * noise) * lit)
            self.register_buffer("fixed", torch.zeros(0))
        else:
            weights = torch.from_numpy(_fixed(lamps, config.kind, generator)).float() * lit
            self.register_buffer("fixed", _shown(weights, config))
        _check_current(config, lamps)

    def forward(self) -> Float[Tensor, "channel lamp"]:
        if not self.learned:
            return self.fixed
        config = self.config
        weights = torch.tanh(self.logits) if config.signed else torch.sigmoid(config.sharpness * self.logits)
        return _shown(weights * self.lit, config)


def _shown(weights: Float[Tensor, "channel lamp"], config: CellLightConfig) -> Float[Tensor, "channel lamp"]:
    """In the levels of a board and within its current; the gradient passes the rounding unchanged."""
    if config.bits == 0:
        return weights
    added, subtracted = _parts(weights)
    if config.max_ma is None:
        return quantise(added, config.bits) - quantise(subtracted, config.bits)
    most = int(config.max_ma / config.channel_ma * LEVELS)
    order = torch.arange(weights.shape[1])
    return drivable(added, config.bits, most=most, preferred=order) - drivable(
        subtracted, config.bits, most=most, preferred=order
    )


def _parts(weights: Float[Tensor, "channel lamp"]) -> Float[Tensor, "2 channel lamp"]:
    """What is added and what is subtracted."""
    return torch.stack([weights.clamp_min(0), (-weights).clamp_min(0)])


def split_captures(
    weights: Float[Tensor, "channel lamp"],
) -> tuple[Float[Tensor, "part lamp"], Int[Tensor, " part"], Float[Tensor, " part"]]:
    """(weights, channel, sign) of every capture; channels without negative weights are a single one."""
    positive, negative = _parts(weights)
    subtracted = negative.detach().amax(dim=1) > 0
    added = (positive.detach().amax(dim=1) > 0) | ~subtracted
    channel = torch.cat([added.nonzero()[:, 0], subtracted.nonzero()[:, 0]])
    sign = torch.cat([torch.ones(int(added.sum())), -torch.ones(int(subtracted.sum()))])
    return torch.cat([positive[added], negative[subtracted]]), channel, sign


def _signed_start(start: Tensor, noise: Tensor) -> Tensor:
    """Half of the lamps of the start are subtracted, at random."""
    signed: Tensor = 0.8 * start * torch.where(noise < 0, -1.0, 1.0)
    return signed


def _fixed(lamps: Lamps, kind: str, generator: torch.Generator) -> Float[np.ndarray, " lamp"]:
    """Weights of a light by its name, in all colours alike."""
    na, objective = lamps.na, lamps.na_objective
    ring = (na > objective) & (na <= _OUTER_RING * objective)
    middle, right, left = _middle(lamps)
    shapes: dict[str, np.ndarray] = {
        "centre": _is_led(lamps, middle),
        "bright field": na <= objective,
        "all LEDs": na >= 0,
        "dark field": na > objective,
        "outer dark field": na > (objective + na.max()) / 2,
        "off-axis": _is_led(lamps, right),
        "PC ring": ring.astype(float) - (na <= objective),
        "PC +/-": _is_led(lamps, right) - _is_led(lamps, left),
        "random": torch.rand(len(lamps), generator=generator).numpy(),
    }
    weights = np.asarray(shapes[kind], dtype=np.float64)
    if not weights.any() or (kind == "PC ring" and weights.max() <= 0):
        raise ConfigError(
            f"The light '{kind}' lights no lamp of board '{lamps.board.name}'.",
            hint=f"its LEDs reach from NA {na.min():.3f} to {na.max():.3f}, the objective has {objective:g}",
        )
    return weights


def _is_led(lamps: Lamps, led: int) -> Float[np.ndarray, " lamp"]:
    is_led: Float[np.ndarray, " lamp"] = (lamps.led == led).astype(np.float64)
    return is_led


def _middle(lamps: Lamps) -> tuple[int, int, int]:
    """The LED nearest to the axis, the outermost along +x that the objective takes in, its opposite; -1 for none."""
    directions = lamps.board.directions[lamps.led]
    centre = int(np.argmin(lamps.na))
    inside = (lamps.na <= lamps.na_objective) & (directions[:, 0] > 0)
    if not inside.any():
        return int(lamps.led[centre]), -1, -1
    score = np.where(inside, directions[:, 0] - np.abs(directions[:, 1]), -np.inf)
    right = int(np.argmax(score))
    left = int(np.argmin(np.hypot(*(directions[:, :2] + directions[right, :2]).T)))
    return int(lamps.led[centre]), int(lamps.led[right]), int(lamps.led[left])


def _check_current(config: CellLightConfig, lamps: Lamps) -> None:
    """Raises ConfigError for a limit below the least light that the board can make."""
    least_ma = config.channel_ma * least_level(config.bits or 8) / LEVELS
    if config.max_ma is not None and config.max_ma < least_ma:
        raise ConfigError(
            f"A current limit of {config.max_ma:g} mA is below the {least_ma:.3g} mA of one LED of board "
            f"'{lamps.board.name}' at its lowest level.",
            hint=f"allow more, or drive with more than {config.bits} bits",
        )
