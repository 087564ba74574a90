"""Whether the sequential rule of a scan keeps its error rates where cells are seen under several sets of patterns.

The rule takes the mean errors of the sets, weighted by their cells. That is exact where every set finds infected cells
at the same ratio to false ones; else counts of before are weighed anew whenever the shares change, and a light that
depends on these counts can draw the ratio with it. Here slides to come are drawn from a model's calibration and scanned
as counts; light and rule are those of `lsm diagnose`. No image is made.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge, MinLen
from jaxtyping import Float
from pydantic import Field

from lsm.agent.results import MaskBinCounts
from lsm.config import Config
from lsm.diagnose import VerdictRules
from lsm.diagnose.scan import Answer, ScanConfig, StoppingRule
from lsm.diagnose.scan.kit import field_light, scan_calibration, suspicion_rule, threshold_bin
from lsm.diagnose.scan.lights import FieldLight
from lsm.sensing import Bundle
from lsm.sensing.progress import Reporter
from lsm.stats import RED_CELLS_PER_UL, ScoreCalibration, clopper_pearson

Count = Annotated[int, Ge(1)]
Shares = Float[np.ndarray, "mask bin"]
LightName = Literal["bright field", "learned", "agent", "after a find"]


class Short(Config):
    """The short form: slides per condition and models."""

    slides: Count = 40
    models: tuple[str, ...] = ("procedural",)


class MixedLightsConfig(Config):
    """The experiment.

    models: whose calibrations are drawn from. lights: "after a find" is no light of `lsm diagnose`: it takes all
    patterns as long as more was found than uninfected cells explain, to ask for the worst.
    slides: per model, light and density. fields: most of a scan. field_cells: smallest and largest number in a field.
    """

    seed: Annotated[int, Ge(0)] = 0
    models: Annotated[tuple[str, ...], MinLen(1)] = ("procedural", "nih")
    lights: Annotated[tuple[LightName, ...], MinLen(1)] = ("bright field", "learned", "agent", "after a find")
    slides: Count = 1000
    fields: Count = 100
    field_cells: tuple[Count, Count] = (100, 400)
    verdict: VerdictRules = VerdictRules()
    quick: Short = Field(default_factory=Short)

    def short(self) -> "MixedLightsConfig":
        """The short form, for the direction alone."""
        return self.model_copy(update={"slides": self.quick.slides, "models": self.quick.models})


@dataclass(frozen=True)
class Reader:
    """A model's calibration, the exposures of its patterns, and the threshold that the agent's scans have."""

    calibration: ScoreCalibration
    exposures_ms: tuple[float, ...]
    first_bin: int

    @classmethod
    def of(cls, model: str) -> "Reader":
        """Of a shipped model, or of a folder's. Raises as Bundle.named does."""
        bundle = Bundle.named(model)
        calibration = scan_calibration(bundle, "agent")
        return cls(calibration, tuple(bundle.exposures_ms.tolist()), threshold_bin("agent", calibration))

    def light(self, name: LightName) -> FieldLight:
        """As a scan would have it."""
        if name == "after a find":
            return AfterAFind(self, tuple(range(1, len(self.exposures_ms))))
        return field_light(name, self.calibration, self.exposures_ms, settle_s=ScanConfig().settle_s)


@dataclass(frozen=True)
class AfterAFind:
    """All patterns while there are more suspicious cells than uninfected ones explain, else bright field alone."""

    reader: Reader
    patterns: tuple[int, ...]
    name: str = "after a find"

    def further(self, red_cells: int, fields: int, counts: MaskBinCounts, prevalence: float) -> tuple[int, ...]:
        first_bin = self.reader.first_bin
        false = self.reader.calibration.p_uninfected[:, first_bin:].sum(axis=1)
        explained = float((counts.sum(axis=1) * false).sum())
        return self.patterns if counts[:, first_bin:].sum() > explained else ()


@dataclass(frozen=True)
class Scanned:
    """One scan. minority: share of the cells that were not seen under the set of patterns that most were."""

    answer: Answer
    fields: int
    minority: float


def scan_counts(
    shares: Shares, light: FieldLight, rule: StoppingRule, config: MixedLightsConfig, rng: np.random.Generator
) -> Scanned:
    """Scan a slide of which these shares of cells fall into each bin under each set of patterns."""
    counts = np.zeros(shares.shape, dtype=np.int64)
    said, fields = rule.after(counts, 0), 0
    low, high = config.field_cells
    while said.answer is Answer.GO_ON and fields < config.fields:
        red = int(rng.integers(low, high + 1))
        patterns = light.further(red, fields, counts, said.estimate.prevalence)
        mask = 1 + sum(1 << pattern for pattern in patterns)
        counts[mask] += rng.multinomial(red, shares[mask])
        fields += 1
        said = rule.after(counts, fields)
    per_mask = counts.sum(axis=1)
    return Scanned(said.answer, fields, float(1 - per_mask.max() / per_mask.sum()))


def slides_to_come(
    calibration: ScoreCalibration, prevalence: float, slides: int, rng: np.random.Generator
) -> Iterator[Shares]:
    """Shares [mask, bin] of slides with that prevalence; each deviates alike under all sets of patterns."""
    for infected, uninfected in zip(*calibration.draw(slides, rng), strict=True):
        mixed = prevalence * infected + (1 - prevalence) * uninfected
        yield mixed / mixed.sum(axis=1, keepdims=True)


def run(
    config: Path, out: Path, *, quick: bool, seeds: int | None, workers: int, progress: Reporter
) -> Mapping[str, Any]:
    """Error rates per model and light, as a table; see `lsm.experiments.registry.run_experiment`.

    It needs no data. One seed serves: the slides are its repetitions. `seeds` and `workers` change nothing.
    """
    settings = MixedLightsConfig.from_file(config)
    settings = settings.short() if quick else settings
    rows = []
    with progress.stage("slides", len(settings.models) * len(settings.lights)) as stage:
        for number, model in enumerate(settings.models):
            reader = Reader.of(model)
            for light in settings.lights:
                # every light meets the same slides
                rows += [{"model": model, "light": light} | row for row in error_rates(reader, light, settings, number)]
                stage.advance()
    (out / "table.md").write_text(as_markdown(rows), encoding="utf-8")
    return {"rows": rows, "claims": claims_of(rows), "config": settings.model_dump(mode="json")}


def error_rates(reader: Reader, light: LightName, config: MixedLightsConfig, number: int) -> Iterator[dict[str, Any]]:
    """How often slides without parasites are called positive, and slides at the target negative."""
    rules = config.verdict
    rule = suspicion_rule("agent", reader.calibration, rules)
    chosen = reader.light(light)
    errors = ((0.0, Answer.POSITIVE, rules.alpha), (rule.target_per_ul, Answer.NEGATIVE, rules.beta))
    for place, (per_ul, wrong, level) in enumerate(errors):
        rng = np.random.default_rng([config.seed, number, place])
        slides = slides_to_come(reader.calibration, per_ul / RED_CELLS_PER_UL, config.slides, rng)
        scans = [scan_counts(shares, chosen, rule, config, rng) for shares in list(slides)]
        erred = sum(scan.answer is wrong for scan in scans)
        yield {
            "per_ul": per_ul,
            "wrong": wrong.value,
            "level": level,
            "share": [round(each, 4) for each in (erred / len(scans), *clopper_pearson(erred, len(scans)))],
            "undecided": round(float(np.mean([scan.answer is Answer.GO_ON for scan in scans])), 4),
            "fields": round(float(np.mean([scan.fields for scan in scans])), 1),
            "minority": round(float(np.mean([scan.minority for scan in scans])), 3),
            "slides": len(scans),
        }


def claims_of(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each error rate beside its level; reached where its interval does not lie above."""
    return [
        {
            "claim": f"{row['model']}, {row['light']}: at {row['per_ul']:,.0f}/uL called {row['wrong']} at most "
            f"{100 * row['level']:g} %",
            "reached": row["share"][1] <= row["level"],
            "found": _percent(row["share"]),
        }
        for row in rows
    ]


def as_markdown(rows: list[dict[str, Any]]) -> str:
    """The table of all conditions."""
    lines = [
        "| model | light | per uL | wrongly called | % of slides | at most | undecided, % | fields | minority, % |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        figures = f"{100 * row['undecided']:.1f} | {row['fields']:g} | {100 * row['minority']:.0f}"
        lines.append(
            f"| {row['model']} | {row['light']} | {row['per_ul']:,.0f} | {row['wrong']} | {_percent(row['share'])} | "
            f"{100 * row['level']:g} | {figures} |"
        )
    return "\n".join(lines) + "\n"


def _percent(share: list[float]) -> str:
    middle, low, high = (100 * each for each in share)
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"
