"""Asks a guarded microscope for a great many things it must refuse and watches where it was truly sent.

    python -m lsm_sim.limit_fuzz --requests 1000000 --seed 1 --json limit_fuzz.json

Requests come from scripts (any float, the edges and their neighbours, wrong types), from bursts, from search policies
whose slide is larger than the travel, and from autofocus and stage calibration that search too far. Beneath the guard,
a stage notes where it is really sent, by which way, how fast, how long it exposes, and how much light it gives to
which point; it judges by arithmetic of its own. Now and then it fails half-way.
"""

import argparse
import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lsm.agent.baselines import RandomSearch
from lsm.agent.codebook import Codebook
from lsm.agent.evidence import EvidenceModel
from lsm.agent.rules import ScanGrid, SearchConfig
from lsm.agent.search import SlideSearch
from lsm.calibrate import FocusSearch, StageMoves, TwoLedFocus, measure_stage, sharpness_focus, two_led_focus
from lsm.devices import Burst, Frame, Microscope, Observe, Shown, observe_all
from lsm.errors import LsmError, StageError
from lsm.illum import Pattern, bright_field, dark, dark_field, single_led
from lsm.safety import Clock, Interlock, Limits, Obstacle
from lsm.types import Image
from lsm.vision import FieldQuality, FieldReading, FoundCells
from lsm_sim._figures import tell
from lsm_sim.watched_stage import BOARD, SIDE_PX, FakeTime, LimitFuzz, WatchedStage

LIMITS = Limits(
    x_um=(0.0, 3000.0),
    y_um=(-1000.0, 1000.0),
    z_um=(-100.0, 100.0),
    z_floor_um=-60.0,
    obstacles=(Obstacle(x_um=(2500.0, 3000.0), y_um=(500.0, 1000.0), z_um=(20.0, 100.0)),),
    safe_z_um=80.0,
    long_move_um=1500.0,
    xy_speed_um_per_s=20_000.0,
    z_speed_um_per_s=2_000.0,
    exposure_ms=(0.1, 50.0),
    capture_dose_led_ms=100.0,
    field_dose_led_ms=220.0,
    total_dose_led_ms=4_000.0,
    field_um=200.0,
    current_ma=200.0,
    mean_current_ma=12.0,
    thermal_s=0.5,
)
IGNORED: dict[str, dict[str, Any]] = {
    "x_um": {"x_um": (-1e9, 1e9)},
    "y_um, by one step of a float": {"y_um": (LIMITS.y_um[0], math.nextafter(LIMITS.y_um[1], math.inf))},
    "z_um": {"z_um": (LIMITS.z_um[0], 1e9)},
    "z_floor_um": {"z_floor_um": None},
    "obstacles": {"obstacles": ()},
    "safe_z_um": {"safe_z_um": None},
    "xy_speed_um_per_s": {"xy_speed_um_per_s": None},
    "z_speed_um_per_s": {"z_speed_um_per_s": None},
    "exposure_ms": {"exposure_ms": (0.0, 1e9)},
    "capture_dose_led_ms": {"capture_dose_led_ms": 1e9},
    "field_dose_led_ms": {"field_dose_led_ms": 1e9},
    "total_dose_led_ms": {"total_dose_led_ms": 1e9},
    "current_ma": {"current_ma": None},
    "mean_current_ma": {"mean_current_ma": None},
}
SESSION = 1500
"""Requests after which the budgets are new, as after connecting again."""

Guard = Callable[[Microscope, Limits, Clock], Microscope]


class Asker:
    """A microscope for policies and calibrations: counts every request and goes on after a refusal."""

    def __init__(self, fuzz: "Fuzzer", source: str) -> None:
        self.board = BOARD
        self._fuzz, self._source = fuzz, source

    def observe(self, request: Observe) -> Frame:
        frame = self._fuzz.ask(self._source, request)
        if frame is not None:
            return frame
        blank = np.full((SIDE_PX, SIDE_PX), 100, np.uint16)
        return Frame(blank, request, Shown(request.pattern.levels), (0.0, 0.0), 0.0, 0, 1)

    def close(self) -> None:
        """Nothing to release."""


class EnoughError(Exception):
    """All requests have been asked."""


class Fuzzer:
    """One campaign; see fuzz_limits."""

    def __init__(self, requests: int, seed: int, limits: Limits, guard: Guard, *, once: bool = False) -> None:
        self.tally = LimitFuzz()
        self.rng = np.random.default_rng(seed)
        self._requests, self._limits, self._guard, self._once = requests, limits, guard, once
        self._now = FakeTime()
        self._stage = WatchedStage(limits, self.tally, self.rng, self._now)
        self._new_session()

    def run(self) -> LimitFuzz:
        sources = (self._script, self._wrong_types, self._burst, self._policy, self._focus, self._stage_calibration)
        shares = np.array([0.72, 0.14, 0.116, 0.004, 0.012, 0.008])
        try:
            while True:
                sources[int(self.rng.choice(len(sources), p=shares))]()
        except EnoughError:
            return self.tally

    def ask(self, source: str, request: Any) -> Frame | None:
        """Put one request, note what came of it; None where it was refused or failed."""
        tally = self.tally
        if tally.asked == self._requests or (self._once and tally.outside):
            raise EnoughError
        if tally.asked and tally.asked % SESSION == 0:
            self._new_session()
        tally.asked += 1
        tally.by_source[source] = tally.by_source.get(source, 0) + 1
        # time goes on between requests, sometimes long enough to cool
        self._now.now_s += 0.001 if self.rng.random() < 0.98 else 1.0
        before = self._state()
        calls = self._stage.calls
        try:
            frames = self._put(request)
        except StageError:
            tally.failed += 1
        except LsmError:
            tally.refused += 1
            if self._state() != before:
                tally.changed += 1
                tally.note(f"a refusal changed {before} to {self._state()}")
        except Exception as error:  # noqa: BLE001 -- that it does not crash is what is counted
            tally.crashed += 1
            tally.note(f"{source}: {type(error).__name__}: {error}")
        else:
            tally.captured += len(frames)
            tally.detours += max(0, self._stage.calls - calls - 1)
            return frames[0] if frames else None
        return None

    def _put(self, request: Any) -> tuple[Frame, ...]:
        request = request() if callable(request) else request
        if isinstance(request, Burst):
            return observe_all(self._guarded, request)
        return (self._guarded.observe(request),)

    def _state(self) -> tuple[Any, ...]:
        return (self._stage.place, self._stage.given_led_ms, getattr(self._guarded, "spent_led_ms", 0.0))

    def _new_session(self) -> None:
        self._stage.new_session()
        self._guarded = self._guard(self._stage, self._limits, self._now.clock())

    def _number(self, interval: tuple[float, float]) -> float:
        """Mostly inside, often just at or beyond an edge, sometimes any float at all."""
        low, high = interval
        kind = self.rng.random()
        if kind < 0.75:
            return float(self.rng.uniform(low, high))
        edge = low if self.rng.random() < 0.5 else high
        if kind < 0.85:
            return [edge, math.nextafter(edge, math.inf), math.nextafter(edge, -math.inf)][self.rng.integers(3)]
        if kind < 0.9:
            return float(self.rng.uniform(low - (high - low), high + (high - low)))
        if kind < 0.95:
            return float(self.rng.choice(STRANGE))
        return float(np.frombuffer(self.rng.bytes(8), "<f8")[0])

    def _place(self) -> tuple[tuple[float, float] | None, float | None]:
        limits = self._limits
        xy_um = None if self.rng.random() < 0.3 else (self._number(limits.x_um), self._number(limits.y_um))
        return xy_um, None if self.rng.random() < 0.3 else self._number(limits.z_um)

    def _pattern(self) -> Pattern:
        return PATTERNS[self.rng.integers(len(PATTERNS))]

    def _script(self) -> None:
        self.ask("script", Observe(self._pattern(), self._number(self._limits.exposure_ms), *self._place()))

    def _burst(self) -> None:
        patterns = tuple(self._pattern() for _ in range(self.rng.integers(0, 6)))
        self.ask("burst", Burst(patterns, self._number(self._limits.exposure_ms), *self._place()))

    def _wrong_types(self) -> None:
        xy_um, z_um = self._place()
        entries: list[Any] = [self._pattern(), self._number(self._limits.exposure_ms), xy_um, z_um]
        which = int(self.rng.integers(4))
        entries[which] = _wrong(entries[which], self.rng)
        if xy_um is not None and self.rng.random() < 0.5:
            entries[2] = [_wrong(value, self.rng) if self.rng.random() < 0.5 else value for value in xy_um]
        self.ask("wrong types", partial(Observe, *entries))

    def _policy(self) -> None:
        # a slide that is larger than the travel on every side
        grid = ScanGrid(columns=8, rows=6, pitch_um=600.0, corner_um=(-900.0, -1800.0))
        codebook = Codebook((PATTERNS[0], PATTERNS[1]), (5.0, 20.0))
        rules = codebook.rules(SearchConfig(grid=grid, n_bins=2, capture_budget=12, action_budget=24))
        even = torch.full((rules.n_masks, 2), 0.5, dtype=torch.float64)
        model = EvidenceModel(even, even, 10 * even, 10 * even)
        search = SlideSearch(
            Asker(self, "policy"), NoCells(), codebook, rules, model, z_um=self._number((-80.0, 120.0))
        )
        policy = RandomSearch(rules, torch.Generator().manual_seed(int(self.rng.integers(2**31))))
        memory, action = policy.start(1), -1
        while action != rules.stop:
            choice = policy.act(search.view.observation, search.view.allowed, memory)
            memory, action = choice.memory, int(choice.action[0])
            search.act(action)

    def _focus(self) -> None:
        asker, rng = Asker(self, "autofocus"), self.rng
        low_um, high_um = sorted(rng.uniform(-250.0, 250.0, 2).tolist())
        backlash_um = float(rng.choice([0.0, 10.0]))
        look: Callable[[], object]
        if rng.random() < 0.5:
            search = FocusSearch(z_um=(low_um, high_um), coarse_um=40.0, fine_um=15.0, backlash_um=backlash_um)
            look = partial(sharpness_focus, asker, PATTERNS[1], search, exposure_ms=20.0)
        else:
            how = TwoLedFocus(
                z_um=(low_um, high_um), um_per_px=((1.2, 0.0), (0.0, 1.2)), away_um=150.0, backlash_um=backlash_um
            )
            expected_um = float(rng.uniform(low_um, high_um))
            look = partial(two_led_focus, asker, how, na=0.1, exposure_ms=20.0, expected_um=expected_um)
        _until_it_gives_up(look)

    def _stage_calibration(self) -> None:
        x_um, y_um = (self._number(interval) for interval in (self._limits.x_um, self._limits.y_um))
        moves = StageMoves(pixel_um=40.0, backlash_um=20.0)
        asker = Asker(self, "stage calibration")
        _until_it_gives_up(partial(measure_stage, asker, PATTERNS[0], moves, exposure_ms=5.0, xy_um=(x_um, y_um)))


class NoCells:
    """A reader that finds nothing in any image."""

    n_bins = 2

    def read(self, frames: dict[int, Image]) -> FieldReading:
        mask = sum(1 << pattern for pattern in frames)
        none = np.zeros(0)
        cells = FoundCells(none, none, none, np.zeros(0, np.int64), none)
        return FieldReading(mask, cells, none, np.zeros(2, np.int64), FieldQuality(0, 0, 0.0, 1.0, 0.0))


def guarded(microscope: Microscope, limits: Limits, clock: Clock) -> Microscope:
    """The guard that is on trial."""
    return Interlock(microscope, limits, clock=clock)


def fuzz_limits(requests: int, seed: int, *, limits: Limits = LIMITS, guard: Guard = guarded) -> LimitFuzz:
    """What came of so many requests. guard: what stands between them and the stage."""
    return Fuzzer(requests, seed, limits, guard).run()


def noticed(requests: int, seed: int, *, once: bool = False) -> dict[str, int]:
    """How often something went beyond a limit when an interlock did not know of it, for each: none may be 0.

    once: the first time is enough.
    """
    return {
        name: Fuzzer(requests, seed, LIMITS, partial(_ignoring, **changes), once=once).run().outside
        for name, changes in IGNORED.items()
    }


def _ignoring(microscope: Microscope, limits: Limits, clock: Clock, **changes: Any) -> Microscope:
    """A careless guard."""
    return Interlock(microscope, limits.model_copy(update=changes), clock=clock)


def _until_it_gives_up(look: Callable[[], object]) -> None:
    # all its images are alike: it fails in the end, having asked for all it wanted
    with suppress(LsmError):
        look()


def _wrong(value: Any, rng: np.random.Generator) -> Any:
    number = value if isinstance(value, float) and math.isfinite(value) else 1.5
    return [
        "12.5",
        b"3",
        True,
        None,
        [],
        (1.0, 2.0, 3.0),
        complex(1, 2),
        Decimal("1.5"),
        10**400,
        np.float32(min(abs(number), 1e30)),
        np.float64(number),
        np.array(number),
        np.array([number]),
        np.int64(3),
        Liar(number),
        {"um": 1.0},
    ][int(rng.integers(16))]


class Liar(float):
    """A number that is another each time it is converted."""

    def __float__(self) -> float:
        return 1e9


def _patterns() -> Iterator[Pattern]:
    yield bright_field(BOARD, na=0.1)
    yield dark_field(BOARD, na=0.1)
    yield dark(BOARD)
    yield Pattern.of(BOARD, np.ones((BOARD.n_leds, BOARD.n_colours)), name="all")
    yield from (single_led(BOARD, led, colour=led % 3) for led in range(0, BOARD.n_leds, 4))


PATTERNS = tuple(_patterns())
# infinities, zeros, subnormal and very large numbers
STRANGE = (math.nan, math.inf, -math.inf, 0.0, -0.0, 5e-324, -5e-324, 2.2e-308, 1.8e308, -1.8e308, 1e16, 2.0**53)


def main(arguments: list[str]) -> int:
    """Run the campaign, print and write what came of it; 0 where nothing went beyond a limit."""
    parser = argparse.ArgumentParser(description="Requests of every kind against the limits of a rig.")
    parser.add_argument("--requests", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--careless", type=int, default=8000, help="requests to interlocks that ignore one limit each")
    parser.add_argument("--json", type=Path, help="file for the figures")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    began = time.monotonic()
    tally = fuzz_limits(options.requests, options.seed)
    kept = not (tally.outside or tally.changed or tally.crashed)
    careless = noticed(options.careless, options.seed) if options.careless else {}
    result = {
        "command": f"python -m lsm_sim.limit_fuzz --requests {options.requests} --seed {options.seed}",
        "seed": options.seed,
        "limits": LIMITS.model_dump(mode="json"),
        "minutes": round((time.monotonic() - began) / 60, 1),
        **asdict(tally),
        "outside_when_one_limit_is_ignored": careless,
        "promise_kept": kept and all(careless.values()),
    }
    tell(result, options.json)
    return 0 if result["promise_kept"] else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
