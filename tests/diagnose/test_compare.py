"""The comparison shows the runs' own numbers and marks what came from the truth."""

import io

from drawn_run import drawn_slide, example_run
from rich.console import Console

from lsm.diagnose import ComparisonRow, comparison_table, score_run
from lsm.diagnose.compare import comparison_lines

SLIDE = drawn_slide()
RUN = example_run(SLIDE, policy="agent", adaptive=True, captures=12)
OTHER = example_run(SLIDE, policy="fixed scan", adaptive=False, captures=12)


def text(rows: tuple[ComparisonRow, ...]) -> str:
    stream = io.StringIO()
    Console(file=stream, width=120).print(comparison_table(rows))
    return stream.getvalue()


def test_terminal_table_holds_every_line_of_both_runs():
    rows = tuple(ComparisonRow.of(run, score_run(run, SLIDE.truth)) for run in (RUN, OTHER))
    shown = text(rows)
    for line in comparison_lines(rows):
        assert line.label in shown
        assert all(value in shown for value in line.values)
    assert "agent" in shown
    assert "fixed scan" in shown
    assert "not a diagnosis" in shown


def test_without_truth_no_line_from_the_truth_is_shown():
    rows = (ComparisonRow.of(RUN), ComparisonRow.of(OTHER))
    assert not any(line.from_truth for line in comparison_lines(rows))
    assert "True parasitaemia" not in text(rows)


def test_a_run_without_score_beside_one_with_it_shows_a_dash():
    rows = (ComparisonRow.of(RUN, score_run(RUN, SLIDE.truth)), ComparisonRow.of(OTHER))
    assert all(line.values[1] == "-" for line in comparison_lines(rows) if line.from_truth)
    measured = [line for line in comparison_lines(rows) if not line.from_truth]
    assert next(line for line in measured if line.label == "Captures").values == ("12", "12")
