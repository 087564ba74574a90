"""The data sets that lsm knows."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final


@dataclass(frozen=True)
class DataSet:
    """signs: one of these files is in its folder, wherever that is below LSM_DATA."""

    name: str
    good_for: str
    origin: str
    signs: tuple[str, ...]


DATA_SETS: Final = (
    DataSet(
        "nih_malaria_cells_50px",
        "single cells by patient, infected or not: lsm data convert, lsm design",
        "U.S. National Library of Medicine, Rajaraman et al. (2018); the original cell_images folder does as well",
        ("nih_malaria_cells_50px/dev.npz", "cell_images/Parasitized"),
    ),
    DataSet(
        "muthumbi2019",
        "measured one-LED images of single malaria cells: lsm data convert",
        "figshare, data of Muthumbi et al., Biomed. Opt. Express 10, 6351 (2019)",
        ("*/all_with_malaria_combo*.mat", "*/*/all_with_malaria_combo*.mat", "*/*/*/all_with_malaria_combo*.mat"),
    ),
    DataSet(
        "bsccm",
        "measured one-LED images of white blood cells, no malaria: lsm data convert, lsm record replay",
        "Dryad, Berkeley Single Cell Computational Microscopy; BSCCM-coherent has single LEDs",
        ("*/BSCCM_global_metadata.json",),
    ),
    DataSet(
        "fpm_blood_smear",
        "a real smear under single LEDs: lsm record replay, lsm recover, sim_to_real",
        "Smart Imaging Lab, University of Connecticut",
        ("fpm_blood_smear/green.npz",),
    ),
    DataSet("bccd", "detection and counting of blood cells: lsm data check", "BCCD on GitHub", ("bccd/BCCD",)),
    DataSet(
        "bbbc041",
        "stages of malaria parasites in thin smears: lsm data check",
        "Broad Bioimage Benchmark Collection; Hung et al., BMC Bioinformatics (2020)",
        ("*/training.json", "*/*/training.json"),
    ),
    DataSet("chula_rbc12", "shapes of red cells: lsm data check", "Chula RBC-12 on GitHub", ("chula_rbc12/labels",)),
    DataSet(
        "dsb2018_nuclei",
        "segmentation of single objects: lsm data check",
        "Data Science Bowl 2018",
        ("dsb2018_nuclei/manifest.csv",),
    ),
    DataSet("qpi_qpimage", "conventions of phase", "qpimage on GitHub", ("qpi_qpimage/hologram_cell.npz",)),
)


def data_folder() -> Path | None:
    """The folder that LSM_DATA names, if it is there."""
    named = os.environ.get("LSM_DATA", "")
    return Path(named) if named and Path(named).is_dir() else None


def found_at(one: DataSet, folder: Path | None) -> str | None:
    """Where the set is, or None."""
    for sign in one.signs if folder is not None else ():
        hit = next(iter(sorted(folder.glob(sign))), None) if folder is not None else None
        if hit is not None:
            return str(hit.parent)
    return None
