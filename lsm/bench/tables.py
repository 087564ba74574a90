"""The comparison as tables of 100 columns."""

from collections.abc import Iterable, Sequence

import numpy as np
from rich.console import Group, RenderableType
from rich.table import Table

from lsm.bench.contenders import DEFAULT, NAIVE, SHORT_TILTS
from lsm.bench.machine import Limit, Machine
from lsm.bench.memory import Peak
from lsm.bench.optics import Comparison
from lsm.bench.scaling import Growth
from lsm.bench.speed import Agreement, Rate

NOTE = (
    f"LED images per second, and how many times faster '{DEFAULT}' is: with default settings, true tilts and "
    "averaging pixels. The others tilt by whole bins and sample points, which is less work. "
    f"'{SHORT_TILTS}' is '{NAIVE}' with its tilts made of two one-dimensional ones. "
    "torchoptics runs in single precision and without padding."
)


def show(comparison: Comparison) -> RenderableType:
    """What was measured: machine, agreement, speed, memory, scaling, promises."""
    return Group(
        _machine(comparison.machine, comparison.limits),
        _agreements(comparison.agreements),
        *_rates(comparison.rates),
        NOTE,
        _spread(comparison.rates),
        _peaks(comparison.peaks),
        _growth(comparison.growth),
        _promises(comparison),
    )


def _table(title: str, columns: Iterable[str]) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", padding=(0, 1))
    for i, column in enumerate(columns):
        table.add_column(column, justify="right" if i else "left")
    return table


def _machine(machine: Machine, limits: Sequence[Limit]) -> RenderableType:
    missing = [name for name, version in machine.versions.items() if version is None]
    lines = [
        f"{machine.cpu}, {machine.cores} cores, {machine.memory_gib} GiB; {machine.system}",
        f"kernel: {machine.instruction_set}; torch {machine.versions['torch']} with {machine.fft}; "
        f"commit {machine.commit}; {machine.date}",
        *(
            f"threads: {one.threads}: sgemm {one.sgemm_gflops:.0f} GFLOP/s, copy {one.copy_gb_s:.1f} GB/s"
            for one in limits
        ),
        *(f"{name} is not installed" for name in missing),
    ]
    return "\n".join(lines)


def _agreements(agreements: Sequence[Agreement]) -> Table:
    table = _table("Do they compute the same? Largest difference / largest value", ("", "against", "of", "difference"))
    for one in agreements:
        table.add_row(one.contender, one.against, one.what, f"{one.largest_difference:.1e}")
    return table


def _rates(rates: Sequence[Rate]) -> Iterable[Table]:
    for direction, threads in dict.fromkeys((rate.direction, rate.threads) for rate in rates):
        some = [rate for rate in rates if (rate.direction, rate.threads) == (direction, threads)]
        cases = dict.fromkeys((rate.case, rate.sample_px, rate.camera_px) for rate in some)
        heads = (f"{case}\n{sample} > {camera}" for case, sample, camera in cases)
        table = _table(f"{direction}, threads: {threads}", ("", *heads))
        for name in dict.fromkeys(rate.contender for rate in some):
            of_case = {rate.case: rate for rate in some if rate.contender == name}
            table.add_row(name, *(_cell(of_case.get(case)) for case, _, _ in cases))
        yield table


def _cell(rate: Rate | None) -> str:
    if rate is None:
        return ""
    digits = 0 if rate.times_slower >= 9.95 else 1 if rate.times_slower >= 0.995 else 2
    per_s = f"{rate.images_per_s:,.0f}" if rate.images_per_s >= 99.5 else f"{rate.images_per_s:.1f}"
    return per_s if rate.contender == DEFAULT else f"{per_s} {rate.times_slower:.{digits}f}x"


def _spread(rates: Sequence[Rate]) -> str:
    half = [50 * (rate.highest - rate.lowest) / rate.images_per_s for rate in rates]
    return f"Half the range of a rate: {np.median(half):.0f} % at the median, {max(half):.0f} % at the most."


def _peaks(peaks: Sequence[Peak]) -> Table:
    table = _table("Memory above what was held before, MiB", ("", "output", "peak", "allowed", "seconds"))
    for one in peaks:
        name = f"{one.leds} LEDs x {one.batch}, {one.sample_px} px"
        sizes = (f"{size:,.0f}" for size in (one.output_mib, one.added_mib, one.allowed_mib))
        table.add_row(name, *sizes, f"{one.seconds:.2f}")
    return table


def _growth(growth: Sequence[Growth]) -> Table:
    columns = ("", "milliseconds at size", "per unit", "offset", "off line", "off proportion")
    table = _table("Scaling, one thread", columns)
    for one in growth:
        times = "\n".join(f"{size}: {ms:,.1f}" for size, ms in zip(one.sizes, one.milliseconds, strict=True))
        off = (f"{percent:.0f} %" for percent in (one.off_line_percent, one.off_proportion_percent))
        table.add_row(one.quantity, times, f"{one.ms_per_unit:.3g} ms", f"{one.offset_ms:.2g} ms", *off)
    return table


def _promises(comparison: Comparison) -> Table:
    table = _table("Promises", ("", "promised", "measured", "kept"))
    words = {True: "yes", False: "no", None: "not measured"}
    for one in comparison.promises:
        sign = ">=" if one.at_least else "<="
        measured = "" if one.measured is None else f"{one.measured:,.0f} {one.unit}"
        table.add_row(one.promise, f"{sign} {one.limit:,.0f} {one.unit}", measured, words[one.kept])
    return table
