"""The console's HTTP interface; every action of the page is here, described by /api/openapi.json."""

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, TypeVar

from annotated_types import Ge, Le, MaxLen, MinLen
from fastapi import Depends, FastAPI, Header, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse
from fastapi.staticfiles import StaticFiles
from pydantic import model_validator
from starlette.exceptions import HTTPException

from lsm import __version__
from lsm.config import Config
from lsm.console.access import COOKIE, TOO_LARGE, Guard, Lease, NotInControl, same_token
from lsm.console.acquiring import AcquisitionRequest
from lsm.console.calibrate_routes import add_calibration
from lsm.console.calibrating import Calibrating
from lsm.console.desk import Desk, ReviewState
from lsm.console.facts import RigFacts
from lsm.console.light import LightRequest, pattern_of
from lsm.console.outline import RunOutline
from lsm.console.owner import Busy, Owner
from lsm.console.runs import RunEntry, RunRequest, Runs
from lsm.console.sockets import add_sockets
from lsm.console.state import State
from lsm.diagnose.scan_report.facts import Answer
from lsm.errors import DeviceError, FileMissing, InputError, LimitExceeded, LsmError, ModelMismatch, RecordError
from lsm.illum import Pattern

T = TypeVar("T")

PAGE = Path(__file__).parent / "page"
EXPIRY_S = 2.0
STOPS = 8
STATUS: tuple[tuple[type[LsmError], int], ...] = (
    (NotInControl, 423),
    (Busy, 409),
    (FileMissing, 404),
    (LimitExceeded, 422),
    (InputError, 422),
    (ModelMismatch, 422),
    (RecordError, 422),
    (DeviceError, 503),
)
DESCRIBED = "/api/openapi.json describes all requests"
FAULTS_TOLD, WORDS_TOLD = 5, 200
Um = Annotated[float, Ge(-1e9), Le(1e9)]
Name = Annotated[str, MinLen(1), MaxLen(100)]


class LoginRequest(Config):
    """The token that the console told when it was started."""

    token: Annotated[str, MaxLen(200)]


class ControlRequest(Config):
    """name: of who wants to steer, for the others to read. force: take it from whoever has it."""

    name: Annotated[str, MinLen(1), MaxLen(40)] = "somebody"
    force: bool = False


class ControlAnswer(Config):
    """key: to be sent as the header X-LSM-Control with every command."""

    key: str


class CameraRequest(Config):
    """exposure_ms: of the next captures. live: take frames all the time. What is None stays as it is."""

    exposure_ms: Annotated[float, Ge(0), Le(1e7)] | None = None
    live: bool | None = None


class ContrastRequest(Config):
    """window_adu: digital numbers shown black and white, for all who watch; None takes them from each image."""

    window_adu: tuple[Annotated[float, Ge(0), Le(1e6)], Annotated[float, Ge(0), Le(1e6)]] | None = None

    @model_validator(mode="after")
    def _black_below_white(self) -> "ContrastRequest":
        if self.window_adu is not None and self.window_adu[0] >= self.window_adu[1]:
            raise ValueError("black has to lie below white")
        return self


class MoveRequest(Config):
    """Where to, in micrometres; what is None stays. One frame is taken there with the present light."""

    x_um: Um | None = None
    y_um: Um | None = None
    z_um: Um | None = None


class Refusal(Config):
    """Why a request was not done. error: its kind, a name from lsm.errors where it is one; hint: what to do."""

    error: str
    message: str
    hint: str


REFUSALS: dict[int | str, dict[str, Any]] = {
    "4XX": {"model": Refusal, "description": "What was asked for is not possible, or not now; nothing was done."},
    "5XX": {"model": Refusal, "description": "A device failed, or the microscope was stopped by hand."},
}


class StopAnswer(Config):
    """dark_ms: until the light source had acknowledged that it is dark."""

    dark_ms: float


class RunAnswer(Config):
    """name: of the run that begins."""

    name: str


class AnswerRequest(Config):
    """What the operator says of a cell; None takes an answer back."""

    answer: Answer | None


class Console:
    """Everything that the routes act on. designed: the model's patterns. token: None serves this computer only."""

    def __init__(
        self,
        owner: Owner,
        runs: Runs,
        calibrating: Calibrating,
        rig: RigFacts,
        designed: tuple[Pattern, ...],
        *,
        token: str | None = None,
    ) -> None:
        self.owner, self.runs, self.rig, self.designed, self.token = owner, runs, rig, designed, token
        self.calibrating = calibrating
        self.state, self.pictures = owner.state, owner.pictures
        self.lease = Lease(self.state)
        self.desk = Desk(rig=rig.file)
        # a stop waits for nobody, not for one that hangs in a device either: these threads do nothing else
        self.stopper = ThreadPoolExecutor(STOPS, thread_name_prefix="lsm console stop")

    async def done(self, future: "Future[T]") -> T:
        """The result of a command, when the owner's thread has come to it."""
        return await asyncio.shield(asyncio.wrap_future(future))


def build_app(console: Console) -> FastAPI:
    """The application; its owner is started and closed with it."""
    app = FastAPI(
        title="lsm console",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/openapi.json",
        lifespan=_lifespan(console),
        responses=REFUSALS,
    )
    app.add_middleware(Guard, token=console.token)
    app.add_exception_handler(LsmError, _told)
    app.add_exception_handler(RequestValidationError, _misfit)
    app.add_exception_handler(HTTPException, _unknown)
    steering = Depends(_steering(console))
    _add_access(app, console)
    _add_looking(app, console)
    _add_steering(app, console, steering)
    _add_runs(app, console, steering)
    _add_review(app, console, steering)
    add_calibration(app, console.calibrating, console.state, steering)
    add_sockets(app, console.state, console.pictures, console.lease)
    app.mount("/page", StaticFiles(directory=PAGE), name="page")
    return app


def _lifespan(console: Console) -> Callable[[FastAPI], Any]:
    @asynccontextmanager
    async def living(app: FastAPI) -> AsyncIterator[None]:
        console.owner.start()
        watching = asyncio.create_task(_expire(console))
        try:
            yield
        finally:
            watching.cancel()
            await asyncio.to_thread(console.owner.close)
            console.stopper.shutdown()

    return living


async def _expire(console: Console) -> None:
    """Notice who has left; a live view that nobody sees or steers only bleaches the sample."""
    while True:
        await asyncio.sleep(EXPIRY_S)
        console.lease.expire()
        now = console.state.now
        if now.machine.live and not now.control.holder and not now.control.watching:
            console.owner.show_live(False)
            console.state.note("The live view was ended: nobody looks, nobody steers.")


async def _told(request: Request, error: Exception) -> JSONResponse:
    """An error of ours as JSON, with the status that says whose fault it is."""
    status = next((code for kind, code in STATUS if isinstance(error, kind)), 500)
    told = {"error": type(error).__name__, "message": str(error), "hint": ""}
    if isinstance(error, LsmError):
        told |= {"message": error.message, "hint": error.hint}
    return JSONResponse(told, status_code=status)


async def _misfit(request: Request, error: Exception) -> JSONResponse:
    """What in a request is not as described; of the request itself nothing comes back but the names in it."""
    faults = error.errors()[:FAULTS_TOLD] if isinstance(error, RequestValidationError) else ()
    places = ["/".join(map(str, fault["loc"][1:])) or "the request" for fault in faults]
    words = [fault["msg"].removeprefix("Value error, ") for fault in faults]
    told = "; ".join(f"{_plain(place)}: {_plain(word)}" for place, word in zip(places, words, strict=True))
    refusal = Refusal(error="InputError", message=f"That is not possible: {told}.", hint=DESCRIBED)
    return JSONResponse(refusal.model_dump(), status_code=422)


async def _unknown(request: Request, error: Exception) -> JSONResponse:
    """A path or method that there is not, or a body that is no JSON."""
    status, headers = 400, None
    if isinstance(error, HTTPException):
        status, headers = error.status_code, error.headers
    words = {404: "There is nothing at this address.", 405: "This address knows no such method.", 413: TOO_LARGE}
    refusal = Refusal(error="Refused", message=words.get(status, "That is no request."), hint=DESCRIBED)
    return JSONResponse(refusal.model_dump(), status_code=status, headers=headers)


def _plain(text: str) -> str:
    """Short, and without what cannot be sent."""
    return text[:WORDS_TOLD].encode("ascii", "backslashreplace").decode()


def _steering(console: Console) -> Callable[[str], None]:
    def check(x_lsm_control: Annotated[str, Header(max_length=100)] = "") -> None:
        console.lease.check(x_lsm_control)

    return check


def _add_access(app: FastAPI, console: Console) -> None:
    @app.post("/api/login", status_code=204)
    async def login(wanted: LoginRequest, request: Request) -> Response:
        """Exchange the token for a cookie; only where the console was started with one."""
        if console.token is None or not same_token(wanted.token, console.token):
            return JSONResponse(
                {"error": "Refused", "message": "That is not the token.", "hint": "the console's terminal shows it"},
                status_code=401,
            )
        answer = Response(status_code=204)
        answer.set_cookie(
            COOKIE, console.token, httponly=True, samesite="strict", secure=request.url.scheme == "https", path="/"
        )
        return answer

    @app.post("/api/control")
    async def take_control(wanted: ControlRequest) -> ControlAnswer:
        """Steer; everybody else watches. Who is silent for 20 s has left."""
        return ControlAnswer(key=console.lease.take(wanted.name, force=wanted.force))

    @app.delete("/api/control", status_code=204)
    async def drop_control(x_lsm_control: Annotated[str, Header(max_length=100)] = "") -> None:
        """Let go."""
        console.lease.drop(x_lsm_control)

    @app.post("/api/stop")
    async def stop() -> StopAnswer:
        """Dark and still, at once, whoever asks; nothing moves or shines until it is released."""
        loop = asyncio.get_running_loop()
        return StopAnswer(dark_ms=await loop.run_in_executor(console.stopper, console.owner.halt))


def _add_looking(app: FastAPI, console: Console) -> None:
    @app.get("/", include_in_schema=False)
    async def page() -> FileResponse:
        return FileResponse(PAGE / "index.html")

    @app.get("/api/rig")
    async def rig() -> RigFacts:
        """What does not change: the board in NA coordinates, limits, presets."""
        return console.rig

    @app.get("/api/state")
    async def state(x_lsm_control: Annotated[str, Header(max_length=100)] = "") -> State:
        """Everything as it is now; who steers stays there by asking for it."""
        console.lease.heard(x_lsm_control)
        return console.state.now

    @app.get("/api/frame.jpg", response_class=Response)
    async def frame() -> Response:
        """The newest frame, 8 bits; what it shows is in the header X-LSM-Frame."""
        found = await asyncio.to_thread(console.pictures.newest)
        if found is None:
            raise FileMissing("There is no frame yet.", hint="take one, or start the live view")
        return Response(found.jpeg, media_type="image/jpeg", headers={"x-lsm-frame": str(found.number)})


def _add_steering(app: FastAPI, console: Console, steering: Any) -> None:
    owner = console.owner

    @app.post("/api/release", dependencies=[steering], status_code=204)
    async def release() -> None:
        """Serve again after a stop; nothing moves or shines by that."""
        await console.done(owner.submit("Releasing the stop", owner.release))

    @app.put("/api/light", dependencies=[steering])
    async def light(wanted: LightRequest) -> State:
        """The light of the next frames."""
        rig = console.rig
        pattern = pattern_of(wanted, owner.scope.board, rig.na, console.designed)
        asked = {"colour": wanted.colour, "brightness": wanted.brightness}
        await console.done(owner.submit("Choosing the light", lambda: owner.set_light(pattern, **asked)))
        return console.state.now

    @app.put("/api/camera", dependencies=[steering])
    async def camera(wanted: CameraRequest) -> State:
        """Exposure and live view."""

        def choose() -> None:
            if wanted.exposure_ms is not None:
                owner.set_exposure(wanted.exposure_ms)
            if wanted.live is not None:
                owner.show_live(wanted.live)

        await console.done(owner.submit("Setting the camera", choose))
        return console.state.now

    @app.put("/api/contrast", dependencies=[steering])
    async def contrast(wanted: ContrastRequest) -> State:
        """How the live image is shown; measures are not touched by it."""
        console.pictures.window = wanted.window_adu
        console.pictures.again()
        console.state.change("machine", window_adu=wanted.window_adu)
        return console.state.now

    @app.post("/api/snap", dependencies=[steering])
    async def snap() -> State:
        """One frame with the present light."""
        await console.done(owner.submit("A frame", owner.look))
        return console.state.now

    @app.post("/api/move", dependencies=[steering])
    async def move(wanted: MoveRequest) -> State:
        """Go there, inside the limits, and take a frame."""
        given = (wanted.x_um, wanted.y_um)
        if (wanted.x_um is None) != (wanted.y_um is None):
            raise InputError("A move names both x_um and y_um, or neither.", hint="give the one that stays too")
        xy_um = None if given[0] is None or given[1] is None else (given[0], given[1])
        await console.done(owner.submit("A move", lambda: owner.look(xy_um, wanted.z_um)))
        return console.state.now


def _add_runs(app: FastAPI, console: Console, steering: Any) -> None:
    runs = console.runs

    @app.get("/api/runs")
    def entries() -> tuple[RunEntry, ...]:
        """The runs of this console, the newest first."""
        return runs.entries()

    @app.post("/api/runs", dependencies=[steering], status_code=202)
    async def start(wanted: RunRequest) -> RunAnswer:
        """Diagnose the slide on the stage; how it goes is told in the state."""
        return RunAnswer(name=runs.start(wanted))

    @app.post("/api/acquisitions", dependencies=[steering], status_code=202)
    def acquire(wanted: AcquisitionRequest) -> RunAnswer:
        """Record every field under every light, nothing else; paused, ended and gone on with as a diagnosis is."""
        return RunAnswer(name=runs.acquire(wanted))

    @app.get("/api/runs/{name}/outline")
    def outline(name: Name) -> RunOutline:
        """Slide, light and fields of a run that was ended or interrupted: what it would go on with."""
        return runs.outline(name)

    @app.post("/api/runs/{name}/continue", dependencies=[steering], status_code=202)
    def go_on(name: Name) -> RunAnswer:
        """Go on with a run that was ended or interrupted."""
        runs.go_on(name)
        return RunAnswer(name=name)

    @app.post("/api/run/pause", dependencies=[steering])
    async def pause() -> State:
        """Wait before the next capture."""
        runs.pause()
        return console.state.now

    @app.post("/api/run/resume", dependencies=[steering])
    async def unpause() -> State:
        """Go on after a pause."""
        runs.unpause()
        return console.state.now

    @app.post("/api/run/end", dependencies=[steering])
    async def end() -> State:
        """End the run before its next capture; it can be gone on with."""
        runs.end()
        return console.state.now

    @app.get("/api/run/steps/{number}.jpg", response_class=Response)
    async def step(number: Annotated[int, Ge(0), Le(10**9)]) -> Response:
        """A small image of a capture of the run that is on."""
        thumb = runs.thumbs.get(number)
        if thumb is None:
            raise FileMissing("That capture is not kept any more.", hint="the report has all of them")
        return Response(thumb, media_type="image/jpeg")


def _add_review(app: FastAPI, console: Console, steering: Any) -> None:
    runs, desk = console.runs, console.desk

    @app.get("/api/runs/{name}/review")
    def review(name: Name) -> ReviewState:
        """The suspicious cells of a scan, the answers, and the verdict before and after."""
        return desk.state(name, runs.path(name))

    @app.put("/api/runs/{name}/review/{cell}", dependencies=[steering])
    def answer(name: Name, cell: Name, said: AnswerRequest) -> ReviewState:
        """Answer for a cell."""
        return desk.answer(name, runs.path(name), cell, said.answer)

    @app.post("/api/runs/{name}/review/finish", dependencies=[steering])
    def finish(name: Name) -> ReviewState:
        """Write review.html, review.pdf and review.json."""
        return desk.finish(name, runs.path(name))

    @app.get("/api/runs/{name}/cells/{cell}/{light}.jpg", response_class=Response)
    def cell_picture(name: Name, cell: Name, light: Annotated[int, Ge(0), Le(1000)]) -> Response:
        """A cell of the queue under one light."""
        return Response(desk.picture(name, runs.path(name), cell, light), media_type="image/jpeg")

    @app.get("/api/runs/{name}/{file}")
    def report(name: Name, file: Name) -> FileResponse:
        """A report of a run: report.html, report.pdf, report.json, and those of its review."""
        return FileResponse(runs.file(name, file), content_disposition_type="inline")
