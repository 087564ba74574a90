"""The learnable light: non-negative duties per LED, quantised as the board will show them.

Muthumbi et al., Biomed. Opt. Express 10, 6351 (2019) learn signed weights as a layer in front of the
network. Here every pattern is one capture that a board can show as it stands: duties 0..1 in at most 8 bits,
within the current that the board may draw.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from annotated_types import Ge, Gt, Le
from jaxtyping import Float, Int, Shaped, UInt8
from pydantic import model_serializer, model_validator
from torch import Tensor, nn

from lsm.config import Config
from lsm.errors import ConfigError, ModelMismatch
from lsm.illum import LEVELS, Drive, LedBoard, LightFile
from lsm.illum.pattern import GREEN
from lsm.sensing.drivable import drivable, least_level, quantise

__all__ = [
    "MAX_PATTERNS",
    "IlluminationConfig",
    "IlluminationLayer",
    "given_duty",
    "led_symmetries",
    "quantise",
    "turn",
    "turned_duty",
]

MAX_PATTERNS = 8
"""Most patterns of a codebook: readings are kept for every set of them."""

Start = Literal["annulus", "edge", "half_x", "half_y", "wide", "all", "random"]


class IlluminationConfig(Config):
    """What is learned about the light, and what the board that shows it can do.

    starts: how each learned pattern begins; all but `random` are shapes that break the symmetry. Without
    `starts`, a design with `light` learns no pattern.
    light: light file whose captures are taken as they are, in place of learned patterns or before them. The
    classifier is trained for them; exposures are set anew for the rig's camera, and a capture of sign -1 is
    an image like any other: the network is free to subtract it. The bright field is not taken twice.
    light_digest: `LightFile.light_digest` of that file; filled in by `run_design`, checked where it is given.
    bits: resolution of one LED's drive. The patterns are trained as they will be shown.
    max_ma: supply current that the board may draw, at the currents of the project's firmware; duties are
    scaled to stay inside. Without a limit the board itself dims what is too much for it.
    start_logit: pre-sigmoid value of a lit LED at the start (its negative for a dark one).
    start_noise: standard deviation added to it.
    bright_na: numerical aperture of the fixed bright-field pattern, the objective's own.
    """

    starts: tuple[Start, ...] = ("annulus", "half_x", "wide")
    start_logit: Annotated[float, Gt(0)] = 1.5
    start_noise: Annotated[float, Ge(0)] = 0.5
    sharpness: Annotated[float, Gt(0)] = 3.0
    bright_na: Annotated[float, Gt(0), Le(1)] = 0.1
    light: str = ""
    light_digest: str = ""
    bits: Annotated[int, Ge(1), Le(8)] = 8
    max_ma: Annotated[float, Gt(0)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _learn_nothing_beside_a_light(cls, table: Any) -> Any:
        if isinstance(table, dict) and table.get("light") and "starts" not in table:
            return table | {"starts": ()}
        return table

    @model_serializer(mode="wrap")
    def _without_what_is_not_used(self, serialise: Callable[["IlluminationConfig"], dict[str, Any]]) -> dict[str, Any]:
        # a design that uses none of these keeps the digest that its models and checkpoints carry
        unused = {"light": "", "light_digest": "", "bits": 8, "max_ma": None}
        return {key: value for key, value in serialise(self).items() if key not in unused or value != unused[key]}

    @property
    def n_learned(self) -> int:
        """Patterns that are learned."""
        return len(self.starts)


class IlluminationLayer(nn.Module):
    """Duties [capture, led] of a codebook: bright field at index 0, then those of the light file, then learned ones.

    given: duties of the light file, `given_duty` of this board and configuration; read from the file when None.
    Raises ConfigError for a board without an LED in bright field, and for a current limit below a single LED's
    least level; errors of `given_duty`.
    """

    bright: Tensor
    given: Tensor
    inwards: Tensor

    def __init__(
        self,
        board: LedBoard,
        config: IlluminationConfig,
        generator: torch.Generator,
        *,
        given: Float[Tensor, "given led"] | None = None,
    ) -> None:
        super().__init__()
        self.config = config
        self.most = _most_levels(board, config)
        self.register_buffer("bright", _bright(board, config))
        fixed = given_duty(board, config) if given is None else given
        # what follows from the configuration is no part of a checkpoint
        self.register_buffer("given", fixed, persistent=False)
        self.register_buffer("inwards", torch.from_numpy(np.argsort(board.na, kind="stable")), persistent=False)
        starts = [torch.from_numpy(_start(board, name, config.bright_na)) for name in config.starts]
        lit = torch.stack(starts).float() if starts else torch.zeros(0, board.n_leds)
        noise = torch.randn(lit.shape, generator=generator) * config.start_noise
        noisy = torch.tensor([name == "random" for name in config.starts], dtype=torch.bool)[:, None]
        logits = torch.where(noisy, 3 * noise, (2 * lit - 1) * config.start_logit + noise)
        self.logits = nn.Parameter(logits / config.sharpness)

    @property
    def n_patterns(self) -> int:
        """Patterns of the codebook."""
        return 1 + len(self.given) + len(self.logits)

    def forward(self) -> Float[Tensor, "capture led"]:
        wanted = torch.cat([self.bright[None], self.given, torch.sigmoid(self.config.sharpness * self.logits)])
        if self.most is not None:
            return drivable(wanted, self.config.bits, most=self.most, preferred=self.inwards)
        return quantise(wanted, self.config.bits)

    @torch.no_grad()
    def levels(self) -> UInt8[Tensor, "capture led"]:
        """The 8-bit levels that the board will hold."""
        levels: Tensor = (self() * LEVELS).round().to(torch.uint8)
        return levels


def given_duty(board: LedBoard, config: IlluminationConfig) -> Float[Tensor, "given led"]:
    """Duties of the captures of `config.light` that are not the bright field; none without a light file.

    Raises FileMissing or WrongFormat for the file, ModelMismatch for a light of another board or with another
    digest than `light_digest`, ConfigError for a light in other colours, without a capture of its own or of
    too many.
    """
    if not config.light:
        return torch.zeros(0, board.n_leds)
    light = LightFile.load(Path(config.light))
    if config.light_digest not in ("", light.light_digest):
        raise ModelMismatch(
            f"The light {config.light} is {light.light_digest}, the configuration names {config.light_digest}.",
            hint="restore the file, or leave light_digest out",
        )
    patterns = light.patterns(board)
    for number, pattern in enumerate(patterns):
        others = np.delete(pattern.duty, GREEN, axis=1)
        if others.any():
            raise ConfigError(
                f"Capture {number} of the light {config.light} shines in other colours than green.",
                hint="the fields of a design are computed in green alone: give a light in green",
            )
    bright = _bright(board, config).numpy()
    kept = [pattern.duty[:, GREEN] for pattern in patterns if not np.array_equal(pattern.duty[:, GREEN], bright)]
    if not 0 < len(kept) <= MAX_PATTERNS - 1 - config.n_learned:
        raise ConfigError(
            f"The light {config.light} has {len(kept)} captures beside the bright field.",
            hint=f"a design takes 1 to {MAX_PATTERNS - 1}, those it learns included",
        )
    return torch.from_numpy(np.stack(kept))


def _bright(board: LedBoard, config: IlluminationConfig) -> Float[Tensor, " led"]:
    bright = torch.from_numpy(board.na <= config.bright_na).float()
    if not bool(bright.any()):
        raise ConfigError(
            f"No LED of board '{board.name}' lies inside NA {config.bright_na:g}.",
            hint=f"the innermost LED is at NA {board.na.min():.3f}",
        )
    return bright


def _most_levels(board: LedBoard, config: IlluminationConfig) -> int | None:
    """Largest sum of 8-bit levels within the current limit; None without one."""
    if config.max_ma is None:
        return None
    drive = Drive.of_firmware(board, limit_ma=config.max_ma)
    channel_ua = int(drive.channel_ua(board)[GREEN])
    most = drive.limit_ua * LEVELS // channel_ua
    least = least_level(config.bits)
    if most < least:
        raise ConfigError(
            f"max_ma = {config.max_ma:g} lets no LED of board '{board.name}' shine: the least level of "
            f"{config.bits} bits draws {channel_ua * least / LEVELS / 1000:.3g} mA.",
            hint="raise max_ma, or bits",
        )
    return most


def led_symmetries(board: LedBoard) -> Int[Tensor, "8 led"]:
    """For each of the eight symmetries of the square, the LED that lights the plain sample as LED j lights the turned.

    An image of a turned sample under duty d is the turned image of the plain sample under d re-ordered:
    image(turn(sample, k), d) = turn(image(sample, d'), k) with d'[symmetries[k, j]] = d[j]; see `turn`.
    Raises ConfigError for a board that these symmetries do not map onto itself.
    """
    x, y = board.positions_mm[:, 0], board.positions_mm[:, 1]
    rows = []
    for k in range(8):
        back_x, back_y = x, y
        for _ in range(k % 4):
            # rot90 takes what lies along +x to -y; the light is taken back the other way.
            back_x, back_y = -back_y, back_x
        if k >= 4:
            back_x = -back_x
        distance = np.hypot(back_x[:, None] - x, back_y[:, None] - y)
        if distance.min(axis=1).max() > 1e-6:
            raise ConfigError(
                f"Board '{board.name}' is not symmetric under turns and mirrors.",
                hint="use a centred square grid, or train without augmentation",
            )
        rows.append(distance.argmin(axis=1))
    return torch.from_numpy(np.stack(rows))


def turn(images: Shaped[Tensor, "*batch y x"], k: int) -> Shaped[Tensor, "*batch y x"]:
    """Symmetry k of the square: mirrored along x when k is at least 4, then turned k % 4 times (torch.rot90)."""
    mirrored = images.flip(-1) if k >= 4 else images
    return torch.rot90(mirrored, k % 4, dims=(-2, -1))


def turned_duty(
    duty: Float[Tensor, "capture led"], symmetries: Int[Tensor, "8 led"], k: int
) -> Float[Tensor, "capture led"]:
    """The duties that light the plain sample as `duty` lights the sample turned by symmetry k."""
    return torch.zeros_like(duty).index_copy(1, symmetries[k], duty)


def _start(board: LedBoard, name: str, na: float) -> np.ndarray:
    x = board.directions[:, 0]
    y = board.directions[:, 1]
    outside = board.na > na
    shapes = {
        "annulus": outside & (board.na <= 2.2 * na),
        "edge": (board.na > 0.5 * na) & (board.na <= 1.5 * na),
        "half_x": outside & (x > 1e-9) & (board.na <= 3.2 * na),
        "half_y": outside & (y > 1e-9) & (board.na <= 3.2 * na),
        "wide": board.na > 2.2 * na,
        "all": board.na >= 0,
        "random": board.na < 0,
    }
    return shapes[name]
