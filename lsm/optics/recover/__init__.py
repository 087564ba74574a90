"""From a measured stack of one image per LED back to the sample, the pupil and the LEDs' places and gains."""

from lsm.optics.recover.aperture import SoftPupil
from lsm.optics.recover.config import RecoverConfig
from lsm.optics.recover.result import Recovered, correlation
from lsm.optics.recover.run import recover

__all__ = ["RecoverConfig", "Recovered", "SoftPupil", "correlation", "recover"]
