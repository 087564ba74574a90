"""The guided calibration over HTTP; see lsm.console.calibrating."""

from asyncio import shield, wrap_future
from typing import Annotated, Any, Literal

from annotated_types import MaxLen
from fastapi import FastAPI, Response
from fastapi.responses import FileResponse

from lsm.config import Config
from lsm.console.calibrating import Calibrating
from lsm.console.state import State, StateBoard

StepName = Literal["camera", "stage", "focus", "light", "leds", "flat", "twin"]


class StepRequest(Config):
    """step: of lsm.calibrate.steps, or "twin": predict patterns and compare, as `lsm calibrate report`."""

    step: StepName


def add_calibration(app: FastAPI, calibrating: Calibrating, state: StateBoard, steering: Any) -> None:
    """Add /api/calibration and what is below it."""

    @app.post("/api/calibration", dependencies=[steering])
    async def open_calibration() -> State:
        """Open the guided calibration, with what was measured of this rig before; no run can begin until it is left."""
        await shield(wrap_future(calibrating.open()))
        return state.now

    @app.delete("/api/calibration", dependencies=[steering])
    async def leave_calibration() -> State:
        """Leave it; what was measured is in its file. The rig is connected as before."""
        await shield(wrap_future(calibrating.leave()))
        return state.now

    @app.put("/api/calibration/step", dependencies=[steering])
    async def choose_step(wanted: StepRequest) -> State:
        """Look at a step, for all who watch."""
        calibrating.choose(wanted.step)
        return state.now

    @app.post("/api/calibration/measure", dependencies=[steering], status_code=202)
    async def measure_step(wanted: StepRequest) -> State:
        """Measure a step, also again, with what it needs on the stage; how it goes is told in the state."""
        calibrating.measure(wanted.step)
        return state.now

    @app.post("/api/calibration/cancel", dependencies=[steering])
    async def cancel_step() -> State:
        """End the measurement before its next capture; what the file had before stays."""
        calibrating.cancel()
        return state.now

    @app.get("/api/calibration/evidence/{step}.png", response_class=Response)
    async def evidence(step: StepName) -> Response:
        """What a step saw, drawn for dark rooms."""
        return Response(calibrating.picture(step), media_type="image/png")

    @app.get("/api/calibration/{file}")
    def calibration_file(file: Annotated[str, MaxLen(100)]) -> FileResponse:
        """calibration.json, as a rig file names it, or report.html, the page about it."""
        return FileResponse(calibrating.file(file), content_disposition_type="inline")
