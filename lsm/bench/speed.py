"""Images per second of all contenders side by side, and whether they compute the same images."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
import torch

from lsm.bench.cases import Case
from lsm.bench.contenders import DEFAULT, FFT_ALONE, NAIVE, POINT, TORCH_PROGRAM, Contender, Leds, Lsm, Naive
from lsm.bench.timing import Effort, Job, Seconds, in_turns
from lsm.threads import threads

Direction = Literal["forward", "forward+backward"]
FFT_CHUNKS = (1, 2, 4, 8, 16, 32, 64)
FFT_POINTS_MAX = 2**22


@dataclass(frozen=True)
class Rate:
    """Images per second of one contender: the median over the repetitions, and the lowest and highest.

    times_slower: than lsm by default, the median of the ratios within a repetition.
    images_timed: in one call; fewer than the case has where a contender is slow.
    """

    case: str
    sample_px: int
    camera_px: int
    leds: int
    batch: int
    threads: int
    direction: Direction
    contender: str
    images_per_s: float
    lowest: float
    highest: float
    times_slower: float
    images_timed: int


@dataclass(frozen=True)
class Agreement:
    """Largest difference of images or gradients between two contenders, relative to the largest value."""

    contender: str
    against: str
    what: str
    largest_difference: float


def measure_rates(
    case: Case, contenders: Sequence[Contender], direction: Direction, count: int, points: int, effort: Effort
) -> list[Rate]:
    """Rates of all contenders, with `count` threads; the slow ones are given fewer LEDs, `points` in all."""
    jobs = [_job(case, contender, direction, points) for contender in contenders]
    with threads(count):
        if direction == "forward":
            jobs.append(_best_fft(case, effort))
        seconds = in_turns(jobs, effort)
    return [_rate(case, job, direction, count, seconds) for job in jobs]


def _job(case: Case, contender: Contender, direction: Direction, points: int) -> Job:
    leds = case.some_leds(points) if contender.full_size else case.leds
    sample = case.shifted if contender.full_size else case.sample
    compute = contender.images if direction == "forward" else contender.gradient
    return Job(contender.name, partial(compute, case, sample, leds), len(leds) * case.batch)


def _best_fft(case: Case, effort: Effort) -> Job:
    """Inverse transforms of the camera's size into memory used again, in the chunks that are fastest here."""
    n = case.system.computed_px
    jobs = [_fft(n, chunk, str(chunk)) for chunk in FFT_CHUNKS if chunk == 1 or chunk * n * n <= FFT_POINTS_MAX]
    seconds = in_turns(jobs, effort)
    best = min(seconds, key=lambda name: float(np.median(seconds[name])))
    return _fft(n, int(best), FFT_ALONE)


def _fft(n: int, chunk: int, name: str) -> Job:
    source = torch.polar(torch.ones(chunk, n, n), torch.rand(chunk, n, n))
    target = torch.empty_like(source)
    return Job(name, lambda: torch.fft.ifft2(source, out=target), chunk)


def _rate(case: Case, job: Job, direction: Direction, count: int, seconds: dict[str, Seconds]) -> Rate:
    rates = 1 / seconds[job.name]
    return Rate(
        case=case.name,
        sample_px=case.system.sample_px,
        camera_px=case.system.camera_px,
        leds=case.board.n_leds,
        batch=case.batch,
        threads=count,
        direction=direction,
        contender=job.name,
        images_per_s=float(np.median(rates)),
        lowest=float(rates.min()),
        highest=float(rates.max()),
        times_slower=float(np.median(seconds[job.name] / seconds[DEFAULT])),
        images_timed=job.units,
    )


def agreements(case: Case, full_size: Sequence[Contender], points: int) -> list[Agreement]:
    """How far the contenders are apart.

    With LEDs on whole bins and point pixels all should be equal; with lsm's default settings (true tilts,
    averaging pixels) its two programs should be.
    """
    leds, naive = case.some_leds(points), Naive()
    snapped = Lsm(POINT, settings={"pixel": "point", "tilt": "bin"})
    images = naive.images(case, case.shifted, leds)
    gradient = naive.gradient(case, case.shifted, leds)
    found = [
        Agreement(POINT, NAIVE, "images", _apart(snapped.images(case, case.sample, leds), images)),
        # shifting is unitary, so it takes the gradient in the sample to that in the shifted sample
        Agreement(
            POINT, NAIVE, "gradient", _apart(case.to_shifted(snapped.gradient(case, case.sample, leds)), gradient)
        ),
    ]
    for other in full_size:
        if other.name != NAIVE:
            found.append(Agreement(other.name, NAIVE, "images", _apart(other.images(case, case.shifted, leds), images)))
        if other.name != NAIVE and other.differentiable:
            apart = _apart(other.gradient(case, case.shifted, leds), gradient)
            found.append(Agreement(other.name, NAIVE, "gradient", apart))
    return found + _own_programs(case, leds)


def _own_programs(case: Case, leds: Leds) -> list[Agreement]:
    kernel, program = Lsm(DEFAULT), Lsm(TORCH_PROGRAM, native=False)
    images = [own.images(case, case.sample, leds) for own in (kernel, program)]
    gradients = [own.gradient(case, case.sample, leds) for own in (kernel, program)]
    return [
        Agreement(DEFAULT, TORCH_PROGRAM, "images", _apart(*images)),
        Agreement(DEFAULT, TORCH_PROGRAM, "gradient", _apart(*gradients)),
    ]


def _apart(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a - b).abs().max() / b.abs().max())
