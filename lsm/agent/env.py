"""`lsm/SlideSearch-v0`: one search over one slide as a Gymnasium environment."""

from collections.abc import Callable
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
import torch
from gymnasium import spaces
from jaxtyping import Bool, Float, UInt8

from lsm.agent.batch_env import log_error, step_cost
from lsm.agent.codebook import Codebook
from lsm.agent.draw import draw_search, grey_of
from lsm.agent.evidence import EvidenceModel
from lsm.agent.rules import SearchRules
from lsm.agent.search import Reads, SlideSearch
from lsm.agent.state import observation_size
from lsm.agent.synthetic import synthetic_tables
from lsm.agent.table_world import TableMicroscope, TableReader, table_codebook
from lsm.agent.tables import SlideTables
from lsm.devices import Microscope
from lsm.errors import InputError
from lsm.stats import ScoreCalibration

ObservationArray = Float[np.ndarray, " entry"]
AllowedArray = Bool[np.ndarray, " action"]
Picture = UInt8[np.ndarray, "y x 3"]
OBSERVATION_LIMIT = 50.0
SMALLEST_IMAGE = 8
REFUSED = -0.1


class Specimen(NamedTuple):
    """A slide under a microscope and its true infected fraction of red cells, which only the reward reads."""

    microscope: Microscope
    prevalence: float


class Laboratory(NamedTuple):
    """Everything a search needs but the slide: reader, patterns, rules, calibration, and where slides come from.

    slide: a specimen drawn with the generator. tables: the slides it draws from where they are tables, each as likely;
    reset options name one of them, and the vector environment works on them.
    """

    slide: Callable[[np.random.Generator], Specimen]
    reader: Reads
    codebook: Codebook
    rules: SearchRules
    calibration: ScoreCalibration
    tables: SlideTables | None = None


class SlideSearchEnv(gym.Env[ObservationArray, np.int64]):
    """Search one slide: choose light, move the stage, stop and declare the prevalence of infected red cells.

    Any `Microscope` with any reader serves; without a laboratory, invented slides do (`table_world`).

    Observation: Box float32, the table in `lsm.agent.state`.
    Action: Discrete(K + 6), the list in `lsm.agent.state`; `action_masks()` and info["action_mask"] name those
    allowed now. Any other action is refused: nothing moves, nothing is lit, the observation stays, the reward
    is REFUSED (-0.1) and info["refused"] is True.
    Start: the stage at field 0, nothing captured; reset(seed) draws the slide.
    Options of reset, all optional: "specimen", a Specimen to search; "slide", a slide of the laboratory's tables by
    number; "parasitaemia", that slide of the tables whose infected fraction is nearest; "budget", captures of this
    search, at most those of the rules, to which the observation's budget then relates.
    End: `terminated` after the stop. A budget that is used up leaves only the stop; `truncated` is never set.
    Reward (nats): decrease of min(|log((estimate + e0) / (truth + e0))|, cap), which starts at cap, or its
    negative at the end without shaping; minus the cost of captures, LED-seconds, millimetres and seconds.
    Info: prevalence (estimate), captures, light_dose (LED ms), time_s, travel_um, action_mask,
    refused; the truth is not in it.
    Render: "rgb_array", 450 x 800 pixels: the map of visited fields, the sample under the last light, belief, budget
    left and light.
    Vector environment: `lsm.agent.vector_env`, the same observations and rewards for the same seeds.
    Randomness: the slide, and what the microscope's camera adds; same seed, same bytes.

    Version history: v0 first version.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 4}  # noqa: RUF012 (Gymnasium's own)

    def __init__(self, laboratory: Laboratory | None = None, *, render_mode: str | None = None) -> None:
        self.render_mode = render_mode
        self._laboratory = laboratory or invented_laboratory()
        self.rules = self._laboratory.rules
        self._model = EvidenceModel.of(self._laboratory.calibration)
        self.observation_space, self.action_space = spaces_of(self.rules)
        self._search: SlideSearch | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[ObservationArray, dict[str, Any]]:
        super().reset(seed=seed)
        lab = self._laboratory
        self.rules = budget_rules(lab.rules, options or {})
        specimen = self._specimen(options or {})
        self._truth = torch.tensor([specimen.prevalence], dtype=torch.float64)
        self._error = torch.tensor([self.rules.reward.cap], dtype=torch.float64)
        self._search = SlideSearch(specimen.microscope, lab.reader, lab.codebook, self.rules, self._model)
        return self._observation(), self._info()

    def step(self, action: np.int64) -> tuple[ObservationArray, float, bool, bool, dict[str, Any]]:
        search = self._searching()
        if not search.allows(int(action)):
            return self._observation(), REFUSED, False, False, self._info(refused=True)
        before = search.state
        search.act(int(action))
        done = int(action) == self.rules.stop
        error = log_error(search.view.prevalence, self._truth, self.rules)
        gain = self._error - error if self.rules.reward.shaped else -error * done
        self._error = error
        # as the batched environment pays
        reward = float((gain - step_cost(before, search.state, self.rules)).float()[0])
        return self._observation(), reward, done, False, self._info()

    def action_masks(self) -> AllowedArray:
        """True for every action that is allowed now."""
        allowed: AllowedArray = self._searching().view.allowed[0].numpy()
        return allowed

    def render(self) -> Picture | None:
        """The search as a picture where the render mode is "rgb_array", else None."""
        if self.render_mode != "rgb_array":
            return None
        search = self._searching()
        frames = search.frames.get(search.field)
        image = None if not frames else list(frames.values())[-1].image
        # the labels of tables are no image
        sample = None if image is None or min(image.shape) < SMALLEST_IMAGE else grey_of(image)
        return draw_search(search.state, search.view, self.rules, sample)

    def _specimen(self, options: dict[str, Any]) -> Specimen:
        if "specimen" in options:
            specimen: Specimen = options["specimen"]
            return specimen
        lab = self._laboratory
        number = slide_number(lab.tables, options)
        if number is None or lab.tables is None:
            return lab.slide(self.np_random)
        return Specimen(TableMicroscope(self.rules, number), float(lab.tables.truth[number]))

    def _searching(self) -> SlideSearch:
        if self._search is None:
            raise InputError("The environment has no search yet.", hint="call reset() first")
        return self._search

    def _observation(self) -> ObservationArray:
        observation: ObservationArray = self._searching().view.observation[0].numpy()
        return observation.clip(-OBSERVATION_LIMIT, OBSERVATION_LIMIT)

    def _info(self, *, refused: bool = False) -> dict[str, Any]:
        search = self._searching()
        return {
            "prevalence": float(search.view.prevalence[0]),
            "captures": int(search.state.captures[0]),
            "light_dose": float(search.state.light_dose[0]),
            "time_s": float(search.state.time_s[0]),
            "travel_um": float(search.state.travel_um[0]),
            "action_mask": self.action_masks().astype(np.int8),
            "refused": refused,
        }


def spaces_of(rules: SearchRules) -> tuple[spaces.Box, spaces.Discrete]:
    """Observation and action space of one search."""
    box = spaces.Box(-OBSERVATION_LIMIT, OBSERVATION_LIMIT, (observation_size(rules),), np.float32)
    return box, spaces.Discrete(rules.n_actions)


def slide_number(tables: SlideTables | None, options: dict[str, Any]) -> int | None:
    """The slide that options of a reset ask for; None where they ask for none.

    Raises InputError for a slide that is not there, and for options of a laboratory without tables.
    """
    if "slide" not in options and "parasitaemia" not in options:
        return None
    if tables is None:
        raise InputError("This laboratory has no numbered slides.", hint='give reset the option "specimen"')
    if "parasitaemia" in options:
        return int(np.abs(tables.truth - float(options["parasitaemia"])).argmin())
    number = int(options["slide"])
    if not 0 <= number < tables.n_slides:
        raise InputError(f"There is no slide {number}.", hint=f"slides are 0 to {tables.n_slides - 1}")
    return number


def budget_rules(rules: SearchRules, options: dict[str, Any]) -> SearchRules:
    """The rules with the budget of captures that options of a reset ask for. Raises InputError out of range."""
    if "budget" not in options:
        return rules
    budget = int(options["budget"])
    if not 1 <= budget <= rules.capture_budget:
        raise InputError(f"A budget of {budget} captures is impossible.", hint=f"give 1 to {rules.capture_budget}")
    return rules.model_copy(update={"capture_budget": budget})


def table_laboratory(tables: SlideTables, calibration: ScoreCalibration, rules: SearchRules) -> Laboratory:
    """A laboratory whose slides are tables, each as likely as another."""

    def slide(rng: np.random.Generator) -> Specimen:
        index = int(rng.integers(tables.n_slides))
        return Specimen(TableMicroscope(rules, index), float(tables.truth[index]))

    return Laboratory(slide, TableReader(tables), table_codebook(rules), rules, calibration, tables)


def invented_laboratory(n_slides: int = 8, *, seed: int = 0) -> Laboratory:
    """A laboratory of invented slides with four patterns; no result rests on it."""
    rules = SearchRules(exposures_ms=(20.0,) * 4, light_doses=(20.0,) * 4)
    tables, calibration = synthetic_tables(rules, n_slides, seed=seed)
    return table_laboratory(tables, calibration, rules)
