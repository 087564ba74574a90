"""Settings of the experiment: the rig as its makers describe it, the phantoms, the trainings."""

from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le, Len, Lt

from lsm.config import Config
from lsm.errors import ConfigError
from lsm.optics import Camera, ImagingSystem
from lsm.optics.recover import RecoverConfig

Colour = Literal["red", "green"]
FixedLight = Literal["centre", "bright field", "all", "dark field", "half", "random"]
Positive = Annotated[float, Gt(0)]
NonNegative = Annotated[float, Ge(0)]
Count = Annotated[int, Ge(1)]
Range = tuple[Positive, Positive]


class RigAsDescribed(Config):
    """Optics of the measured slide as its description gives them; nothing here was fitted to its images.

    rows, columns, pitch_mm, distance_mm: the whole board, as a controller drives it.
    finer: sample pixels per camera pixel.
    """

    na: Positive = 0.10
    camera_pixel_um: Positive = 1.845
    finer: Count = 4
    rows: Count = 15
    columns: Count = 15
    pitch_mm: Positive = 4.0
    distance_mm: Positive = 90.88

    def system(self, wavelength_um: float, *, camera_px: int, margin_px: int) -> ImagingSystem:
        """The imaging system for images of `camera_px` after a margin was cut."""
        return ImagingSystem(
            na=self.na,
            wavelength_um=wavelength_um,
            camera_pixel_um=self.camera_pixel_um,
            sample_pixel_um=self.camera_pixel_um / self.finer,
            sample_px=(camera_px + 2 * margin_px) * self.finer,
            margin_px=margin_px,
        )


class PhantomConfig(Config):
    """Simulated fields, each of a smear, focus, pupil and board of its own.

    train, test: fields. field_px: camera pixels along a field's side. margin_px: computed around it and cut.
    stain, refraction: smallest and largest factor on the absorbance of a red cell (1: 0.16 and 0.075 per um, at the
    wavelength in use) and on its refractive contrast (1: 0.06), drawn evenly in their logarithms.
    white_per_red: white cells, which are dark when stained.
    defocus_um, pupil_waves, shift_mm, turn_rad, distance_mm, led_mm, led_gain: standard deviations of the focus about
    the described one, of each Zernike term of Noll 5 to 11, of the board's place along each axis, its angle and its
    distance, of each LED's place along each axis and of the logarithm of each LED's brightness.
    """

    train: Count = 160
    test: Count = 48
    field_px: Annotated[int, Ge(16)] = 64
    margin_px: Count = 8
    stain: Range = (0.5, 4.0)
    refraction: Range = (0.1, 1.0)
    white_per_red: NonNegative = 0.02
    defocus_um: NonNegative = 15.0
    pupil_waves: NonNegative = 0.02
    shift_mm: NonNegative = 0.5
    turn_rad: NonNegative = 0.01
    distance_mm: NonNegative = 1.0
    led_mm: NonNegative = 0.1
    led_gain: NonNegative = 0.1


class ReaderTraining(Config):
    """One training: a small convolutional network and, for `learned`, the light with it.

    channels: of every hidden layer. steps, batch: fields are drawn with replacement.
    rate, light_rate: largest learning rates of the network and of the light's logits.
    start: LEDs that are bright when learning begins. start_logit, start_noise: how bright, and its scatter.
    """

    channels: Count = 16
    steps: Count = 300
    batch: Count = 6
    rate: Positive = 4e-3
    light_rate: Positive = 0.03
    start: Literal["outside", "inside", "even"] = "outside"
    start_logit: NonNegative = 0.5
    start_noise: NonNegative = 0.2


class CaptureConfig(Config):
    """One capture: exposed until its mean is `mean_signal` full wells, or its 99.5 % quantile `peak_signal`."""

    camera: Camera = Camera()
    mean_signal: Annotated[float, Gt(0), Le(1)] = 0.5
    peak_signal: Annotated[float, Gt(0), Le(1)] = 0.9


class SlideConfig(Config):
    """How the measured slide is used.

    crop_px: its middle; 0 is all of it. recover_margin_px: as lsm.optics.recover advises. largest_na: LEDs beyond it
    are left out of the recovery; 1 takes all. rim_px: camera pixels at the rim that are not scored.
    tiles: along each side, for intervals over places. withheld: place in order of NA of the first LED that is left
    out where the recovered sample has to predict; every fifth follows.
    """

    crop_px: Annotated[int, Ge(0)] = 0
    recover: RecoverConfig = RecoverConfig()
    recover_margin_px: Count = 16
    largest_na: Positive = 1.0
    rim_px: Annotated[int, Ge(0)] = 4
    tiles: Annotated[int, Ge(2)] = 4
    withheld: Annotated[int, Ge(0), Lt(5)] = 2


class SimToRealConfig(Config):
    """The whole experiment. Every random stream starts from `seed` and the number of the training."""

    seed: int = 0
    seeds: Count = 5
    colours: Annotated[tuple[Colour, ...], Len(1)] = ("red", "green")
    fixed: Annotated[tuple[FixedLight, ...], Len(1)] = ("centre", "bright field", "all", "dark field", "half", "random")
    rig: RigAsDescribed = RigAsDescribed()
    phantoms: PhantomConfig = PhantomConfig()
    training: ReaderTraining = ReaderTraining()
    capture: CaptureConfig = CaptureConfig()
    slide: SlideConfig = SlideConfig()

    def quick(self) -> "SimToRealConfig":
        """A form of the same that takes well below a minute: one colour, a part of the slide, short trainings."""
        changes = {
            "seeds": min(self.seeds, 2),
            "colours": self.colours[:1],
            "fixed": self.fixed[:3],
            "phantoms": self.phantoms.model_copy(update={"train": 32, "test": 10}),
            "training": self.training.model_copy(update={"steps": 100, "batch": 4}),
            "slide": self.slide.model_copy(
                update={
                    "crop_px": 64,
                    "recover_margin_px": 8,
                    "largest_na": 0.3,
                    "recover": self.slide.recover.model_copy(update={"epochs": 30}),
                }
            ),
        }
        return self.model_copy(update=changes)

    def checked(self) -> "SimToRealConfig":
        """Itself. Raises ConfigError for ranges that run backwards."""
        for key in ("stain", "refraction"):
            low, high = getattr(self.phantoms, key)
            if low > high:
                raise ConfigError(f"phantoms.{key} runs from {low:g} to {high:g}.", hint="give the smaller one first")
        return self
