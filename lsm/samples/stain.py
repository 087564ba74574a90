"""How strongly each dye absorbs at a wavelength, relative to green (0.53 um).

Giemsa is eosin Y (absorption peak near 0.52 um) and azure B (near 0.65 um); bound to chromatin the
pair turns purple with its peak near 0.55 um, the Romanowsky effect (Horobin and Walter,
Histochemistry 86, 331 (1987)). Haemozoin is brown-black. The values are read off those curves
to about 20 %, which is less than stains differ between laboratories.
"""

from enum import Enum

import numpy as np

WAVELENGTHS_UM = (0.47, 0.53, 0.63)


class Stain(Enum):
    """A dye in its surroundings; the value is its absorbance at WAVELENGTHS_UM, relative to 0.53 um."""

    EOSIN = (0.55, 1.0, 0.10)
    CHROMATIN = (0.40, 1.0, 0.80)
    CYTOPLASM = (0.50, 1.0, 1.90)
    PIGMENT = (1.20, 1.0, 0.80)

    def relative_absorbance(self, wavelength_um: float) -> float:
        """Absorbance at a wavelength divided by that at 0.53 um; constant beyond the table's ends."""
        return float(np.interp(wavelength_um, WAVELENGTHS_UM, self.value))
