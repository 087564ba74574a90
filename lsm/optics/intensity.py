"""From the sample's spectrum to one intensity image per group of light sources, and back for gradients.

The camera samples only what the pupil passes, so the part of the spectrum under the pupil is
transformed back at camera size; the result equals the full-size computation at the sampled points.
Forward and backward keep nothing but the spectrum and the pupil: the fields are computed again.
"""

from typing import Any

import torch
from jaxtyping import Complex, Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from lsm.optics import chunked, compiled
from lsm.optics.plan import Plan

Spectrum = Complex[Tensor, "batch fy fx"]
Table = Complex[Tensor, "samples source k k"]
Images = Float[Tensor, "batch group cy cx"]


def intensity_images(
    spectrum: Spectrum,
    table: Table | None,
    weight: Float[Tensor, " source"] | None,
    plan: Plan,
    *,
    out: Images | None = None,
) -> Images:
    """Images of all groups; differentiable in spectrum, table and weight, once.

    out: where to write them if no gradient is needed; each sample's images lie side by side in it.
    """
    inputs = (spectrum, table, weight)
    if torch.is_grad_enabled() and any(tensor is not None and tensor.requires_grad for tensor in inputs):
        images: Tensor = _Intensity.apply(*inputs, plan)
        return images
    return _forward(*inputs, plan, out)


class _Intensity(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, spectrum: Tensor, table: Tensor | None, weight: Tensor | None, plan: Plan) -> Tensor:
        ctx.save_for_backward(spectrum, table, weight)
        ctx.plan = plan
        return _forward(spectrum, table, weight, plan)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        spectrum, table, weight = ctx.saved_tensors
        wanted = ctx.needs_input_grad
        program = compiled if compiled.can_run(spectrum, ctx.plan) else chunked
        grads = program.backward(spectrum, table, weight, ctx.plan, grad.contiguous(), wanted[1], wanted[2])
        return *(g if need else None for g, need in zip(grads, wanted, strict=False)), None


def _forward(
    spectrum: Tensor, table: Tensor | None, weight: Tensor | None, plan: Plan, out: Tensor | None = None
) -> Tensor:
    side = plan.system.camera_px
    images = spectrum.real.new_empty(spectrum.shape[0], plan.groups, side, side) if out is None else out
    program = compiled if compiled.can_run(spectrum, plan) else chunked
    program.forward(spectrum, table, weight, plan, images)
    return images
