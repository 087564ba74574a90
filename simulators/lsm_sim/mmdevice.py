"""What simulated Micro-Manager devices have in common."""

from pymmcore_plus.experimental.unicore import Device

from lsm_sim.world import WORLD, get_world


class InWorld(Device):
    """A device that finds its World by the property of that name when it is initialized."""

    def __init__(self) -> None:
        super().__init__()
        self.register_property(WORLD, default_value="", is_pre_init=True)

    def initialize(self) -> None:
        self._world = get_world(str(self.get_property_value(WORLD)))
