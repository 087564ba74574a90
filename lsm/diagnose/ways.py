"""The ways to search a slide that a model offers: its policy, and the bright-field scan that it has to beat."""

from dataclasses import dataclass

from lsm.agent import Codebook, FixedScan, Policy, SearchConfig, SearchPlan, TrainedPolicy
from lsm.agent.pipeline import design_of, search_config_of
from lsm.errors import ModelMismatch
from lsm.scope import RigConfig
from lsm.sensing import Bundle
from lsm.stats import ScoreCalibration
from lsm.vision import FieldReader

BASELINE = "fixed scan, bright field"

SAME_PIXEL, SAME_NA = 0.02, 0.05
"""Relative differences between the rig and the one a model was designed for that its readers do not notice."""


@dataclass(frozen=True, eq=False)
class Way:
    """One way to search a slide."""

    policy: Policy
    plan: SearchPlan

    @classmethod
    def of_agent(cls, bundle: Bundle, rig: RigConfig, search: SearchConfig, *, z_um: float | None = None) -> "Way":
        """The model's trained policy. Raises ModelMismatch for a rig that the model was not designed for."""
        refuse_other_optics(bundle, rig)
        codebook = Codebook.from_bundle(bundle, rig.led.board.build())
        rules = codebook.rules(search)
        calibration = ScoreCalibration.from_arrays(bundle.arrays("calibration"))
        plan = SearchPlan(FieldReader(bundle), codebook, rules, calibration, rig.camera_pixel_um, z_um)
        return cls(TrainedPolicy.of(bundle.select("policy"), rules, name="agent"), plan)

    @classmethod
    def of_bright_field(
        cls, bundle: Bundle, rig: RigConfig, search: SearchConfig, captures: int, *, z_um: float | None = None
    ) -> "Way":
        """The serpentine in bright field with its own classifier and this many captures. Raises as of_agent does."""
        refuse_other_optics(bundle, rig)
        codebook = Codebook.from_bundle(bundle, rig.led.board.build()).first(1)
        budget = {"capture_budget": captures, "action_budget": 2 * captures + 1}
        rules = codebook.rules(search.model_copy(update=budget))
        calibration = ScoreCalibration.from_arrays(bundle.arrays("baseline_calibration"))
        reader = FieldReader(bundle, baseline=True)
        plan = SearchPlan(reader, codebook, rules, calibration, rig.camera_pixel_um, z_um)
        return cls(FixedScan(rules, (0,), name=BASELINE), plan)


def search_of(bundle: Bundle, captures: int | None) -> SearchConfig:
    """The search that the model learned, with another budget of captures where one is given."""
    search = search_config_of(bundle)
    if captures is None:
        return search
    return search.model_copy(update={"capture_budget": captures, "action_budget": 3 * captures + 2})


def refuse_other_optics(bundle: Bundle, rig: RigConfig) -> None:
    """Raise ModelMismatch for a rig with other optics than the model's readers know."""
    system = design_of(bundle).rig.system
    for name, here, there, allowed in (
        ("camera pixel at the sample, um,", rig.camera_pixel_um, system.camera_pixel_um, SAME_PIXEL),
        ("objective NA", rig.objective.na, system.na, SAME_NA),
    ):
        if abs(here / there - 1) > allowed:
            raise ModelMismatch(
                f"The {name} of rig '{rig.name}' is {here:g}, model '{bundle.card.name}' was made for {there:g}.",
                hint=f"differences up to {allowed:.0%} are allowed; design a model for this rig with 'lsm design'",
            )
