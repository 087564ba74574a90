"""From a scan to what is said about the slide."""

from lsm.diagnose.scan.result import Ending, ScanResult
from lsm.diagnose.scan.rule import Answer, StoppingRule
from lsm.diagnose.verdict import Outcome, Verdict, VerdictRules, advice, pronounced, slide_fault

MOVED = "The slide moved during the scan: cells of before and after cannot be told apart."

_OUTCOMES = {
    Answer.POSITIVE: Outcome.POSITIVE,
    Answer.NEGATIVE: Outcome.NEGATIVE,
    Answer.GO_ON: Outcome.INDETERMINATE,
}


def judge_scan(result: ScanResult, rules: VerdictRules, rule: StoppingRule) -> Verdict:
    """The verdict: unusable where the slide is, else what the rule said last. Fields that do not count say nothing."""
    run, said = result.run, result.said
    fault = MOVED if result.ending is Ending.MOVED else slide_fault(run, rules)
    if fault:
        return pronounced(Outcome.UNUSABLE, fault, run.estimate, rules, fields=len(run.visits))
    outcome, reason, more = _OUTCOMES[said.answer], said.reason, None
    if outcome is Outcome.INDETERMINATE:
        more = rule.more_fields(run.counts, len(run.visits))
        reason = f"{reason} {advice(more)}"
    return pronounced(outcome, reason, run.estimate, rules, fields=len(run.visits), more_fields=more)
