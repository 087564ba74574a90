"""From a model with light and readers to one with a search policy: tables, training, held-out figures."""

from dataclasses import dataclass
from pathlib import Path

from lsm.agent.codebook import Codebook
from lsm.agent.evaluate import Trial
from lsm.agent.rules import SearchConfig, SearchRules
from lsm.agent.table_build import TableConfig, TablePlan, build_tables, slide_source
from lsm.agent.tables import SlideTables
from lsm.agent.train import TrainPolicyConfig, run_train_policy
from lsm.errors import ModelMismatch
from lsm.sensing import Bundle
from lsm.sensing.clock import Clock
from lsm.sensing.config import DesignConfig, Split
from lsm.sensing.progress import Reporter, Silent
from lsm.stats import ScoreCalibration
from lsm.vision import FieldReader

LEARN_ON: Split = "calibration"
"""The split whose cells the policy learns on: the readers never saw them, so they err there as they will later."""

JUDGE_ON: Split = "test"
COMMON, BRIGHT = "common", "bright"


@dataclass(frozen=True, eq=False)
class PolicyModel:
    """What a bundle holds for a search, read once: design, codebook, readers and calibrations by reader."""

    bundle: Bundle
    design: DesignConfig
    codebook: Codebook
    readers: dict[str, FieldReader]
    calibrations: dict[str, ScoreCalibration]

    @classmethod
    def of(cls, bundle: Bundle) -> "PolicyModel":
        """Raises ModelMismatch or ConfigError for a bundle without one of its parts."""
        design = design_of(bundle)
        return cls(
            bundle,
            design,
            Codebook.from_bundle(bundle, design.rig.led_board.board()),
            {COMMON: FieldReader(bundle), BRIGHT: FieldReader(bundle, baseline=True)},
            {
                COMMON: ScoreCalibration.from_arrays(bundle.arrays("calibration")),
                BRIGHT: ScoreCalibration.from_arrays(bundle.arrays("baseline_calibration")),
            },
        )

    def rules(self, search: SearchConfig, reader: str) -> SearchRules:
        """The rules of a search whose fields `reader` reads."""
        codebook = self.codebook if reader == COMMON else self.codebook.first(1)
        return codebook.rules(search)


def design_of(bundle: Bundle) -> DesignConfig:
    """The design that made a bundle, from its card. Raises ConfigError."""
    known = {key: value for key, value in bundle.card.config.items() if key in DesignConfig.model_fields}
    return DesignConfig.from_table(known, source=f"the card of model '{bundle.card.name}'")


def search_config_of(bundle: Bundle) -> SearchConfig:
    """The search that the bundle's policy learned. Raises ModelMismatch for a bundle without a policy."""
    table = bundle.card.config.get("search")
    if not isinstance(table, dict):
        raise ModelMismatch(f"Model '{bundle.card.name}' has no policy.", hint="run 'lsm train-policy' for it")
    return SearchConfig.from_table(table, source=f"the card of model '{bundle.card.name}'")


def run_policy_pipeline(
    config: TrainPolicyConfig,
    bundle: Bundle,
    *,
    cache: Path,
    cells: Path | None = None,
    progress: Reporter | None = None,
    clock: Clock | None = None,
) -> Bundle:
    """The bundle with a policy trained for its light and readers, and the policy's held-out figures on its card.

    The policy learns on slides of the design's calibration split and is judged on those of its test split.
    cache: folder for slide tables and the checkpoint; an interrupted run goes on from there.
    cells: the NIH crops, for a model made from them. clock: told of the time before the checkpoint.
    Raises FileMissing, ConfigError or ModelMismatch.
    """
    reporter = progress or Silent()
    model = PolicyModel.of(bundle)
    learning = _tables(model, config, config.train, LEARN_ON, cache, cells, reporter)
    judging = _tables(model, config, config.held_out, JUDGE_ON, cache, cells, reporter)
    trials = {
        name: [
            Trial(tables[name], model.calibrations[name], model.rules(config.search, name))
            for tables in (learning, judging)
        ]
        for name in (COMMON, BRIGHT)
    }
    checkpoint = cache / f"policy-{bundle.card.weights_digest[:12]}-{config.digest()}.safetensors"
    with reporter.stage("policy", config.ppo.updates) as stage:
        trained = run_train_policy(
            config,
            *trials[COMMON],
            bright_field=trials[BRIGHT][1],
            progress=lambda report: stage.advance(report.error),
            checkpoint=checkpoint,
            clock=clock,
        )
    extended = bundle.with_part("policy", trained.tensors, figures={"policy": trained.figures()})
    return extended.with_card(config={**bundle.card.config, "search": config.search.model_dump(mode="json")})


def _tables(
    model: PolicyModel,
    config: TrainPolicyConfig,
    group: TableConfig,
    split: Split,
    cache: Path,
    cells: Path | None,
    reporter: Reporter,
) -> dict[str, SlideTables]:
    plan = TablePlan(
        smear=slide_source(model.design, split, group, cells=cells),
        rig=model.design.rig,
        codebook=model.codebook,
        grid=config.search.grid,
        readers=model.readers,
        config=group,
        identity=f"{model.bundle.card.weights_digest[:16]}-{split}",
        seed=config.seed,
    )
    with reporter.stage(f"slides for the policy ({split} split)", group.slides) as stage:
        return build_tables(plan, cache, progress=lambda *_: stage.advance())
