"""Cell stacks from elsewhere: the papers' arrays, BSCCM, recovered slides and phantoms.

Measured images have no known empty bright field. They are divided by one number, the 99th percentile under the
brightest lamp, so that lamps keep their relative strengths. With a board they are also divided by its relative
irradiance, which comes back with the weights; without one the irradiance stays in the images.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import h5py
import numpy as np
from jaxtyping import Complex64, Float, Float16, Int64

from lsm.errors import FileMissing, InputError, WrongFormat
from lsm.illum import LedBoard
from lsm.optics import ImagingSystem
from lsm.record.stacks import StackCamera
from lsm.record.stacks_files import bsccm_stack
from lsm.samples import Kind, Smear
from lsm.sensing.cells.paperfiles import read_paper_cells
from lsm.sensing.cells.render import lamp_images, lamps_of
from lsm.sensing.cells.stack import CellStack

BY_CELL: Final = "no patients are given, so folds are by cell"
SLIDES_PER_STEP: Final = 125


def from_paper_arrays(path: Path, *, board: LedBoard | None = None, central: bool = False) -> CellStack:
    """The cells of Muthumbi et al. (2019), from their raw data (.mat), .npy or .npz: see `read_paper_cells`.

    board: positions of the 32 LEDs (thick smear: 41) in the order of the images; without it there is no geometry.
    central: keep the images under the LED on the axis, which the paper left out.
    Where no patients are given every cell is its own, and `source` says so.
    Raises FileMissing, or WrongFormat for other layouts, LED counts, labels or values that are not finite.
    """
    cells = read_paper_cells(path, central=central)
    if board is not None and (board.n_leds != cells.leds_in_file or board.n_colours != 3):
        raise WrongFormat(
            f"Board '{board.name}' has {board.n_leds} LEDs in {board.n_colours} colours, {path} images of "
            f"{cells.leds_in_file} in 3.",
            hint="give the positions of all LEDs in the order of the images, unused ones included",
        )
    patients = cells.patient is not None
    return CellStack(
        _relative(cells.images, board, cells.led, source=str(path)),
        led=cells.led,
        colour=cells.colour,
        infected=cells.infected,
        patient=_own_names(len(cells.infected)) if cells.patient is None else cells.patient,
        crop=np.arange(len(cells.infected)),
        board=board,
        system=None,
        source=f"measured one-LED images of single cells, {path.name}" + ("" if patients else f" ({BY_CELL})"),
        made={"layout": "28 x 28 x 96", "path": path.name, "by_cell": not patients},
    )


def from_bsccm(folder: Path, cells: Sequence[int], *, board: LedBoard, camera: StackCamera) -> CellStack:
    """Cells of the Berkeley Single Cell Computational Microscopy data set by their number (`global_index`).

    Its channels of single LEDs are the lamps, in the order of the board; the cells are white, without labels.
    board, camera: see `bsccm_stack`, which also says what is raised. Raises WrongFormat where the cells were not
    imaged under the same LEDs or in the same size.
    """
    if not cells:
        raise InputError("No cells of BSCCM are chosen.", hint="give numbers of the column global_index")
    stacks = [bsccm_stack(folder, cell, board, camera) for cell in cells]
    leds = sorted(stacks[0].images)
    shape = stacks[0].images[leds[0]].light.shape
    for cell, stack in zip(cells, stacks, strict=True):
        if sorted(stack.images) != leds or stack.images[leds[0]].light.shape != shape:
            raise WrongFormat(
                f"Cell {cell} of {folder} has images {stack.images[leds[0]].light.shape} of {len(stack.images)} LEDs, "
                f"cell {cells[0]} {shape} of {len(leds)}.",
                hint="choose cells of one kind",
            )
    images = np.stack([[stack.images[led].light for led in leds] for stack in stacks])
    led = np.array(leds, dtype=np.int64)
    return CellStack(
        _relative(images, board, led, source=str(folder)),
        led=led,
        colour=np.full(len(leds), stacks[0].colour),
        infected=None,
        patient=np.array([f"cell {cell}" for cell in cells]),
        crop=np.array(cells, dtype=np.int64),
        board=board,
        system=None,
        source=f"BSCCM, {len(cells)} white cells, measured, without labels ({BY_CELL})",
        made={"layout": "BSCCM", "cells": list(cells)},
    )


def from_recovered(
    path: Path, centres_um: Float[np.ndarray, "cell 2"], *, board: LedBoard, system: ImagingSystem
) -> CellStack:
    """Pieces of a real slide that `lsm recover` found, with their neighbours, imaged anew under another board.

    centres_um: (x, y) of each piece from the middle of the recovered slide. The optics are simulated, the sample
    is real; nobody has labelled it, and all of it is one patient. The light has the wavelength at which the slide
    was recovered, in place of those of board and system. A piece is taken as periodic: light that leaves it on one
    side comes back on the other, which `system.margin_px` hides.
    Raises FileMissing, WrongFormat for another file, InputError for another pixel than the slide's and for a piece
    that is not all on the slide.
    """
    slide, pixel_um, wavelength_um = _read_recovered(path)
    if abs(pixel_um / system.sample_pixel_um - 1) > 1e-6:
        raise InputError(
            f"The slide {path} has pixels of {pixel_um:g} um, not {system.sample_pixel_um:g} um.",
            hint="give a system with the slide's sample_pixel_um",
        )
    pieces = _pieces(slide, centres_um, system)
    board, system = replace(board, wavelengths_um=(wavelength_um,)), system.at_wavelength(wavelength_um)
    led, colour = lamps_of(board, [0])
    return CellStack(
        _rendered(pieces, board, system),
        led=led,
        colour=colour,
        infected=None,
        patient=np.full(len(pieces), path.stem),
        crop=np.arange(len(pieces)),
        board=board,
        system=system,
        source=f"simulated optics on {len(pieces)} pieces of the recovered slide {path.name}, without labels",
        made={"slide": path.name, "centres_um": centres_um.tolist()},
    )


def _pieces(
    slide: Complex64[np.ndarray, "y x"], centres_um: Float[np.ndarray, "cell 2"], system: ImagingSystem
) -> Complex64[np.ndarray, "cell py px"]:
    """Squares of the system's field, to the nearest pixel."""
    side, room = system.sample_px, np.array(slide.shape) - system.sample_px
    corners = np.round(centres_um[:, ::-1] / system.sample_pixel_um + room / 2).astype(np.int64)
    outside = ((corners < 0) | (corners > room)).any(axis=1)
    if outside.any() or not len(corners):
        x_um, y_um = centres_um[outside.argmax()] if len(corners) else (np.nan, np.nan)
        raise InputError(
            f"There is no piece of {system.field_um:g} um around ({x_um:g}, {y_um:g}) um on the slide.",
            hint=f"x and y lie within {room.min() / 2 * system.sample_pixel_um:g} um of its middle",
        )
    return np.stack([slide[row : row + side, column : column + side] for row, column in corners])


def from_smears(
    smears: Mapping[str, Smear],
    *,
    board: LedBoard,
    system: ImagingSystem,
    cells_per_smear: int,
    seed: int,
    colours: Sequence[int] = (1,),
    off_centre_um: float = 0.0,
) -> CellStack:
    """Red cells of phantoms at their true centres, with whatever lies beside them, half of them infected if there are.

    smears: by name, which stands for the patient. system: of one colour; the others have the board's wavelengths.
    cells_per_smear: drawn without repetition among the red cells whose piece is all on the slide.
    off_centre_um: how far a cell may lie from the middle of its images, in x and in y, as a finder would leave it.
    The stack is held in memory; `made["places_um"]` says for each row where on its smear the middle is.
    Raises InputError for a smear with fewer such cells.
    """
    systems = [system.at_wavelength(board.wavelengths_um[colour]) for colour in colours]
    led, colour = lamps_of(board, colours)
    rng = np.random.default_rng([seed, 0])
    parts, infected, patient, centres = [], [], [], []
    for name, smear in smears.items():
        chosen = _some_cells(name, smear, system.field_um / 2 + off_centre_um, cells_per_smear, rng)
        places = _places(chosen, off_centre_um, rng)
        centres += places
        parts.append(_smear_images(smear, places, board, systems))
        infected.append(chosen["infected"])
        patient += [name] * len(chosen)
    return CellStack(
        np.concatenate(parts),
        led=led,
        colour=colour,
        infected=np.concatenate(infected).astype(bool),
        patient=np.array(patient),
        crop=np.arange(len(patient)),
        board=board,
        system=systems[0],
        source=f"simulated optics on phantoms: {len(patient)} cells of {len(smears)} smears",
        made={"smears": list(smears), "seed": seed, "places_um": [list(place) for place in centres]},
    )


def _places(cells: np.ndarray, off_centre_um: float, rng: np.random.Generator) -> list[tuple[float, float]]:
    """Middles of the images of these cells."""
    off_um = rng.uniform(-off_centre_um, off_centre_um, (len(cells), 2)) if off_centre_um else np.zeros((len(cells), 2))
    return [(float(row["x_um"] + dx), float(row["y_um"] + dy)) for row, (dx, dy) in zip(cells, off_um, strict=True)]


def _some_cells(name: str, smear: Smear, half_um: float, count: int, rng: np.random.Generator) -> np.ndarray:
    width_um, height_um = smear.extent_um
    cells = smear.truth().within(half_um, width_um - half_um, half_um, height_um - half_um)
    rows = cells.rows[cells.kind == Kind.RED_CELL]
    if len(rows) < count:
        raise InputError(
            f"Smear '{name}' has {len(rows)} red cells away from its rim, {count} are wanted.",
            hint="ask for fewer, or make the smear larger",
        )
    infected, healthy = (rng.permutation(np.flatnonzero(rows["infected"] == label)) for label in (True, False))
    wanted = min(len(infected), max(count // 2, count - len(healthy)))
    chosen = np.sort(np.concatenate([infected[:wanted], healthy[: count - wanted]]))
    found: np.ndarray = rows[chosen]
    return found


def _smear_images(
    smear: Smear, places: Sequence[tuple[float, float]], board: LedBoard, systems: Sequence[ImagingSystem]
) -> Float16[np.ndarray, "cell lamp y x"]:
    n, pixel_um = systems[0].sample_px, systems[0].sample_pixel_um
    parts = []
    for start in range(0, len(places), SLIDES_PER_STEP):
        some = places[start : start + SLIDES_PER_STEP]

        def slides(
            wavelength_um: float, some: Sequence[tuple[float, float]] = some
        ) -> Complex64[np.ndarray, "cell y x"]:
            return np.stack(
                [
                    smear.transmission(x_um=x, y_um=y, n_px=n, pixel_um=pixel_um, wavelength_um=wavelength_um)
                    for x, y in some
                ]
            ).astype(np.complex64)

        parts.append(lamp_images(slides, board, systems).numpy().astype(np.float16))
    return np.concatenate(parts)


def _rendered(
    pieces: Complex64[np.ndarray, "cell py px"], board: LedBoard, system: ImagingSystem
) -> Float16[np.ndarray, "cell lamp y x"]:
    parts = []
    for start in range(0, len(pieces), SLIDES_PER_STEP):
        some = pieces[start : start + SLIDES_PER_STEP]

        def slides(_: float, some: Complex64[np.ndarray, "_ py px"] = some) -> Complex64[np.ndarray, "_ py px"]:
            return some

        parts.append(lamp_images(slides, board, [system]).numpy().astype(np.float16))
    return np.concatenate(parts)


def _read_recovered(path: Path) -> tuple[Complex64[np.ndarray, "y x"], float, float]:
    if not path.is_file():
        raise FileMissing(f"The recovered slide {path} does not exist.", hint="lsm recover writes one")
    try:
        with h5py.File(path, "r") as file:
            slide = file["transmission"][()].astype(np.complex64)
            pixel_um, wavelength_um = float(file.attrs["sample_pixel_um"]), float(file.attrs["wavelength_um"])
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise WrongFormat(f"{path} is no recovered slide: {error}.", hint="lsm recover writes one") from error
    return slide, pixel_um, wavelength_um


def _relative(
    images: Float[np.ndarray, "row lamp y x"], board: LedBoard | None, led: Int64[np.ndarray, " lamp"], *, source: str
) -> Float16[np.ndarray, "row lamp y x"]:
    """Measured images in units of the brightest lamp, LED irradiance taken out where it is known."""
    if not np.isfinite(images).all():
        row, lamp = (int(index[0]) for index in np.nonzero(~np.isfinite(images).all(axis=(2, 3))))
        raise WrongFormat(
            f"The image of row {row} under lamp {lamp} of {source} is not finite.", hint="every pixel is a number"
        )
    brightest = int(images.mean(axis=(0, 2, 3), dtype=np.float64).argmax())
    empty = float(np.percentile(images[:, brightest], 99))
    if empty <= 0:
        raise WrongFormat(f"The images of {source} hold no light.", hint="give values that grow with light")
    scale = np.full(len(led), empty) if board is None else empty * board.relative_irradiance[led]
    with np.errstate(over="ignore"):
        relative: Float16[np.ndarray, "row lamp y x"] = (images / scale[:, None, None]).astype(np.float16)
    return relative


def _own_names(count: int) -> np.ndarray:
    return np.array([f"cell {number}" for number in range(count)])
