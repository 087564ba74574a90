"""From intensity to camera pixels, and from LED stacks to the image under a pattern."""

import torch
from jaxtyping import Float
from torch import Tensor

from lsm.errors import WrongFormat
from lsm.illum import LedBoard
from lsm.optics.grid import ImagingSystem


def effective_weights(board: LedBoard, duty: Float[Tensor, "*capture led"]) -> Float[Tensor, "*capture led"]:
    """Duties times each LED's relative irradiance at the sample: the weights of `pattern_image`."""
    if duty.shape[-1] != board.n_leds:
        raise WrongFormat(
            f"{duty.shape[-1]} duties do not fit board '{board.name}' with {board.n_leds} LEDs.",
            hint="give one duty per LED, in board order",
        )
    return duty * torch.as_tensor(board.relative_irradiance, dtype=duty.dtype, device=duty.device)


def pattern_image(
    stack: Float[Tensor, "*field led y x"], weights: Float[Tensor, "*batch capture lit"]
) -> Float[Tensor, "*out capture y x"]:
    """Images under patterns: LEDs are incoherent, so each is a weighted sum over the stack.

    weights: from `effective_weights`, zero or positive; leading axes broadcast against the stack's.
    Raises WrongFormat when the numbers of LEDs differ.
    """
    if stack.shape[-3] != weights.shape[-1]:
        raise WrongFormat(
            f"The stack holds {stack.shape[-3]} LEDs, the weights {weights.shape[-1]}.",
            hint="choose the same LEDs for both",
        )
    rows, columns = stack.shape[-2:]
    flat = torch.matmul(weights, stack.flatten(-2))
    return flat.reshape(*flat.shape[:-1], rows, columns)


def axis_transfer(n: int, system: ImagingSystem, *, dtype: torch.dtype) -> Float[Tensor, " n"]:
    """Transfer function of a pixel with full fill factor along one axis, a sinc on the bins of an n-point fft."""
    cycles = torch.fft.fftfreq(n, d=1 / n, dtype=torch.float64) * (system.camera_pixel_um / system.field_um)
    return torch.sinc(cycles).to(dtype)


def average_over_pixel(image: Float[Tensor, "*any n n"], system: ImagingSystem) -> Float[Tensor, "*any n n"]:
    """The intensity averaged over a camera pixel around each point of its periodic grid."""
    n = image.shape[-1]
    transfer = axis_transfer(n, system, dtype=image.dtype).to(image.device)
    spectrum = torch.fft.rfft2(image) * (transfer[:, None] * transfer[: n // 2 + 1])
    averaged: Tensor = torch.fft.irfft2(spectrum, s=(n, n))
    return averaged


def cut_margin(image: Float[Tensor, "*any n n"], system: ImagingSystem) -> Float[Tensor, "*any m m"]:
    """The image without `margin_px` on each side."""
    margin, side = system.margin_px, image.shape[-1]
    return image[..., margin : side - margin, margin : side - margin]


def integrate_pixels(image: Float[Tensor, "*any n n"], system: ImagingSystem) -> Float[Tensor, "*any m m"]:
    """What `pixel="area"` gives, from an uncut `pixel="point"` image: the filter is linear, so sums may come first.

    image: [computed_px, computed_px], made with `system.without_margin()`; the margin is cut here.
    Raises WrongFormat for another size, or where the camera undersamples the image and
    point samples no longer hold what a pixel averages.
    """
    if image.shape[-1] != system.computed_px or system.intensity_px != system.computed_px:
        raise WrongFormat(
            f"Pixels of {system.computed_px} px cannot be integrated from {image.shape[-1]} px point samples "
            f"({system.intensity_px} are needed).",
            hint='compute the stack with pixel="area" instead',
        )
    return cut_margin(average_over_pixel(image, system), system)
