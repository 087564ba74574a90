"""The search for the first infected cell: films, rates, environment, scans, planner, and what is counted."""

import dataclasses

import numpy as np
import pytest
import torch

from lsm.agent import Ppo, PpoConfig, TrainedPolicy
from lsm.agent.find_first import (
    BayesPlanner,
    FieldScorer,
    FilmConfig,
    FilmTables,
    FindFirstEnv,
    FindFirstRules,
    OrderedScan,
    ReadCells,
    ReaderRates,
    at_random,
    coarse_first,
    draw_films,
    ratio_of_means,
    read_cells,
    serpentine,
    try_search,
    with_the_map,
)
from lsm.agent.find_first.env import N_ENTRIES, READ, VISITED
from lsm.agent.find_first.trial import step_search
from lsm.agent.rules import ScanGrid
from lsm.errors import ConfigError, WrongFormat
from lsm.samples import InfectionConfig
from lsm.sensing import Bundle
from lsm.stats import auc

GRID = ScanGrid(columns=6, rows=4)
RULES = FindFirstRules(grid=GRID, field_budget=24)
RATES = ReaderRates(
    threshold=0.9, per_mm2=(2000.0, 6000.0), found=(1.0, 0.98), sensitivity=(0.6, 0.4), false_rate=(1e-3, 2e-3)
)
EVEN = FilmConfig(grid=GRID, parasitaemia=2e-3)
PATCHY = EVEN.model_copy(update={"infection": InfectionConfig(spread=2.0, length_um=460.0)})


@pytest.fixture(scope="module")
def films() -> FilmTables:
    return draw_films(PATCHY, RATES, 40, np.random.default_rng(0))


def test_films_hold_what_was_asked_for():
    films = draw_films(PATCHY, RATES, 300, np.random.default_rng(1))
    # Poisson numbers of some 3,400 infected cells
    assert films.infected.sum() / films.cells.sum() == pytest.approx(2e-3, rel=0.08)
    # sensitivity at about 4,500 cells per mm2
    assert films.hits.sum() / films.infected.sum() == pytest.approx(0.475, abs=0.03)
    assert np.all(films.hits <= films.suspects)
    assert np.all(films.suspects <= films.read)
    assert np.all(films.read <= films.cells)
    assert (films.hits > 0).mean() == pytest.approx(films.chance.mean(), rel=0.08)
    again = draw_films(PATCHY, RATES, 2, np.random.default_rng(1))
    assert np.array_equal(again.hits, films.hits[:2])


def test_rates_come_back_from_cells_that_follow_them():
    rng = np.random.default_rng(2)
    per_mm2 = np.repeat([2000.0, 6000.0], 40)
    field = np.repeat(np.arange(80), 250)
    infected = rng.random(len(field)) < 0.3
    score = np.where(infected, rng.beta(4, 2, len(field)), rng.beta(2, 6, len(field)))
    score[rng.random(len(field)) < 0.05] = np.nan
    cells = ReadCells(field, infected, score, np.repeat([0, 1, 0, 1], 20), per_mm2)
    rates = ReaderRates.of(cells, false_rate=0.01, knots=(2000.0, 6000.0, 9000.0))
    assert rates.per_mm2 == (2000.0, 6000.0)
    assert rates.found == pytest.approx((0.95, 0.95), abs=0.01)
    # 7,000 uninfected cells at each density
    assert rates.false_rate == pytest.approx((0.01, 0.01), abs=0.004)
    found, sensitivity, _ = rates.at(np.array([100.0, 4000.0]))
    assert found[0] == rates.found[0]
    assert sensitivity[1] == pytest.approx(np.mean(rates.sensitivity))
    with pytest.raises(ConfigError, match="infected"):
        ReaderRates.of(dataclasses.replace(cells, infected=infected & False), false_rate=0.01, knots=(2000.0,))
    with pytest.raises(ConfigError, match="one entry per knot"):
        ReaderRates(threshold=0.5, per_mm2=(1.0, 2.0), found=(1.0,), sensitivity=(1.0,), false_rate=(0.0,))


def test_a_search_ends_with_the_first_hit_and_counts_its_costs(films: FilmTables):
    env = FindFirstEnv(films, RULES)
    seen, scan = env.reset(40, films=torch.arange(40)), serpentine(GRID)
    memory, order = scan.start(40), GRID.serpentine()
    first = np.where((films.hits[:, order] > 0).any(1), (films.hits[:, order] > 0).argmax(1) + 1, 24)
    total = torch.zeros(40)
    while not bool(env.done.all()):
        choice = scan.act(seen.observation, seen.allowed, memory)
        seen, reward, _ = env.step(choice.action)
        total += reward
    state = env.state
    assert state.fields.tolist() == first.tolist()
    assert state.captures.tolist() == (4 * first).tolist()
    assert total.numpy() == pytest.approx(-RULES.reward_per_field * first, abs=1e-5)
    # the serpentine always moves by one field
    assert state.travel_um.numpy() == pytest.approx(GRID.pitch_um * (first - 1))
    looks = [films.suspects[k, order[: first[k]]].sum() for k in range(40)]
    assert state.looks.tolist() == looks
    visit_s = RULES.capture_s + RULES.settle_s
    expected_s = first * visit_s + (first - 1) * GRID.pitch_um / 5000 + RULES.confirm_s * np.array(looks)
    assert state.time_s.numpy() == pytest.approx(expected_s)


def test_nothing_but_readings_of_visited_fields_reaches_a_policy(films: FilmTables):
    hidden = dataclasses.replace(films, infected=0 * films.infected, chance=0 * films.chance, cells=0 * films.cells)
    seen = []
    for tables in (films, hidden):
        env = FindFirstEnv(tables, RULES)
        env.reset(40, torch.Generator().manual_seed(1))
        env.step(torch.full((40,), 7))
        seen.append(env.view.observation)
    assert torch.equal(*seen)
    entries = seen[0].reshape(40, 24, N_ENTRIES)
    elsewhere = torch.arange(24) != 7
    assert float(entries[:, elsewhere][..., : READ + 2].abs().max()) == 0.0
    assert bool((entries[:, 7, VISITED] == 1).all())


@pytest.mark.parametrize("budget", [24, 9])
def test_a_scan_is_counted_alike_with_and_without_its_steps(films: FilmTables, budget: int):
    rules = RULES.model_copy(update={"field_budget": budget})
    for scan in (serpentine(GRID), at_random(rules, films.n_films, torch.Generator().manual_seed(3))):
        quick, slow = try_search(scan, films, rules), step_search(scan, films, rules)
        for name in ("fields", "looks", "travel_um", "time_s", "found", "still_going"):
            # float64 sums of at most 24 terms
            np.testing.assert_allclose(getattr(quick, name), getattr(slow, name), rtol=1e-9, atol=1e-12)


def test_the_expectation_of_a_search_is_the_mean_of_lucky_and_unlucky_ones():
    config = PATCHY.model_copy(update={"density_spread": 0.0})
    film = draw_films(config, RATES, 1, np.random.default_rng(3))
    expected = try_search(serpentine(GRID), film, RULES)
    rng, order = np.random.default_rng(4), list(GRID.serpentine())
    hit = rng.random((20_000, 24)) < film.chance[0, order]
    fields = np.where(hit.any(1), hit.argmax(1) + 1, 24)
    # 20,000 draws of a standard deviation of about 6; searches below 1e-3 are not followed
    assert expected.fields[0] == pytest.approx(fields.mean(), abs=0.2)
    assert expected.found[0] == pytest.approx(hit.any(1).mean(), abs=0.02)
    assert expected.quantile(0.5) == int(np.median(fields))


def test_the_map_is_the_bound_and_an_even_film_leaves_nothing_to_win(films: FilmTables):
    told, scan = try_search(with_the_map(films), films, RULES), try_search(serpentine(GRID), films, RULES)
    spread = try_search(coarse_first(GRID), films, RULES)
    assert np.all(told.fields <= scan.fields + 1e-9)
    assert told.fields.mean() < spread.fields.mean() < scan.fields.mean()
    even = draw_films(EVEN.model_copy(update={"density_spread": 0.0}), RATES, 40, np.random.default_rng(5))
    planner = _planner([EVEN, PATCHY])
    row, planned = (try_search(policy, even, RULES).fields for policy in (serpentine(GRID), planner))
    ratio = ratio_of_means(row, planned[None], seed=0)
    # only the profile of the film (1.0 to 0.9 of its cells) is left
    assert 0.93 < ratio.low <= ratio.ratio <= ratio.high < 1.07


def test_the_planner_goes_away_from_where_nothing_was_found():
    planner = _planner([PATCHY.model_copy(update={"infection": InfectionConfig(spread=2.0, length_um=600.0)})])
    env = FindFirstEnv(draw_films(EVEN, RATES, 1, np.random.default_rng(6)), RULES, in_vain=True)
    seen, memory = env.reset(1), planner.start(1)
    seen = env.step(torch.tensor([0])).view
    choice = planner.act(seen.observation, seen.allowed, memory)
    assert float(RULES.distances_um()[0, choice.action[0]]) > 3 * GRID.pitch_um
    slow = RULES.model_copy(update={"stage_mm_per_s": 0.01})
    near = BayesPlanner([PATCHY], RATES, slow, films=60, seed=0, per_second=True)
    memory = near.act(*env.reset(1), near.start(1)).memory
    here = int(memory[0, 0])
    seen = env.step(torch.tensor([here])).view
    assert float(RULES.distances_um()[here, near.act(*seen, memory).action[0]]) == pytest.approx(GRID.pitch_um)
    with pytest.raises(ConfigError, match="own grid"):
        BayesPlanner([FilmConfig()], RATES, RULES, films=10, seed=0)


def test_orders_visit_every_field_once():
    for order in (serpentine(GRID), coarse_first(GRID), at_random(RULES, 3, torch.Generator().manual_seed(0))):
        ranks = order.start(3)
        assert torch.equal(ranks.sort(1).values, torch.arange(24.0).expand(3, -1))
    with pytest.raises(ConfigError, match="every field once"):
        OrderedScan(torch.tensor([0, 0, 1]), name="twice")
    with pytest.raises(WrongFormat, match="24"):
        FindFirstEnv(draw_films(EVEN, RATES, 1, np.random.default_rng(0)), FindFirstRules())


def test_a_search_learns_to_leave_cold_places():
    config = PATCHY.model_copy(update={"infection": InfectionConfig(spread=2.5, length_um=700.0)})
    pool = draw_films(config, RATES, 120, np.random.default_rng(7))
    env = FindFirstEnv(pool, RULES.model_copy(update={"field_budget": 12}), in_vain=True)
    ppo_config = PpoConfig(updates=12, searches=96, epochs=3, minibatches=3, learning_rate=1e-2, trace=0.9, entropy=0.0)
    network = FieldScorer(8, torch.Generator().manual_seed(0))
    learned = TrainedPolicy(Ppo(env, ppo_config, seed=0, network=network).train(), name="learned")
    held = draw_films(config, RATES, 80, np.random.default_rng(8))
    ours, scan = (try_search(policy, held, RULES) for policy in (learned, serpentine(GRID)))
    assert ratio_of_means(scan.fields, ours.fields[None], seed=0).low > 1.0


def _planner(beliefs: list[FilmConfig]) -> BayesPlanner:
    return BayesPlanner(beliefs, RATES, RULES, films=300, seed=0)


def test_cells_of_rendered_fields_are_read_and_matched():
    grid = ScanGrid(columns=2, rows=1, corner_um=(1000.0, 600.0))
    cells = read_cells(Bundle.shipped("procedural"), slides=1, grid=grid)
    assert cells.slide.tolist() == [0, 0]
    assert np.bincount(cells.field) == pytest.approx(cells.per_mm2 * (grid.pitch_um * 1e-3) ** 2)
    assert cells.infected.mean() == pytest.approx(0.2, abs=0.08)
    found = np.isfinite(cells.p_infected)
    # the card of the model says 0.99 and 0.95 for single fields of held-out smears
    assert found.mean() > 0.95
    assert auc(cells.p_infected[found], cells.infected[found]) > 0.85
