"""`lsm vision export`: a detector as a file for other programs, and a sheet beside it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from lsm.cli._vision_data import load_detector, new_file, save_json
from lsm.errors import InputError, LsmError
from lsm.vision.detect.live import Difference, differences, export_onnx, export_openvino, sheet

WRITERS: Final = {".onnx": export_onnx, ".xml": export_openvino}

_MOST = Difference(box_px=0.5, score=0.01)
"""A file that differs by more would find other objects; float32 sums in another order stay far below."""


@dataclass(frozen=True)
class Exported:
    """The files written, and how far they are from the detector in each program that is installed."""

    files: tuple[Path, ...]
    sheet: Path
    described: dict[str, Any]
    differences: dict[str, Difference]


def export(model: Path, path: Path) -> Exported:
    """Write the detector of a file for ONNX Runtime or OpenVINO by the ending of the path, then run what was written.

    Raises InputError for another ending, another kind of detector, or where a file is already; FileMissing; ToolMissing
    without the packages that write it; and LsmError where a program computes something else than torch.
    """
    if path.suffix not in WRITERS:
        raise InputError(f"{path.name} names no kind of file to export.", hint=f"end it in {' or '.join(WRITERS)}")
    files = tuple(map(new_file, (path, path.with_suffix(".bin")) if path.suffix == ".xml" else (path,)))
    beside = new_file(path.with_name(f"{path.name}.json"))
    detector = load_detector(model)
    described = sheet(WRITERS[path.suffix](detector, path))
    save_json(beside, described)
    found = differences(detector, path)
    for program, each in found.items():
        if not (each.box_px <= _MOST.box_px and each.score <= _MOST.score):
            raise LsmError(
                f"With {program}, {path} differs from torch by {each.box_px:.2g} pixels and {each.score:.2g} in score.",
                hint=f"do not use the file with this version of {program}",
            )
    return Exported(files, beside, described, found)
