"""A picture of one moment at a cell: the sample, the last frame, the light, the belief and the budget."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from jaxtyping import Float, Int32, UInt8
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from lsm.agent.adaptive.batch import BatchAdaptiveEnv
from lsm.agent.adaptive.light import LightBook
from lsm.agent.adaptive.outside import declaration
from lsm.figures import FAINT, INK, MUTED, house_style

SIZE_IN: Final = (7.2, 3.6)
DPI: Final = 100
INFECTED_COLOUR: Final = "#b3392f"
HEALTHY_COLOUR: Final = "#2f6db3"
LIT_COLOUR: Final = "#d99a00"
DARK_COLOUR: Final = "#eef1f4"


@dataclass(frozen=True, eq=False)
class Scene:
    """What is drawn of one episode.

    sample: mean over all lamps of the cell's images without noise, which no policy sees. frame: ADU of the last
    capture, None before the first. places_mm, duty: of every lamp. light: name of the last light.
    beliefs: probability of infection after every step. left: name and share left of every budget, with its unit.
    steps: at most, of actions that are allowed. truth, declared: names; declared is empty before the end.
    """

    sample: Float[np.ndarray, "y x"]
    frame: Int32[np.ndarray, "y x"] | None
    places_mm: Float[np.ndarray, "lamp 2"]
    duty: Float[np.ndarray, " lamp"]
    light: str
    beliefs: Sequence[float]
    left: Sequence[tuple[str, float]]
    steps: int
    truth: str
    declared: str

    @classmethod
    def of(cls, batch: BatchAdaptiveEnv, place: int, beliefs: Sequence[float]) -> "Scene":
        """The present moment at one place of a batch."""
        state, world = batch.state, batch.world
        row = batch.row[place : place + 1]
        even = torch.full((1, world.source.stack.n_lamps), 1 / world.source.stack.n_lamps, device=row.device)
        last = state.last_light[place].cpu().numpy()
        light, duty = "none yet", np.zeros(world.source.stack.n_lamps)
        if last.any() and isinstance(world.light, LightBook):
            pattern = int(last.argmax())
            light = world.light.names[pattern] if world.light.names else f"pattern {pattern}"
            duty = world.light.duty[pattern]
        elif last.any():
            light, duty = "free weights", last
        return cls(
            sample=world.source.rate(row, even)[0].cpu().numpy(),
            frame=state.frame[place].cpu().numpy() if int(state.captures[place]) else None,
            places_mm=_places(batch),
            duty=np.asarray(duty, dtype=np.float64),
            light=light,
            beliefs=beliefs,
            left=_left(batch, place),
            steps=int(state.budgets.captures[place]) + 1,
            truth="infected" if bool(batch.infected[place]) else "healthy",
            declared=declaration(int(state.declared[place])),
        )


def draw_scene(scene: Scene) -> UInt8[np.ndarray, "y x 3"]:
    """720 x 360 pixels, RGB."""
    with house_style():
        figure = Figure(figsize=SIZE_IN, dpi=DPI, layout="constrained")
        canvas = FigureCanvasAgg(figure)
        axes = figure.subplot_mosaic(
            [["sample", "frame", "light"], ["belief", "belief", "budget"]], height_ratios=[1.25, 1]
        )
        _image(axes["sample"], scene.sample, f"Cell: {scene.truth}")
        _image(axes["frame"], scene.frame, "Last frame" if scene.frame is not None else "No frame yet")
        _light(axes["light"], scene)
        _belief(axes["belief"], scene)
        _budget(axes["budget"], scene.left)
        canvas.draw()  # type: ignore[no-untyped-call]
        whole = np.asarray(canvas.buffer_rgba())  # type: ignore[no-untyped-call]
        picture: UInt8[np.ndarray, "y x 3"] = whole[..., :3].copy()
    return picture


def _image(axes: Axes, image: np.ndarray | None, title: str) -> None:
    axes.set_title(title)
    axes.set_xticks([])
    axes.set_yticks([])
    if image is not None:
        axes.imshow(image, cmap="gray", origin="lower", interpolation="nearest")
        low, high = image.min(), image.max()
        axes.set_xlabel(f"{low:d} to {high:d} ADU" if image.dtype.kind == "i" else f"{low:.3g} to {high:.3g}")
    else:
        axes.set_facecolor(DARK_COLOUR)


def _light(axes: Axes, scene: Scene) -> None:
    axes.set_title(f"Light: {scene.light}")
    x, y = scene.places_mm.T
    most = 60.0 * 9 / max(9, len(x))
    axes.scatter(x, y, s=3 * most, c=DARK_COLOUR, edgecolors=FAINT, linewidths=0.6)
    lit = scene.duty > 0
    axes.scatter(x[lit], y[lit], s=3 * most * scene.duty[lit], c=LIT_COLOUR)
    axes.set_aspect("equal")
    axes.margins(0.2)
    axes.set_axis_off()


def _belief(axes: Axes, scene: Scene) -> None:
    chances = np.array(scene.beliefs)
    steps = np.arange(len(chances))
    axes.axhline(0.5, color=FAINT, linewidth=0.8, zorder=0)
    axes.plot(steps, chances, color=MUTED, linewidth=1.2, zorder=1)
    colours = [_colour(chance) for chance in chances.tolist()]
    axes.scatter(steps, chances, c=colours, s=26, zorder=2)
    axes.set_ylim(-0.05, 1.05)
    last = max(scene.steps, len(chances) - 1)
    axes.set_xlim(-0.4, last + 0.4)
    axes.set_xticks(range(0, last + 1, 1 + last // 12))
    axes.set_yticks([0, 0.5, 1], ["healthy", "", "infected"])
    axes.set_xlabel("step")
    ending = f", declared {scene.declared}" if scene.declared else ""
    axes.set_title(f"Belief in infection: {chances[-1]:.2f}{ending}")


def _colour(chance: float) -> str:
    if chance == 0.5:
        return MUTED
    return INFECTED_COLOUR if chance > 0.5 else HEALTHY_COLOUR


def _budget(axes: Axes, left: Sequence[tuple[str, float]]) -> None:
    places = np.arange(len(left))[::-1]
    shares = np.array([share for _, share in left])
    axes.barh(places, np.ones(len(left)), color=DARK_COLOUR, height=0.5)
    axes.barh(places, shares, color=MUTED, height=0.5)
    for place, (text, _) in zip(places.tolist(), left, strict=True):
        axes.text(0.0, place + 0.32, text, fontsize=7.5, color=INK, va="bottom")
    axes.set_xlim(0, 1)
    axes.set_ylim(-0.5, len(left) - 0.1)
    axes.set_axis_off()
    axes.set_title("Budget left")


def _places(batch: BatchAdaptiveEnv) -> Float[np.ndarray, "lamp 2"]:
    """Where the lamps are on their board; in a square where nobody knows."""
    stack = batch.world.source.stack
    if stack.board is not None:
        places: Float[np.ndarray, "lamp 2"] = stack.board.positions_mm[stack.led][:, :2]
        return places
    side = int(np.ceil(np.sqrt(stack.n_lamps)))
    rows, columns = np.divmod(np.arange(stack.n_lamps), side)
    return np.stack([columns, rows], axis=1).astype(np.float64)


def _left(batch: BatchAdaptiveEnv, place: int) -> list[tuple[str, float]]:
    state = batch.state
    captures = int(state.budgets.captures[place])
    taken = int(state.captures[place])
    amounts = [(f"captures: {captures - taken} of {captures}", 1 - taken / captures)]
    for name, unit, used, limit in (
        ("light", "LED-s", state.light_led_s, state.budgets.light_led_s),
        ("time", "s", state.time_s, state.budgets.time_s),
    ):
        spent, most = float(used[place]), float(limit[place])
        if np.isinf(most):
            amounts.append((f"{name}: {spent:.3g} {unit} used, no limit", 1.0))
        else:
            amounts.append((f"{name}: {most - spent:.3g} of {most:.3g} {unit}", max(0.0, 1 - spent / most)))
    return amounts
