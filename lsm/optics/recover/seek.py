"""Where an LED must be for its image to look as it does, given the sample."""

import torch
from jaxtyping import Float
from torch import Tensor

from lsm.optics.recover.model import StackModel

# a frequency bin is about 0.2 mm wide; closer than a quarter of it, gradients do the rest
STEPS_MM = (0.25, 0.1)
CHUNK = 64


def seek(
    model: StackModel, image: Float[Tensor, "y x"], start_mm: Float[Tensor, "3"], radius_mm: float
) -> Float[Tensor, "3"]:
    """The place within `radius_mm` of the start whose image correlates best with the measured one, in amplitude."""
    centre, reach = start_mm, radius_mm
    for step in STEPS_MM:
        places = centre + _disc(reach, step)
        centre = places[int(_likeness(model, image, places).argmax())]
        reach = step
    return centre


def _disc(radius: float, step: float) -> Float[Tensor, "place 3"]:
    count = max(1, round(radius / step))
    axis = torch.arange(-count, count + 1, dtype=torch.float64) * step
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    inside = torch.hypot(x, y) <= radius * (1 + 1e-9)
    return torch.stack([x[inside], y[inside], torch.zeros(int(inside.sum()), dtype=torch.float64)], dim=1)


def _likeness(
    model: StackModel, image: Float[Tensor, "y x"], places: Float[Tensor, "place 3"]
) -> Float[Tensor, " place"]:
    measured = torch.sqrt(image.clamp_min(0.0)).flatten()
    measured = measured - measured.mean()
    found = []
    with torch.no_grad():
        for some in torch.split(places, CHUNK):
            amplitude = torch.sqrt(model.images_from(some)).flatten(1)
            amplitude = amplitude - amplitude.mean(1, keepdim=True)
            found.append(amplitude @ measured / torch.linalg.vector_norm(amplitude, dim=1))
    return torch.cat(found)
