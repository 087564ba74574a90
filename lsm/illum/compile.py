"""From learned weights to what a given board can show: bits, current, faulty LEDs, colours, signs.

A light is one capture, or two when weights are negative; a capture is one frame of the camera, or several
on a board whose levels are too coarse. What was asked is the sum of all frames, each with its sign:

    >>> import numpy as np
    >>> from lsm.illum import Drive, LedBoard, compile_light
    >>> board = LedBoard.grid(rows=13, columns=13, pitch_mm=3.0, distance_mm=50.0)
    >>> drive = Drive(max_ma=500, dead_leds=(3,), latch_ms=2)
    >>> light = compile_light(board, np.linspace(-1, 0.7, 169), drive, exposure_ms=10)
    >>> [(frame.pattern.name, round(frame.exposure_ms, 2)) for frame in light.frames]
    [('positive', 9.86), ('negative', 25.76)]
    >>> light.peak_current_ma <= 500, light.scale, light.lost_leds
    (True, 1.0, (3,))

Levels and a camera's images are unsigned integers, in which -1 times 3 is 253 or 65533. Add frames up as
`signed_drive`, and images only once they are floating-point numbers:

    >>> shown = sum(frame.signed_drive for frame in light.frames)
    >>> bool(np.allclose(shown, light.predicted_light))
    True

Light is LED power times exposure. Its unit is a channel of balance 1 at full drive for the exposure asked
for; where each LED stands does not enter unless the weights are meant `at_sample`.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from lsm.errors import ConfigError, LimitExceeded
from lsm.illum._encode import Encoding, Want, split
from lsm.illum._job import Job, Part, Weights, as_asked, encode, job_of
from lsm.illum.board import LedBoard
from lsm.illum.drive import LEVELS, Drive
from lsm.illum.pattern import GREEN, Pattern, dark

HALF_LEVEL = 0.5 / LEVELS
EXPOSURE_LIMITS_MS = (0.01, 1000.0)
# whatever the errors are, light so near to what was asked still correlates with it to 0.995 (sqrt(1 - 0.1^2))
RMS_ERROR_LIMIT = 0.1


@dataclass(frozen=True)
class LitFrame:
    """One pattern and how long the camera sees it, after it has latched.

    sign: -1 where the frame is subtracted.
    current_ma: predicted supply current, stuck LEDs included.
    asked_ms: the exposure for which weight 1 is full drive.
    """

    pattern: Pattern
    exposure_ms: float
    sign: int
    current_ma: float
    asked_ms: float

    @property
    def signed_drive(self) -> Weights:
        """What the frame adds to the sum [led, colour], 1 being full drive for the exposure asked for.

        Without stuck LEDs, the sum of all frames times each channel's `colour_balance` (and, where weights are
        meant at the sample, each LED's `relative_irradiance`) is `CompiledLight.predicted_light`.
        """
        drive: Weights = self.pattern.levels * (self.sign * self.exposure_ms / self.asked_ms / LEVELS)
        return drive


@dataclass(frozen=True, eq=False)
class CompiledLight:
    """Frames whose signed sum is `scale` times the light asked for, what is wrong with it, and what it costs.

    frames: positive ones first. Their images are added, those of sign -1 subtracted.
    scale: 1 unless the exposure limits (or `keep_exposure`) forbid it.
    asked: the weights [led, colour].
    predicted_light: in the units of `asked` times `scale`; dead LEDs give 0, stuck ones shine in every frame.
    noise_light: the same without signs: its image, in electrons, is the shot noise variance of the sum,
    to which every frame adds the camera's read noise.
    half_step: how far from `scale * asked` rounding alone can take each LED [led, colour]; 0 where all is exact.
    max_error: largest deviation of a sound LED from `scale * asked`, relative to the largest asked of any of them.
    rms_error: root mean square of the deviations, relative to that of the light asked.
    lost_leds: those asked to shine that cannot; no other makes up for them, since none lights from their
    direction. lost_share: their share of all light asked for, signs aside.
    stuck_leds: those that shine whatever is asked.
    latch_ms: time before each frame, in which the camera does not expose.
    """

    frames: tuple[LitFrame, ...]
    scale: float
    asked: Weights
    predicted_light: Weights
    noise_light: Weights
    half_step: Weights
    max_error: float
    rms_error: float
    lost_leds: tuple[int, ...]
    lost_share: float
    stuck_leds: tuple[int, ...]
    latch_ms: float

    @property
    def time_ms(self) -> float:
        """Exposures and latching; a camera's read-out comes on top."""
        return sum(frame.exposure_ms + self.latch_ms for frame in self.frames)

    @property
    def peak_current_ma(self) -> float:
        """Largest supply current of any frame."""
        return max(frame.current_ma for frame in self.frames)

    @property
    def light_dose_led_ms(self) -> float:
        """LED channels at full drive times milliseconds, of all frames; stuck LEDs not counted."""
        return sum(frame.pattern.total_duty * frame.exposure_ms for frame in self.frames)


def compile_light(
    board: LedBoard,
    weights: ArrayLike,
    drive: Drive,
    *,
    exposure_ms: float,
    colour: int = GREEN,
    keep_exposure: bool = False,
    at_sample: bool = False,
    tolerance: float = HALF_LEVEL,
    max_rms_error: float = RMS_ERROR_LIMIT,
    exposure_limits_ms: tuple[float, float] = EXPOSURE_LIMITS_MS,
) -> CompiledLight:
    """What the board shows for signed or non-negative weights of any size, [led] in one colour or [led, colour].

    exposure_ms: weight 1 is a channel of balance 1 at full drive for this long.
    keep_exposure: by default the LEDs are driven as high as levels and current allow, and the exposure is
    shortened or lengthened to give the same light. When it is kept, weights above 1 or above the current
    limit lower `scale`, and small weights use few levels.
    at_sample: weights are irradiance at the sample, so that the board's `relative_irradiance` is made up for.
    tolerance: error, relative to the largest weight, up to which few patterns, and among those a short exposure,
    are preferred to exactness.
    max_rms_error: largest `rms_error` accepted; math.inf accepts any, and the result tells it.
    exposure_limits_ms: shortest and longest frame of the camera. Too little light for the shortest raises
    `scale` above 1, too much for the longest lowers it, for both captures alike.

    A current limit never makes the board scale a pattern: levels are chosen below it, and where even the
    lowest is too much (or a board of 1 bit would draw too much) the LEDs take turns.
    Raises WrongFormat for weights that do not fit the board, ConfigError for a drive or exposure that does
    not, LimitExceeded when no `max_patterns` patterns give the light within the current, or none within
    `max_rms_error`.
    """
    for key, value in (("tolerance", tolerance), ("max_rms_error", max_rms_error)):
        if not value >= 0:
            raise ConfigError(f"{key} = {value:g} is impossible.", hint="an error accepted is 0 or more")
    asked = as_asked(board, weights, colour)
    job = job_of(board, drive, asked, exposure_ms, exposure_limits_ms, at_sample=at_sample)
    parts = [Part(sign, part) for sign, part in zip((1, -1), split_signed(job.wanted), strict=True) if part.any()]
    scale, pairs = encode(job, parts, keep_exposure=keep_exposure, tolerance=tolerance)
    captures = [_capture(job, part.sign, *pair) for part, pair in zip(parts, pairs, strict=True)]
    if not any(capture.frames for capture in captures):
        captures.append(_dark(job))
    light = _result(job, asked, scale, captures)
    if light.rms_error > max_rms_error:
        raise _too_wrong(job, light, max_rms_error, keep_exposure=keep_exposure, tolerance=tolerance)
    return light


def split_signed(weights: Float[np.ndarray, "*axes"]) -> tuple[Float[np.ndarray, "*axes"], Float[np.ndarray, "*axes"]]:
    """Positive and negative part of signed weights, each non-negative: two captures, charged as two."""
    positive: Float[np.ndarray, "*axes"] = np.clip(weights, 0.0, None)
    negative: Float[np.ndarray, "*axes"] = np.clip(-weights, 0.0, None)
    return positive, negative


@dataclass(frozen=True, eq=False)
class _Capture:
    """Frames of one sign, the light of each channel [led, colour] in them, and what rounding can make of it."""

    sign: int
    frames: tuple[LitFrame, ...]
    light: Weights
    half_step: Weights


def _capture(job: Job, sign: int, want: Want, encoding: Encoding) -> _Capture:
    means = job.means(keep_exposure=False)
    # rounding may leave an exposure a little outside the camera's limits
    exposures_ms = np.clip(encoding.exposures_ms(want, means), *job.limits_ms)
    shown = [
        (levels, float(exposure_ms))
        for plane, exposure_ms in zip(encoding.levels, exposures_ms, strict=True)
        for levels in split(plane, means)
    ]
    name = "negative" if sign < 0 else "positive"
    frames, light = [], np.zeros_like(job.wanted)
    for count, (levels, exposure_ms) in enumerate(shown, start=1):
        title = name if len(shown) == 1 else f"{name} {count} of {len(shown)}"
        pattern = Pattern.of(job.board, levels / means.full_level, name=title)
        # all that is told follows from the levels that are sent
        sent = pattern.levels.astype(np.int64)
        current_ma = job.stuck_ma + int(means.draw(sent).sum()) / LEVELS / 1000
        frames.append(LitFrame(pattern, exposure_ms, sign, current_ma, job.exposure_ms))
        duty = sent / LEVELS
        duty[[*job.drive.stuck_leds]] = 1.0
        light += duty * job.efficacy * (exposure_ms / job.exposure_ms)
    step = encoding.step * want.full_ms / job.exposure_ms
    return _Capture(sign, tuple(frames), light, np.where(sign * job.wanted > 0, step / 2 * job.efficacy, 0))


def _dark(job: Job) -> _Capture:
    exposure_ms = float(np.clip(job.exposure_ms, *job.limits_ms))
    light = np.zeros_like(job.wanted)
    light[[*job.drive.stuck_leds]] = job.efficacy[[*job.drive.stuck_leds]] * (exposure_ms / job.exposure_ms)
    frame = LitFrame(dark(job.board), exposure_ms, 1, job.stuck_ma, job.exposure_ms)
    return _Capture(1, (frame,), light, np.zeros_like(light))


def _result(job: Job, asked: Weights, scale: float, captures: list[_Capture]) -> CompiledLight:
    light = np.sum([capture.sign * capture.light for capture in captures], axis=0)
    wanted = np.where(job.sound, scale * asked, 0)
    off = np.where(job.sound, light - wanted, 0)
    size = float(np.abs(wanted).max())
    # squares of what is small beside 1 may be 0 in float64
    relative, relative_off = (wanted / size, off / size) if size else (wanted, np.zeros_like(off))
    lost = np.where(job.sound, 0, np.abs(asked))
    lost[[*job.drive.stuck_leds]] = 0
    total = float(np.abs(asked).sum())
    return CompiledLight(
        frames=tuple(frame for capture in captures for frame in capture.frames),
        scale=scale,
        asked=asked,
        predicted_light=light,
        noise_light=np.sum([capture.light for capture in captures], axis=0),
        half_step=np.sum([capture.half_step for capture in captures], axis=0),
        max_error=float(np.abs(relative_off).max()),
        rms_error=float(np.linalg.norm(relative_off) / np.linalg.norm(relative)) if size else 0.0,
        lost_leds=tuple(int(led) for led in np.flatnonzero(lost.any(axis=1))),
        lost_share=float(lost.sum()) / total if total else 0.0,
        stuck_leds=job.drive.stuck_leds,
        latch_ms=job.drive.latch_ms,
    )


def _too_wrong(
    job: Job, light: CompiledLight, max_rms_error: float, *, keep_exposure: bool, tolerance: float
) -> LimitExceeded:
    ways = []
    if light.max_error <= tolerance:
        ways.append(f"lower tolerance (now {tolerance:g})")
    if keep_exposure:
        ways.append("do without keep_exposure")
    if any(frame.exposure_ms <= job.limits_ms[0] for frame in light.frames):
        ways.append(f"ask for more light than {job.exposure_ms:g} ms give")
    ways.append(f"raise max_patterns of the drive (now {job.drive.patterns_allowed})")
    if job.drive.max_ma is not None:
        ways.append(f"raise its max_ma (now {job.drive.max_ma:g})")
    return LimitExceeded(
        f"Board '{job.board.name}' would show this light with an rms error of {light.rms_error:.3g}, "
        f"above the {max_rms_error:g} accepted.",
        hint=f"{', '.join(ways)}, or accept the error with a larger max_rms_error",
    )
