"""`lsm simulate`: one image per LED of a known sample."""

import json
import time
from pathlib import Path
from typing import Annotated, Any

import h5py
import numpy as np
import torch
import typer
from PIL import Image
from rich.console import Console

from lsm.cli import _show
from lsm.errors import FileMissing, InputError, WrongFormat
from lsm.illum import Glass, LedBoard
from lsm.optics import Camera, ImagingSystem, ZernikePupil, led_stack
from lsm.optics.stackfile import new_stack
from lsm.samples import TARGETS, ProceduralSmear, SmearConfig, target
from lsm.types import Transmission

DEFAULT = ImagingSystem()
# images computed and written at a time: a few megabytes
LEDS_PER_PART = 32
PARASITAEMIA = 0.05


def simulate(
    sample: Annotated[
        str, typer.Argument(help=f"'smear', a target ({', '.join(TARGETS)}), or a .npy, .h5 or image file.")
    ],
    out: Annotated[Path, typer.Option(help="New HDF5 file for the images.")],
    board: Annotated[Path | None, typer.Option(help="LED positions: CSV with x_mm,y_mm,z_mm.")] = None,
    leds: Annotated[int, typer.Option(min=1, max=63, help="LEDs along each side of a square board.")] = 13,
    pitch_mm: Annotated[float, typer.Option(min=1e-3, help="Distance of neighbouring LEDs.")] = 3.0,
    distance_mm: Annotated[float, typer.Option(min=1e-3, help="Board to sample.")] = 50.0,
    die_mm: Annotated[float, typer.Option(min=0, help="Side of each LED's emitter; 0 is a point.")] = 0.0,
    glass_mm: Annotated[float, typer.Option(min=0, help="Glass between board and sample, index 1.52.")] = 0.0,
    na: Annotated[float, typer.Option(min=1e-3, help="Numerical aperture of the objective.")] = DEFAULT.na,
    wavelength_um: Annotated[float, typer.Option(min=0.1, help="Wavelength of the light.")] = DEFAULT.wavelength_um,
    sample_px: Annotated[int, typer.Option(min=8, help="Side of the sample's grid.")] = DEFAULT.sample_px,
    sample_pixel_um: Annotated[float, typer.Option(min=1e-3, help="Its pixel.")] = DEFAULT.sample_pixel_um,
    camera_pixel_um: Annotated[
        float, typer.Option(min=1e-3, help="Camera pixel at the sample, a multiple of it.")
    ] = DEFAULT.camera_pixel_um,
    margin_px: Annotated[int, typer.Option(min=0, help="Camera pixels cut on each side.")] = DEFAULT.margin_px,
    place_um: Annotated[
        tuple[float, float], typer.Option(help="Place of the sample's middle, off the optical axis.")
    ] = (0.0, 0.0),
    defocus_um: Annotated[float, typer.Option(help="From the sample to the plane in focus, along the light.")] = 0.0,
    zernike: Annotated[
        list[str] | None, typer.Option(help="Aberration NOLL=WAVES_RMS, such as 5=0.1; may be repeated.")
    ] = None,
    points: Annotated[bool, typer.Option("--points", help="Sample at pixel centres, not over their area.")] = False,
    electrons: Annotated[
        float | None, typer.Option(min=1, help="Camera noise: electrons of an empty bright-field pixel.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the smear and of the noise.")] = 1,
    as_json: _show.AsJson = False,
) -> None:
    """Compute one image per LED of a sample, as a microscope with an LED board would take them.

    Images are relative to the empty bright field; the sample is kept beside them as truth/transmission.

    Example: lsm simulate siemens-star --out stack.h5
    """
    started = time.monotonic()
    system = ImagingSystem.from_table(
        {
            "na": na,
            "wavelength_um": wavelength_um,
            "sample_px": sample_px,
            "sample_pixel_um": sample_pixel_um,
            "camera_pixel_um": camera_pixel_um,
            "margin_px": margin_px,
        },
        source="the command",
    )
    lights = _board(board, leds, pitch_mm, distance_mm, die_mm, Glass(glass_mm))
    truth = torch.from_numpy(_sample(sample, system, seed).astype(np.complex64))
    aberrations = _zernike(zernike or [])
    view: dict[str, Any] = {"tile_um": place_um, "defocus_um": defocus_um, "pixel": "point" if points else "area"}
    made = view | {"sample": sample, "seed": seed, "zernike_waves_rms": aberrations, "electrons": electrons}
    generator = torch.Generator().manual_seed(seed)
    numbers = np.arange(lights.n_leds)
    with (
        _show.progress(quiet=as_json) as bars,
        new_stack(out, lights, system, numbers, defocus_um=defocus_um, made=made) as file,
    ):
        file.write_truth(truth.numpy())
        task = bars.add_task("simulate", total=len(numbers), loss="")
        for part in np.array_split(numbers, -(-len(numbers) // LEDS_PER_PART)):
            pupil = ZernikePupil(aberrations) if aberrations else None
            images = led_stack(truth, lights, system, leds=torch.from_numpy(part), pupil=pupil, **view)
            file.write(int(part[0]), (images if electrons is None else _noisy(images, electrons, generator)).numpy())
            bars.advance(task, len(part))
    _tell(out, lights, system, time.monotonic() - started, as_json=as_json)


def _board(table: Path | None, side: int, pitch_mm: float, distance_mm: float, die_mm: float, glass: Glass) -> LedBoard:
    if table is None:
        return LedBoard.grid(
            rows=side, columns=side, pitch_mm=pitch_mm, distance_mm=distance_mm, die_mm=die_mm, glass=glass
        )
    read = LedBoard.from_csv(table)
    return LedBoard(read.name, read.positions_mm, read.normals, glass=glass, die_mm=die_mm, gain=read.gain)


def _sample(name: str, system: ImagingSystem, seed: int) -> Transmission:
    n, pixel_um, wavelength_um = system.sample_px, system.sample_pixel_um, system.wavelength_um
    if name == "smear":
        side_um = 1.5 * system.field_um
        config = SmearConfig(parasitaemia=PARASITAEMIA, width_um=side_um, height_um=side_um)
        middle_um = side_um / 2
        return ProceduralSmear(config, seed=seed).transmission(
            x_um=middle_um, y_um=middle_um, n_px=n, pixel_um=pixel_um, wavelength_um=wavelength_um
        )
    if Path(name).is_file():
        return _from_file(Path(name), n)
    if Path(name).suffix:
        raise FileMissing(f"The sample {name} does not exist.", hint="check the path, or name a target")
    return target(name, n, pixel_um, wavelength_um=wavelength_um)


def _from_file(path: Path, n: int) -> Transmission:
    """A complex transmission from .npy or from what lsm recover wrote, or a grey image as transmitted intensity."""
    try:
        if path.suffix == ".npy":
            found = np.load(path)
        elif path.suffix == ".h5":
            with h5py.File(path, "r") as file:
                found = file["transmission" if "transmission" in file else "truth/transmission"][()]
        else:
            with Image.open(path) as image:
                found = np.sqrt(np.asarray(image.convert("F")) / 255)
    except (OSError, ValueError, KeyError) as error:
        raise WrongFormat(
            f"{path} holds no sample: {error}.",
            hint="give a complex array (.npy), a file of lsm recover (.h5), or a grey image",
        ) from error
    if found.shape != (n, n):
        raise WrongFormat(
            f"{path} is {found.shape}, not {(n, n)} px.", hint="set --sample-px, --sample-pixel-um to the file's"
        )
    transmission: Transmission = found.astype(np.complex128)
    return transmission


def _zernike(given: list[str]) -> dict[int, float]:
    found = {}
    for text in given:
        noll, _, waves = text.partition("=")
        try:
            found[int(noll)] = float(waves)
        except ValueError as error:
            raise InputError(f"'{text}' is no aberration.", hint="write NOLL=WAVES_RMS, such as 5=0.1") from error
    return found


def _noisy(images: torch.Tensor, electrons: float, generator: torch.Generator) -> torch.Tensor:
    """The images through a camera that holds twice the empty bright field, back in its units."""
    camera = Camera(full_well_e=2 * electrons, gain_e_per_adu=2 * electrons / 2**16, bits=16, prnu=0.0, dsnu_e=0.0)
    adu = camera.expose(images.clamp_min(0.0) * electrons, 1.0, generator)
    return (adu.to(torch.float32) - camera.offset_adu) * camera.gain_e_per_adu / electrons


def _tell(out: Path, board: LedBoard, system: ImagingSystem, seconds: float, *, as_json: bool) -> None:
    bright = int((board.na <= system.na).sum())
    facts = {"stack": str(out), "images": board.n_leds, "side_px": system.camera_px, "bright_field": bright}
    if as_json:
        typer.echo(json.dumps(facts | {"na_max": float(board.na.max()), "seconds": round(seconds, 1)}))
        return
    console = Console()
    console.print(
        f"{board.n_leds} images of {system.camera_px} x {system.camera_px} px, {bright} in bright field, "
        f"illumination up to NA {board.na.max():.2f}."
    )
    console.print(f"Stack: {out} ({seconds:.1f} s)", soft_wrap=True, markup=False)
    console.print(f"Next:  lsm recover {out} --out sample.h5", soft_wrap=True, markup=False)
