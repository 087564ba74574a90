"""Measures of sharpness: one number for an image, largest in focus."""

from collections.abc import Callable, Mapping

import numpy as np
from jaxtyping import Float
from scipy import ndimage

Plane = Float[np.ndarray, "y x"]


def normalised_variance(image: Plane) -> float:
    """Variance of an image relative to its mean squared. Groen, Young and Ligthart, Cytometry 6, 81 (1985)."""
    return float(image.var()) / _mean_squared(image)


def brenner(image: Plane) -> float:
    """Mean squared difference of pixels two apart, along rows and columns. Brenner et al., JHC 24, 100 (1976)."""
    along_x = ((image[:, 2:] - image[:, :-2]) ** 2).mean()
    along_y = ((image[2:, :] - image[:-2, :]) ** 2).mean()
    return float(along_x + along_y) / _mean_squared(image)


def tenengrad(image: Plane) -> float:
    """Mean squared Sobel gradient. Krotkov, Int. J. Comput. Vis. 1, 223 (1987)."""
    gradient = ndimage.sobel(image, 0) ** 2 + ndimage.sobel(image, 1) ** 2
    return float(gradient.mean()) / _mean_squared(image)


def laplacian(image: Plane) -> float:
    """Mean squared Laplacian of the image smoothed over a pixel."""
    curvature = ndimage.laplace(ndimage.gaussian_filter(image, 1.0))
    return float((curvature**2).mean()) / _mean_squared(image)


MEASURES: Mapping[str, Callable[[Plane], float]] = {
    "brenner": brenner,
    "laplacian": laplacian,
    "normalised variance": normalised_variance,
    "tenengrad": tenengrad,
}


def _mean_squared(image: Plane) -> float:
    return max(float(image.mean()) ** 2, np.finfo(np.float64).tiny)
