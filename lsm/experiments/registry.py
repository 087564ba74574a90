"""Which experiments there are, and the one way to run each."""

import importlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from lsm.bench.machine import this_machine
from lsm.commit import source_commit
from lsm.config import shipped_config
from lsm.errors import InputError
from lsm.experiments.jobs import commits_used
from lsm.sensing.progress import Reporter, Silent
from lsm.wholefile import write_whole


@runtime_checkable
class Run(Protocol):
    """An experiment's own function; see `run_experiment`."""

    def __call__(
        self, config: Path, out: Path, *, quick: bool, seeds: int | None, workers: int, progress: Reporter
    ) -> Mapping[str, Any]:
        """Its results as plain values; files of its own lie in `out`."""
        ...


@dataclass(frozen=True)
class Experiment:
    """One experiment. function: "module:name" of a `Run`. hours: of one core, for the whole form. data: folders of
    LSM_DATA that it reads. one_seed: it can say what one training shows, with intervals over patients alone.
    """

    name: str
    title: str
    function: str
    hours: float
    data: tuple[str, ...]
    one_seed: bool = False


_NIH, _CHULA, _BCCD, _DSB = "nih_malaria_cells_50px", "chula_rbc12", "bccd", "dsb2018_nuclei"
_FPM = "fpm_blood_smear"

EXPERIMENTS = (
    Experiment(
        "muthumbi2019", "Learned illumination against fixed ones, on single cells", "muthumbi2019:run", 4, (_NIH,)
    ),
    Experiment("kim2020", "Light and pupil learned together and each alone", "kim2020:run", 1, (_NIH,)),
    Experiment("photon_budget", "Accuracy against photons and against captures", "photon_budget:run", 1, (_NIH,)),
    Experiment(
        "sim_to_real", "Light designed on simulation, scored on a real LED stack", "sim_to_real:run", 0.25, (_FPM,)
    ),
    Experiment(
        "ferreira2023", "Cells named and counted from small images", "ferreira2023:run", 0.75, (_NIH, _CHULA, _DSB)
    ),
    Experiment("hung2020", "Detectors of blood cells and nuclei, by folds", "detections:run", 3, (_BCCD, _DSB)),
    Experiment("pfeil2022", "Outlines of blood cells by four networks, by folds", "detections:run", 4, ()),
    Experiment(
        "find_first", "Fields until the first infected cell, by how infection clusters", "find_first:run", 0.1, ()
    ),
    Experiment(
        "chaware2020",
        "Light chosen capture by capture against fixed and sequential rules",
        "chaware2020:run",
        3,
        (_NIH,),
        one_seed=True,
    ),
    Experiment("field_detection", "Detector and light learned together on whole fields", "detect_light:run", 1.2, ()),
    Experiment(
        "interval_coverage",
        "How often the intervals of a diagnosis hold the truth, and its sequential test errs",
        "interval_coverage:run",
        0.1,
        (),
    ),
    Experiment(
        "mixed_lights",
        "Error rates of a diagnosis' sequential test where cells are seen under several sets of patterns",
        "mixed_lights:run",
        0.3,
        (),
    ),
    Experiment(
        "quality_limits",
        "Sound fields that the quality limits of a scan refuse, bubbles and dust that they catch",
        "quality_limits:run",
        0.2,
        (_NIH,),
    ),
    Experiment(
        "panel", "A virtual proficiency panel read by three scans, scored by the WHO's rules", "panel:run", 1, ()
    ),
)


def experiment(name: str) -> Experiment:
    """The experiment of that name. Raises InputError."""
    for each in EXPERIMENTS:
        if each.name == name:
            return each
    raise InputError(
        f"There is no experiment '{name}'.", hint=f"one of: {', '.join(each.name for each in EXPERIMENTS)}"
    )


def experiment_config(name: str) -> Path:
    """The configuration of an experiment that comes with the package."""
    return shipped_config(f"experiment/{name}.toml")


def run_experiment(
    name: str,
    out: Path,
    *,
    config: Path | None = None,
    quick: bool = False,
    seeds: int | None = None,
    workers: int = 1,
    progress: Reporter | None = None,
) -> dict[str, Any]:
    """The results, which also lie in `out`/results.json with commit, date and machine.

    out: folder of its tables and figures; a run that was interrupted goes on from it, with a warning where the source
    has changed since; `commits` in the results are those of all rows used. quick: minutes instead of
    hours, for the direction alone. seeds: in place of the configuration's. workers: processes, one thread each.
    Raises InputError for an unknown name, a single seed where that gives no interval, a folder that cannot be made and
    a short form where results of the whole one lie, FileMissing without the data, ConfigError, ModelMismatch for a
    folder of other settings.
    """
    # before anything is imported or computed: what git says later may be of files that did not run
    source_commit()
    found = experiment(name)
    if seeds is not None and seeds < (1 if found.one_seed else 2):
        raise InputError(f"{seeds} seeds give no interval.", hint=f"ask for at least {1 if found.one_seed else 2}")
    module, function = found.function.split(":")
    run: Run = getattr(importlib.import_module(f"lsm.experiments.{module}"), function)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"The folder {out} cannot be made: {error.strerror}.", hint="name another") from error
    if quick:
        _check_no_whole_form(out)
    chosen, reporter = config or experiment_config(name), progress or Silent()
    with commits_used() as commits:
        results = run(chosen, out, quick=quick, seeds=seeds, workers=workers, progress=reporter)
    machine = asdict(this_machine())
    whole = {"experiment": name, "quick": quick, "machine": machine, "commits": sorted(commits)} | dict(results)
    write_whole(out / "results.json", json.dumps(whole, indent=1) + "\n")
    return whole


def _check_no_whole_form(out: Path) -> None:
    try:
        held = json.loads((out / "results.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return
    if isinstance(held, dict) and held.get("quick") is False:
        raise InputError(f"{out} holds the results of the whole form.", hint="give the short one another folder: --out")
