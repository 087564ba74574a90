"""From a scan to what is said about the slide."""

import math

from lsm.agent.results import MaskBinCounts
from lsm.diagnose.scan.result import Ending, ScanResult
from lsm.diagnose.scan.rule import Answer, Said, StoppingRule
from lsm.diagnose.verdict import Outcome, Verdict, VerdictRules, advice, pronounced, slide_fault
from lsm.stats import PrevalenceEstimate

MOVED = "The slide moved during the scan: cells of before and after cannot be told apart."

OUTCOMES = {
    Answer.POSITIVE: Outcome.POSITIVE,
    Answer.NEGATIVE: Outcome.NEGATIVE,
    Answer.GO_ON: Outcome.INDETERMINATE,
}


def judge_scan(result: ScanResult, rules: VerdictRules, rule: StoppingRule) -> Verdict:
    """The verdict: unusable where the slide is, else what the rule said last. Fields that do not count say nothing."""
    run, said = result.run, result.said
    fault = MOVED if result.ending is Ending.MOVED else slide_fault(run, rules)
    if fault:
        fields, interval = len(run.visits), said.interval
        return pronounced(Outcome.UNUSABLE, fault, run.estimate, rules, fields=fields, interval=interval)
    return judge_said(said, run.counts, rules, rule, fields=len(run.visits))


def judge_said(said: Said, counts: MaskBinCounts, rules: VerdictRules, rule: StoppingRule, *, fields: int) -> Verdict:
    """The verdict on a usable slide. fields: that were looked at, faulty ones too."""
    outcome, reason, more = OUTCOMES[said.answer], said.reason, None
    if outcome is Outcome.INDETERMINATE:
        more = rule.more_fields(counts, fields)
        reason = f"{reason} {advice(more)}{_reach(more, counts, rule)}"
    open_end = _open_end(outcome, said.estimate, rule.terms(counts).target_per_ul, rules)
    return pronounced(
        outcome,
        f"{reason} {open_end}".strip(),
        said.estimate,
        rules,
        fields=fields,
        more_fields=more,
        interval=said.interval,
        interval_open=bool(open_end),
    )


def _open_end(outcome: Outcome, estimate: PrevalenceEstimate, target_per_ul: float, rules: VerdictRules) -> str:
    """Where the interval still holds what the test has excluded: that both are right. Empty where it does not."""
    if outcome is Outcome.POSITIVE and estimate.low == 0:
        held, question = "0", "whether there are any parasites"
    elif outcome is Outcome.NEGATIVE and estimate.high * rules.red_cells_per_ul >= target_per_ul:
        held, question = f"{target_per_ul:,.0f} per microlitre", "whether there are so many"
    else:
        return ""
    return f"The interval still holds {held}: the test asks only {question}, the interval for every density at once."


def _reach(more: int | None, counts: MaskBinCounts, rule: StoppingRule) -> str:
    """Where no field would help: what this reader could tell at all."""
    terms = rule.terms(counts)
    if more is not None or terms.least_per_ul <= terms.target_per_ul:
        return ""
    if math.isinf(terms.least_per_ul):
        return " This reader tells no density from none, however many it looks at."
    return f" The lowest density that this reader tells from none is {float(f'{terms.least_per_ul:.2g}'):,.0f}/µl."
