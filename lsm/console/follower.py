"""What the page is told of a run while it goes on."""

from typing import Any

from lsm.console.pictures import contrast, eight_bits, jpeg
from lsm.console.state import StateBoard, Step
from lsm.devices import Frame

STEPS_KEPT, SETTLED_KEPT, FIELDS_KEPT = 48, 400, 20_000
THUMB_PX = 96


class Follower:
    """Tells of a run as it goes: what it saw, and what was decided on it."""

    def __init__(self, state: StateBoard, thumbs: dict[int, bytes]) -> None:
        self._state, self._thumbs = state, thumbs
        self._captures = 0

    def saw(self, frame: Frame) -> None:
        """A capture of the run."""
        self._captures += 1
        number, run = self._captures, self._state.now.run
        self._thumbs[number] = thumbnail(frame)
        self._thumbs.pop(number - STEPS_KEPT, None)
        step = Step(
            number=number,
            xy_um=(round(frame.xy_um[0], 1), round(frame.xy_um[1], 1)),
            light=frame.request.pattern.name,
            exposure_ms=frame.exposure_ms,
        )
        self._state.change("run", captures=number, steps=(*run.steps[1 - STEPS_KEPT :], step))

    def __call__(self, taken: int, most: int, told: dict[str, Any]) -> None:
        """After a capture of a search or a field of a scan; see lsm.diagnose.slide.OnStep."""
        run, scan = self._state.now.run, "suspicious" in told
        values = (told["prevalence"], told["prevalence_low"], told["prevalence_high"])
        steps = run.steps
        if steps and steps[-1].prevalence is None:
            believed = dict(zip(("prevalence", "low", "high"), values, strict=True))
            steps = (*steps[:-1], steps[-1].model_copy(update={**believed, "reason": _reason(told)}))
        place = steps[-1].xy_um if steps else None
        fault = str(told.get("fault", "")) if scan else ""
        fields = run.fields
        # a search looks at a field more than once
        if place is not None and (scan or (*place, fault) not in fields):
            fields = (*fields, (*place, fault))
        self._state.change(
            "run",
            taken=taken,
            most=most,
            unit="fields" if scan else "captures",
            cells=told["cells"],
            suspicious=told.get("suspicious"),
            prevalence=values[0],
            low=values[1],
            high=values[2],
            per_ul=(told["per_ul"], told["per_ul_low"], told["per_ul_high"]) if scan else None,
            settled=_thinned((*run.settled, (taken, *values))),
            fields=fields,
            steps=steps,
        )

    def took(self, taken: int, most: int) -> None:
        """After a capture of an acquisition; see lsm.diagnose.acquire.OnTaken."""
        run = self._state.now.run
        here = run.steps[-1].xy_um if run.steps else None
        new = here is not None and len(run.fields) < FIELDS_KEPT and (not run.fields or run.fields[-1][:2] != here)
        fields = (*run.fields, (*here, "")) if new and here is not None else run.fields
        self._state.change("run", taken=taken, most=most, unit="captures", fields=fields)


def thumbnail(frame: Frame) -> bytes:
    """A small JPEG of a frame, every n-th pixel of it."""
    step = max(1, max(frame.image.shape) // THUMB_PX)
    small = frame.image[::step, ::step]
    return jpeg(eight_bits(small, contrast(frame.image)), quality=75)


def _reason(told: dict[str, Any]) -> str:
    """Why a capture was taken, in words."""
    if "suspicious" in told:
        return f"field {told['field'] + 1}: {told['fault'] or 'good'}"
    chances = told.get("probabilities") or []
    name = told.get("action_name", "")
    if not chances:
        return str(name)
    return f"{name}, chosen with {chances[told['action']]:.0%}"


def _thinned(points: tuple[tuple[int, float, float, float], ...]) -> tuple[tuple[int, float, float, float], ...]:
    """Every second point but the last, where there are too many to draw."""
    return points if len(points) <= SETTLED_KEPT else (*points[:-1:2], points[-1])
