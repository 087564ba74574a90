"""The evidence of a calibration as pictures, and a page that shows them beside the values."""

import base64
import html
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lsm.calibrate.steps import STEPS
from lsm.calibration import Calibration, Measured, Orientation
from lsm.figures import figure_png, house_style

SIZE_IN, SMALL_IN = (7.0, 2.8), (5.6, 2.0)
"""On a page of its own, and beside other things on a screen."""
# values of a list that are told one by one
MANY = 8


def evidence_png(step: str, evidence: Mapping[str, Any], *, dark: bool = False) -> bytes:
    """What a step saw, as PNG. dark: for a part of a screen in a dark room."""
    with house_style(dark=dark):
        figure = Figure(figsize=SMALL_IN if dark else SIZE_IN, layout="constrained")
        left, right = figure.subplots(1, 2)
        _DRAW[step](left, right, evidence)
        return figure_png(figure, dark=dark)


def page(calibration: Calibration, folder: Path) -> str:
    """An HTML page with the values of all steps and the pictures that lie in `folder`; it needs no network."""
    parts = [f"<h1>Calibration of rig {html.escape(calibration.rig)}</h1>"]
    parts.append(f"<p>{html.escape(calibration.date)} &middot; digest {calibration.digest()}</p>")
    if calibration.findings:
        lines = "".join(f"<li>{html.escape(finding)}</li>" for finding in calibration.findings)
        parts.append(f"<h2>Not as the rig file says</h2><ul>{lines}</ul>")
    for step in STEPS:
        facts = getattr(calibration, step.name)
        if facts is None:
            parts.append(f"<h2>{html.escape(step.title)}</h2><p>Not measured.</p>")
            continue
        rows = "".join(
            f"<tr><th>{html.escape(name)}</th><td>{html.escape(value)}</td></tr>" for name, value in told(facts)
        )
        parts.append(f"<h2>{html.escape(step.title)}</h2><table>{rows}</table>")
        picture = folder / f"{step.name}.png"
        if picture.is_file():
            data = base64.b64encode(picture.read_bytes()).decode()
            parts.append(f'<img alt="{html.escape(step.title)}: evidence" src="data:image/png;base64,{data}">')
    return _PAGE.format(title=html.escape(calibration.rig), body="\n".join(parts))


def told(facts: Any) -> list[tuple[str, str]]:
    """Names and values of a part of a calibration; long lists by how many they are."""
    lines = []
    for name in type(facts).model_fields:
        value = getattr(facts, name)
        if isinstance(value, Measured):
            lines.append((name, str(value)))
        elif isinstance(value, tuple) and value and all(isinstance(each, Measured) for each in value):
            lines.append((name, ", ".join(map(str, value))))
        elif isinstance(value, tuple) and len(value) > MANY:
            flat = np.array(value, dtype=np.float64)
            lines.append((name, f"{len(value)} values, {flat.min():.3g} to {flat.max():.3g}"))
        elif isinstance(value, Orientation):
            found = [key.replace("_", " ") for key, true in value.model_dump().items() if true]
            lines.append((name, ", ".join(found) or "upright"))
        else:
            lines.append((name, _short(value)))
    return lines


def _short(value: Any) -> str:
    """Numbers with five digits, lists in brackets, of nothing "none"."""
    if isinstance(value, tuple):
        return f"[{', '.join(map(_short, value))}]" if value else "none"
    return f"{value:.5g}" if isinstance(value, float) else str(value)


def _line_through(axes: Axes, x: Any, y: Any) -> None:
    """The points, and a straight line through them."""
    axes.plot(x, y, "o")
    slope, offset = np.polyfit(x, y, 1)
    axes.axline((0.0, float(offset)), slope=float(slope), lw=0.8)


def _camera(left: Axes, right: Axes, seen: Mapping[str, Any]) -> None:
    _line_through(left, seen["mean_adu"], seen["variance_adu2"])
    left.set(title="Photon transfer", xlabel="mean, ADU", ylabel="variance, ADU$^2$")
    _line_through(right, seen["exposures_ms"], seen["mean_adu"])
    right.set(title="Linearity", xlabel="exposure, ms", ylabel="mean, ADU")


def _stage(left: Axes, right: Axes, seen: Mapping[str, Any]) -> None:
    left.imshow(seen["image"], cmap="gray")
    left.set(title="Sample", xticks=[], yticks=[])
    for axis, name in zip(seen["backlash_um"], "xy", strict=True):
        right.plot(axis, "o", label=name)
    right.set(title="From above minus from below", xlabel="look", ylabel="um")
    right.legend()


def _focus(left: Axes, right: Axes, seen: Mapping[str, Any]) -> None:
    left.plot(*seen["seen_um"].T, ".")
    left.set(title="Sharpness", xlabel="z, um")
    right.imshow(seen["z_um"])
    right.set(title="Focus of each ninth", xticks=[], yticks=[])


def _leds(left: Axes, right: Axes, seen: Mapping[str, Any]) -> None:
    left.plot(*seen["nominal_mm"][:, :2].T, "+", label="described")
    left.plot(*seen["positions_mm"][:, :2].T, ".", label="found")
    left.set(title="LEDs", xlabel="x, mm", ylabel="y, mm", aspect="equal")
    # beside the board: LEDs fill it
    left.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    right.semilogy(np.sort(seen["rate_e_per_ms"])[::-1].clip(min=1e-6), ".")
    right.set(title="Light under each LED", xlabel="LED by brightness", ylabel="e/ms")


def _light(left: Axes, right: Axes, seen: Mapping[str, Any]) -> None:
    mean = seen["rate_e_per_ms"].mean(axis=0)
    x, y, _ = seen["positions_mm"].T
    left.scatter(x, y, c=mean, s=12)
    left.set(title="Light by LED", xlabel="x, mm", ylabel="y, mm", aspect="equal")
    right.plot(np.sort(mean)[::-1], ".")
    right.set(title="On the diffuser", xlabel="LED by brightness", ylabel="e/ms")


def _flat(left: Axes, right: Axes, seen: Mapping[str, Any]) -> None:
    left.imshow(seen["relative"], cmap="gray")
    left.set(title="Empty field", xticks=[], yticks=[])
    right.hist(seen["relative"].ravel(), bins=60)
    right.set(title="Pixels over their mean")


def _twin(left: Axes, right: Axes, seen: Mapping[str, Any]) -> None:
    left.plot(100 * np.array(seen["rms"]), "o", label="noise taken off")
    left.plot(100 * np.array(seen["with_noise"]), "+", label="with noise")
    left.set(title="Twin minus rig", xlabel="pattern", ylabel="rms, % of the mean", ylim=(0, None))
    left.legend()
    right.plot(seen["mean_e"], "o")
    right.set(title="Light of each pattern", xlabel="pattern", ylabel="mean, e", ylim=(0, None))


_DRAW = {
    "camera": _camera,
    "stage": _stage,
    "focus": _focus,
    "light": _light,
    "leds": _leds,
    "flat": _flat,
    "twin": _twin,
}

_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Calibration of {title}</title>
<style>body{{font:15px/1.5 sans-serif;max-width:52rem;margin:2rem auto;color:#1b2530}}
img{{max-width:100%}} th{{text-align:left;padding-right:1rem;font-weight:normal;color:#5c6874}}</style>
{body}
</html>
"""
