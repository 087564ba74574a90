"""From a run over a slide to a verdict, a comparison and a report."""

from lsm.diagnose.compare import ComparisonRow, comparison_table
from lsm.diagnose.report import ReportContent, render_report, write_report
from lsm.diagnose.score import RunScore, score_run
from lsm.diagnose.verdict import Outcome, Verdict, VerdictRules, judge

__all__ = [
    "ComparisonRow",
    "Outcome",
    "ReportContent",
    "RunScore",
    "Verdict",
    "VerdictRules",
    "comparison_table",
    "judge",
    "render_report",
    "score_run",
    "write_report",
]
