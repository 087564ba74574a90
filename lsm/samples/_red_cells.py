"""Shape and absorbance of red cells, many at a time."""

import numpy as np
from jaxtyping import Float, Int

from lsm.samples._canvas import Canvas, Patches, PatchGrids
from lsm.samples._layout import Layout
from lsm.samples._parasites import CYTOSOL_CONTRAST
from lsm.samples.smear import SmearConfig
from lsm.samples.stain import Stain

PATCH_HALF_UM = 7.0
EVANS_FUNG_UM = (0.81, 7.83, -4.39)
# a profile without dimple of the same volume, 94.1 fL
FLAT_UM = (2.0, 3.0, -1.13)


def evans_fung_thickness_um(u: Float[np.ndarray, "*any"]) -> Float[np.ndarray, "*any"]:
    """Thickness of a red cell in um at u = (r / radius)^2; zero outside.

    Evans and Fung, Microvasc. Res. 4, 335 (1972), average cell at 300 mosmol in rounded coefficients:
    volume 94.1 fL and largest thickness 2.57 um for a radius of 3.91 um.
    """
    c0, c1, c2 = EVANS_FUNG_UM
    thickness: Float[np.ndarray, "*any"] = np.sqrt(np.clip(1 - u, 0, None)) * (c0 + u * (c1 + u * c2))
    return thickness


def paint_red_cells(canvas: Canvas, layout: Layout, cells: Int[np.ndarray, " cell"], config: SmearConfig) -> None:
    """Add the red cells with these row indices, a cache-sized group at a time."""
    for start in range(0, len(cells), 64):
        group = cells[start : start + 64]
        table = layout.table
        grids = canvas.grids(table.x_um[group], table.y_um[group], PATCH_HALF_UM)
        thickness, absorbance = _profiles(grids, layout, group, config)
        cytosol = _column(np.array(CYTOSOL_CONTRAST)[table.stage[group]])
        path_um = thickness * cytosol * np.float32(config.refractive_contrast * layout.thickness_factor)
        for k in range(len(group)):
            canvas.add(int(grids.rows[k]), int(grids.columns[k]), absorbance[k], path_um[k], Stain.EOSIN)


def _profiles(
    grids: PatchGrids, layout: Layout, cells: Int[np.ndarray, " cell"], config: SmearConfig
) -> tuple[Patches, Patches]:
    u = squared_radius(grids, layout, cells)
    dimple = layout.dimple[cells].astype(np.float32)[:, None, None]
    flat, bowl = np.array(FLAT_UM, dtype=np.float32), np.array(EVANS_FUNG_UM, dtype=np.float32)
    c0, c1, c2 = (flat[k] + dimple * (bowl[k] - flat[k]) for k in range(3))
    scale = (layout.table.radius_um[cells] / config.radius_um).astype(np.float32)[:, None, None]
    dome = np.sqrt(np.clip(1 - u, 0, None))
    thickness = dome * (c0 + u * (c1 + u * c2)) * scale
    # the stained film ends in a soft rim about 0.3 um wide
    cover = np.clip((1 - u) * np.float32(6.0), 0, 1)
    absorbance = np.float32(config.base_absorbance) * cover + np.float32(config.absorbance_per_um) * thickness
    absorbance *= _column(layout.stain[cells])
    target = layout.target[cells]
    for k in np.flatnonzero(target):
        absorbance[k] += np.float32(target[k]) * np.exp(-u[k] / np.float32(0.06))
    return thickness, absorbance


def squared_radius(grids: PatchGrids, layout: Layout, cells: Int[np.ndarray, " cell"]) -> Patches:
    """(r / rim)^2 in each cell's own axes: 1 on the rim, whatever the cell's size, elongation and crenation."""
    radius = layout.table.radius_um[cells]
    stretch = np.sqrt(layout.aspect[cells])
    angle = layout.angle_rad[cells]
    long_x, long_y = np.cos(angle) / (radius * stretch), np.sin(angle) / (radius * stretch)
    short_x, short_y = -np.sin(angle) * stretch / radius, np.cos(angle) * stretch / radius
    along = grids.dx * _column(long_x) + grids.dy * _column(long_y)
    across = grids.dx * _column(short_x) + grids.dy * _column(short_y)
    u: Patches = along * along
    u += across * across
    depth = layout.crenation[cells]
    for k in np.flatnonzero(depth):
        theta = np.arctan2(across[k], along[k])
        u[k] *= 1 + np.float32(2 * depth[k]) * np.cos(11 * theta)
    return u


def _column(values: Float[np.ndarray, " cell"]) -> Float[np.ndarray, "cell 1 1"]:
    column: Float[np.ndarray, "cell 1 1"] = values.astype(np.float32)[:, None, None]
    return column
