"""pymmcore-plus' engine with an LED board that is no device of Micro-Manager.

core = CMMCorePlus.instance()
core.mda.set_engine(LitEngine(core, open_light(rig)))
core.run_mda(read_events(Path("scan.json")))
"""

import time
from collections.abc import Iterable, Iterator
from typing import Any

from pymmcore_plus import CMMCorePlus
from pymmcore_plus.mda import MDAEngine
from useq import CustomAction, MDAEvent

from lsm.devices import Illuminator
from lsm.errors import IlluminatorError, WrongFormat
from lsm.scope.useq_events import ACTION, own_light

HOLD_MARGIN_MS = 500.0


class LitEngine(MDAEngine):
    """Takes captures that `lsm.scope.useq_events.as_action` wrote: lights the LEDs, snaps, and puts them out.

    Frames carry what the board read back as `metadata["lsm"]` of their event. Other events are pymmcore-plus' own, in
    the dark. light: the caller's to close. It keeps to no limits: check the plan first (CapturePlan.refuse_beyond).
    """

    def __init__(self, core: CMMCorePlus, light: Illuminator) -> None:
        # a board that steps by itself is another matter: every event is one capture
        super().__init__(core, use_hardware_sequencing=False)
        self._light = light

    def exec_event(self, event: MDAEvent) -> Iterable[Any]:
        """The frame of a capture.

        Raises IlluminatorError where its light did not last, IlluminatorTimeout, WrongFormat without an exposure.
        """
        if isinstance(event.action, CustomAction) and event.action.name == ACTION:
            yield from self._captured(event)
        else:
            yield from super().exec_event(event)

    def _captured(self, event: MDAEvent) -> Iterator[Any]:
        pattern = own_light(event, self._light.board)
        if pattern is None or event.exposure is None:
            raise WrongFormat("A capture without an exposure cannot be taken.", hint="give every event an exposure")
        core = self.mmcore
        try:
            shown = self._light.show(pattern, hold_ms=event.exposure + HOLD_MARGIN_MS)
            began_s = event.metadata.get("runner_t0") or time.perf_counter()
            core.snapImage()
            lasted = self._light.still_lit(shown)
        finally:
            self._light.dark()
        if not lasted:
            raise IlluminatorError(
                f"The light '{pattern.name}' went out during its exposure of {event.exposure:g} ms.",
                hint="is another program using the board? A longer exposure needs a longer watchdog",
            )
        told = {**event.metadata, "lsm": {**event.metadata.get("lsm", {}), "shown": shown.levels.tolist()}}
        seen = event.model_copy(update={"metadata": told})
        facts = self.get_frame_metadata(
            seen, runner_time_ms=(time.perf_counter() - began_s) * 1000, camera_device=core.getCameraDevice()
        )
        yield core.getImage(), seen, facts
