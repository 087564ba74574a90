"""Settings of the experiment."""

from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Lt, MinLen
from pydantic import Field, model_validator

from lsm.agent.adaptive import AdaptiveConfig, CellBudget, CellCosts, CellReward
from lsm.agent.adaptive.policies import BackwardsConfig, CellNetworkConfig, CellPpoConfig, GlimpseConfig
from lsm.agent.adaptive.readers import SetReaderConfig
from lsm.config import Config
from lsm.errors import ConfigError
from lsm.optics import Camera
from lsm.sensing.cells import CellStackConfig
from lsm.sensing.cells.exposure import PhotonBudget
from lsm.sensing.cells.training import CellTrainingConfig

Count = Annotated[int, Ge(1)]
Price = Annotated[float, Ge(0)]
Source = Literal["nih", "phantoms", "digits", "replayed"]
Spending = Literal["captures", "time_s"]


class Prices(Config):
    """What a policy is trained for: what looking costs, in units of one wrong declaration; see CellCosts.

    log_score: weight of the logarithmic score of the belief, paid capture by capture; see CellReward.
    """

    per_capture: Price = 0.0
    per_s: Price = 0.0
    log_score: Price = 0.0

    @property
    def name(self) -> str:
        """How tables call it."""
        parts = [f"{self.per_capture:g} a capture"] * (self.per_capture > 0) + [f"{self.per_s:g} a second"] * (
            self.per_s > 0
        )
        told = ", ".join(parts) or "free"
        return f"{told}, log score {self.log_score:g}" if self.log_score else told

    def of(self, share: float) -> "Prices":
        """With looking at this share of its price."""
        return self.model_copy(update={"per_capture": share * self.per_capture, "per_s": share * self.per_s})


class Design(Config):
    """How a policy comes about.

    learner: "ppo"; "backwards", backward induction with every action tried; "warm", PPO that begins with what imitates
    the latter. rising: shares of the price, for as many equal parts of the updates, in place of the whole price at
    once. network: of PPO, in place of the study's. prices: one policy for each, in place of the study's.
    """

    learner: Literal["ppo", "backwards", "warm"] = "ppo"
    rising: tuple[Price, ...] = ()
    network: CellNetworkConfig | None = None
    prices: tuple[Prices, ...] = ()


class Phantoms(Config):
    """Invented smears, each of which stands for a patient."""

    smears: Annotated[int, Ge(4)] = 24
    cells_per_smear: Annotated[int, Ge(2)] = 60
    width_um: Annotated[float, Gt(0)] = 420.0
    parasitaemia: Annotated[float, Gt(0), Lt(1)] = 0.4


class StudyConfig(Config):
    """One kind of cells, with all its policies.

    source: where cells come from. cells: how many, spread evenly; 0 is all. stack: optics of computed cells.
    budget: electrons of all captures that a cell may get, shared equally. aside: share of the patients not tested on
    whose cells calibrate the reader, train policies and choose patterns and thresholds; the rest trains reader and
    learned lights. left_out: standard lights that the book lacks. learned: lights that are learned on the reader's
    cells. prices: one trained policy for each, by every design. designs: by name, which tables add where there are
    several. warm_updates: of imitation.
    thresholds: nats of evidence at which tests stop. gains: nats a capture at which greedy information stops, and
    gains_per_s nats a second, where a price is by seconds. The least threshold and the largest gains stop after one
    capture, so that these curves begin where every policy must.
    choose_cells: of those set aside on which sequences are chosen. beam: of that search. repeats: how often each
    tested cell is met.
    turned: whether cells are also met turned and mirrored while reader and policies learn.
    """

    source: Source = "nih"
    cells: Annotated[int, Ge(0)] = 0
    folds: Annotated[int, Gt(1)] = 3
    stack: CellStackConfig = CellStackConfig()
    phantoms: Phantoms = Phantoms()
    captures: Annotated[int, Ge(2)] = 6
    budget: PhotonBudget = PhotonBudget()
    camera: Camera = Camera()
    aside: Annotated[float, Gt(0), Lt(1)] = 0.35
    left_out: tuple[str, ...] = ()
    learned: Annotated[int, Ge(0)] = 2
    light: CellTrainingConfig = CellTrainingConfig(epochs=8)
    reader: SetReaderConfig = SetReaderConfig()
    ppo: CellPpoConfig = CellPpoConfig()
    backwards: BackwardsConfig = BackwardsConfig()
    warm_updates: Count = 60
    prices: Annotated[tuple[Prices, ...], MinLen(1)] = (Prices(per_capture=0.01),)
    designs: Annotated[dict[str, Design], MinLen(1)] = Field(default_factory=lambda: {"ppo": Design()})
    glimpse: GlimpseConfig | None = None
    glimpse_captures: Count = 3
    choose_cells: Annotated[int, Ge(2)] = 800
    beam: Count = 2
    thresholds: tuple[float, ...] = (0.01, 0.25, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5)
    gains: tuple[float, ...] = (0.7, 0.4, 0.3, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005)
    gains_per_s: tuple[float, ...] = (35.0, 3.0, 1.0, 0.5, 0.3, 0.2, 0.1, 0.03)
    repeats: Count = 1
    turned: bool = True

    def trained(self) -> list[tuple[str, Design, Prices]]:
        """Every policy that is trained: what tables call it, how it comes about, what for."""
        several = len(self.designs) > 1
        return [
            (f"{prices.name}, {name}" if several else prices.name, design, prices)
            for name, design in self.designs.items()
            for prices in design.prices or self.prices
        ]

    def rules(self, prices: Prices | None = None, *, captures: int | None = None) -> AdaptiveConfig:
        """One episode at these prices (free looking without them); nobody can refer, so all declare."""
        most = captures or self.captures
        price = prices or Prices()
        scored = price.log_score
        return AdaptiveConfig(
            budget=CellBudget(captures=most),
            costs=CellCosts(per_capture=price.per_capture, per_s=price.per_s),
            reward=CellReward(referred=1.0, log_score=scored, shaped=scored > 0),
            repeats=most,
        )


class ChawareConfig(Config):
    """The whole experiment. seeds: partitions of the patients, each with trainings of its own; with one, intervals are
    over patients alone.

    quick: the studies of the short form, each with the keys that it changes.
    """

    first_seed: Annotated[int, Ge(0)] = 1
    seeds: Count = 5
    studies: Annotated[dict[str, StudyConfig], MinLen(1)]
    quick_seeds: Count = 2
    quick: dict[str, dict[str, Any]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _short_of_what_is_there(self) -> "ChawareConfig":
        for name in self.quick:
            if name not in self.studies:
                raise ConfigError(
                    f"The short form names the study '{name}'.", hint=f"studies are {', '.join(self.studies)}"
                )
        return self

    def short(self) -> "ChawareConfig":
        """The short form, for the direction alone."""
        studies = {
            name: StudyConfig.from_table(_merged(self.studies[name].model_dump(), keys), source=f"quick.{name}")
            for name, keys in self.quick.items()
        }
        return self.model_copy(update={"seeds": self.quick_seeds, "studies": studies})


def _merged(table: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """The table with dotted keys changed."""
    for dotted, value in changes.items():
        place = table
        *path, last = dotted.split(".")
        for name in path:
            place = place[name]
        place[last] = value
    return table
