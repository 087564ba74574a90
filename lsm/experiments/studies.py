"""Several studies of one experiment: run, table, figure."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from annotated_types import Gt
from pydantic import Field, model_validator

from lsm.config import Config
from lsm.errors import ConfigError, FileMissing
from lsm.experiments.cell_run import nih_crops, open_cells
from lsm.experiments.jobs import finish
from lsm.experiments.study import Claim, StudyConfig, Votes, study_jobs, summarise
from lsm.sensing.progress import Reporter

LEGEND = (
    "On the board: accuracy under what the firmware shows within its current limit, the network being the same. "
    "Electrons: collected per pixel by all captures together; fewer than the budget where bright pixels or a whole "
    "second ended an exposure, or where with equal light much of it missed the objective. Emitted: light of the board, "
    "1 x being what the empty bright field needs for the budget. Exposure: of all captures, on the default rig."
)


class Quick(Config):
    """The short form: keys of every design that it changes, and how much of a study is run."""

    design: dict[str, Any] = Field(default_factory=dict)
    seeds: Annotated[int, Gt(1)] = 2
    arms: dict[str, tuple[str, ...]] = Field(default_factory=dict)


class StudiesConfig(Config):
    """An experiment made of studies. quick: for each study that its short form has, the arms.

    data: crops of cells (as `CellCrops.from_path` reads them) or a stack of `lsm data convert`; the NIH crops if None.
    """

    studies: dict[str, StudyConfig]
    data: Path | None = None
    quick: Quick = Quick()

    @model_validator(mode="after")
    def _short_of_what_is_there(self) -> "StudiesConfig":
        for name, arms in self.quick.arms.items():
            if name not in self.studies:
                raise ConfigError(
                    f"The short form names the study '{name}', which the experiment does not have.",
                    hint=f"studies are {', '.join(self.studies)}",
                )
            for arm in arms:
                if arm not in self.studies[name].arms:
                    raise ConfigError(
                        f"The short form names the arm '{arm}' of '{name}', which that study does not have.",
                        hint=f"arms are {', '.join(self.studies[name].arms)}",
                    )
        return self

    def short(self) -> dict[str, StudyConfig]:
        """The studies of the short form."""
        kept = {}
        for name, arms in self.quick.arms.items():
            study = self.studies[name]
            chosen = {arm: study.arms[arm] | self.quick.design for arm in arms}
            claims = tuple(_among(arms, claim) for claim in study.claims if claim.better in arms)
            claims = tuple(claim for claim in claims if claim.than)
            kept[name] = study.model_copy(update={"arms": chosen, "claims": claims, "seeds": self.quick.seeds})
        return kept


def _among(arms: tuple[str, ...], claim: Claim) -> Claim:
    """The claim against those of its rivals that are there, without what is asked of the whole form."""
    return claim.model_copy(update={"than": tuple(arm for arm in claim.than if arm in arms), "asked": None})


class Studied(Config):
    """The outcome of one study: where its data came from, the table of its arms, and the claims as they came out.

    trainings: of each the accuracy, its time and the commit it ran on.
    """

    source: str
    arms: dict[str, dict[str, Any]]
    claims: list[dict[str, Any]]
    trainings: dict[str, dict[str, Any]] = Field(default_factory=dict)


def run_studies(
    config: StudiesConfig, out: Path, *, quick: bool, seeds: int | None, workers: int, progress: Reporter
) -> tuple[dict[str, Studied], dict[str, Votes]]:
    """Every study's outcome and its votes; rows and odds stay in `out`, from which an interrupted run goes on.

    Raises FileMissing without the cells, LsmError naming the first training that failed.
    """
    crops = config.data or nih_crops()
    if not crops.exists():
        raise FileMissing(f"The cells {crops} do not exist.", hint="check `data` in the configuration")
    studied, votes = {}, {}
    for name, study in (config.short() if quick else config.studies).items():
        chosen = study if seeds is None else study.model_copy(update={"seeds": seeds})
        folder = out / ("quick" if quick else "") / name
        places = {"crops": crops, "cache": out / "cache", "out": folder / "odds"}
        jobs = study_jobs(chosen, **places)
        _prepare(chosen, crops, out / "cache", progress)
        found = finish(jobs, folder / "table.jsonl", workers=workers, progress=progress)
        votes[name] = Votes(chosen, found, **places)
        told = {key: {part: row[part] for part in ("accuracy", "seconds", "commit")} for key, row in found.items()}
        table = {"source": votes[name].source(), "trainings": told} | summarise(votes[name])
        studied[name] = Studied.from_table(table, source=name)
    return studied, votes


def _prepare(study: StudyConfig, crops: Path, cache: Path, progress: Reporter) -> None:
    """Compute each stack once, before several workers ask for it at the same time."""
    wanted = {(design.stack, design.cells) for design in (study.design_of(arm) for arm in study.arms)}
    with progress.stage("images of every cell under every LED", len(wanted)) as stage:
        for stack, cells in sorted(wanted, key=lambda pair: (pair[0].digest(), pair[1])):
            open_cells(crops, cache, stack, cells)
            stage.advance()


def results_of(studied: Mapping[str, Studied], config: StudiesConfig) -> dict[str, Any]:
    """All outcomes with the configuration they came from, as plain values."""
    studies = {name: study.model_dump(mode="json") for name, study in studied.items()}
    return {"studies": studies, "config": config.model_dump(mode="json")}


def as_markdown(studied: Mapping[str, Studied]) -> str:
    """All tables, for a README."""
    parts = []
    for name, study in studied.items():
        lines = [f"### {name}", "", f"Data: {study.source}.", ""]
        lines += [
            "| light | accuracy | 95 % interval | sd of seeds | majority | AUC | on the board | electrons | emitted "
            "| exposure, ms | seeds |",
            "|---" * 11 + "|",
        ]
        lines += [_arm_row(arm, row) for arm, row in study.arms.items()]
        lines += ["", LEGEND, "", "| claim | points, 95 % interval | asked | as it came out |", "|---|---|---|---|"]
        lines += [_claim_row(claim) for claim in study.claims]
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def _arm_row(arm: str, row: Mapping[str, Any]) -> str:
    compiled = f"{row['accuracy_compiled']:.3f}" if "accuracy_compiled" in row else ""
    return (
        f"| {arm} | {row['accuracy']:.3f} | {row['low']:.3f} to {row['high']:.3f} | {row['seed_sd']:.3f} "
        f"| {row['majority']:.3f} | {row['auc']:.3f} | {compiled} | {row['signal_e']:.0f} "
        f"| {row['emitted_e'] / row['budget_e']:.3g} x | {row['exposure_ms']:.3g} | {row['seeds']} |"
    )


def _claim_row(claim: Mapping[str, Any]) -> str:
    if "points" not in claim:
        return f"| {claim['claim']} | | | {claim['verdict']} |"
    middle, low, high = claim["points"]
    asked = "" if "asked_points" not in claim else f"{claim['asked_points']:+g}"
    reached = "" if "reached" not in claim else ", reached" if claim["reached"] else ", missed"
    return (
        f"| {claim['claim']} ({claim['better']} against {claim['than']}) "
        f"| {middle:+.1f} ({low:+.1f} to {high:+.1f}) | {asked} | {claim['verdict']}{reached} |"
    )
