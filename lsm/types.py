"""Axis names and array aliases shared by the whole package.

Axes: `led` LEDs in board order, `colour` the board's colour channels, `y x` image rows and columns
(row 0 at the smallest stage y), `capture` images of one field under successive patterns,
`cell` detected or true cells, `field` stage positions, `fy fx` spatial frequency.
Colour order is red, green, blue. Lengths at the sample are micrometres, at the board millimetres.
"""

import numpy as np
from jaxtyping import Bool, Complex, Float, Int, UInt8, UInt16

Duty = Float[np.ndarray, "led colour"]
"""Fraction of full drive per LED and colour, 0..1."""

DutyLevels = UInt8[np.ndarray, "led colour"]
"""Drive per LED and colour as the board holds it, 0..255."""

Image = UInt16[np.ndarray, "y x"]
"""One camera frame in digital numbers (ADU)."""

PerLed = Float[np.ndarray, " led"]
LedVectors = Float[np.ndarray, "led 3"]
LedIndices = Int[np.ndarray, " chosen"]
LedMask = Bool[np.ndarray, " led"]
Transmission = Complex[np.ndarray, "y x"]
"""Complex amplitude transmission of a thin sample."""
