"""`lsm bench diagnose` measures what it promises of a scan: cells a second, and memory over the cells."""

import io
from dataclasses import replace

import pytest
from rich.console import Console

from lsm.bench import diagnose
from lsm.bench.diagnose import CORES, LIGHTS, SPARE_MIB, DiagnoseComparison, Held, compare_diagnose, show_diagnose


@pytest.fixture(scope="module")
def measured() -> DiagnoseComparison:
    """Few enough fields for a test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(diagnose, "DIFFERENT", 2)
        patch.setattr(diagnose, "QUICK_FIELDS", 2)
        return compare_diagnose(quick=True)


def held(*mib: float) -> tuple[Held, ...]:
    return tuple(Held(100_000 * place, each) for place, each in enumerate(mib, start=1))


def test_every_light_is_scanned_on_one_core_and_on_two(measured: DiagnoseComparison):
    assert [(rate.light, rate.threads) for rate in measured.rates] == [(n, k) for n in LIGHTS for k in (1, CORES)]
    assert all(rate.cells > 100 * rate.fields for rate in measured.rates)
    captures = {rate.light: rate.captures / rate.fields for rate in measured.rates}
    assert (captures["bright field"], captures["learned"]) == (1.0, 4.0)


def test_memory_is_a_curve_over_the_cells_of_the_long_scan(measured: DiagnoseComparison):
    cells = [one.cells for one in measured.held]
    assert cells == sorted(cells)
    assert (len(cells), cells[-1]) == (measured.long.fields, measured.long.cells)
    assert min(one.mib for one in measured.held) > 50  # Python with torch


def test_memory_grows_by_its_most_after_a_tenth(measured: DiagnoseComparison):
    flat = replace(measured, held=held(100, *[300] * 9))
    assert flat.grown_mib == 200
    late = replace(measured, held=held(0, *[0] * 9, *[500, 500, 560, 540] * 5))
    assert late.grown_mib == pytest.approx(560)
    line = replace(measured, held=held(*range(100, 120)))
    assert line.mib_per_million == pytest.approx(10)  # one MiB per 100,000 cells


def test_promises_are_judged_by_the_whole_form_alone(measured: DiagnoseComparison):
    assert [one.kept for one in measured.promises()] == [None, None]

    def kept(cells_s: float, grown_mib: float) -> list[bool | None]:
        rates = tuple(replace(rate, seconds=rate.cells / cells_s) for rate in measured.rates)
        curve = held(100, 100, 100 + grown_mib)
        return [one.kept for one in replace(measured, quick=False, rates=rates, held=curve).promises()]

    assert kept(2801.0, SPARE_MIB) == [True, True]
    assert kept(2799.0, SPARE_MIB + 1) == [False, False]


def test_the_tables_tell_rates_memory_and_promises(measured: DiagnoseComparison):
    told = io.StringIO()
    Console(file=told, width=120).print(show_diagnose(measured))
    for words in (*LIGHTS, f"{measured.long.cells:,}", "MiB per million cells", "not measured"):
        assert words in told.getvalue()
    plain = measured.plain()
    assert plain["held"][-1]["cells"] == measured.long.cells
    assert plain["long"]["cells_s"] > 0
