"""Requests made from the console's own description by schemathesis: half as described, half not."""

import os
from collections import Counter
from collections.abc import Callable
from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.specs.openapi.checks import response_schema_conformance, status_code_conformance

from console.rigs import Served

REQUESTS = int(os.environ.get("LSM_FUZZ_REQUESTS", "150"))
PATIENT_S = 120.0
IN_PLAIN_WORDS = {"error", "message", "hint"}

OTHERS_DRAW = "ignore:Do not use the `random` module:hypothesis.errors.HypothesisDeprecationWarning"
"""The console's own threads draw random numbers while requests are made; hypothesis sees that somebody did."""

Prepare = Callable[[Case], None]


def fuzz(
    here: Served, *, token: str = "", leave_out: tuple[str, ...] = (), prepare: Prepare | None = None
) -> Counter[int]:
    """How often each status was answered to REQUESTS requests, of which each is judged.

    leave_out: operations, such as "POST /api/stop". prepare: changes a request before it is sent.
    """
    answered: Counter[int] = Counter()
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    for case in made(f"{here.url}/api/openapi.json", headers, leave_out):
        if prepare is not None:
            prepare(case)
        answer = case.call(base_url=here.url, headers=headers, timeout=PATIENT_S)
        answered[answer.status_code] += 1
        judge(case, answer)
    return answered


def made(url: str, headers: dict[str, str], leave_out: tuple[str, ...]) -> list[Case]:
    """REQUESTS requests, of all operations in turn; the same ones for the same description."""
    schema = schemathesis.openapi.from_url(url, headers=headers)
    operations = [found.ok() for found in schema.get_all_operations() if found.ok().label not in leave_out]
    cases: list[Case] = []

    @seed(1)
    @settings(
        max_examples=REQUESTS,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=st.one_of([one.as_strategy(generation_mode=mode) for one in operations for mode in GenerationMode]))
    def keep(case: Case) -> None:
        cases.append(case)

    keep()
    return cases


def judge(case: Case, answer: Any) -> None:
    """An answer is one that the description has; a refusal says in words why, and is nobody's fault but the asker's."""
    assert answer.status_code < 500 or answer.status_code == 503, (case.as_curl_command(), answer.content)
    if answer.status_code >= 400:
        assert set(answer.json()) == IN_PLAIN_WORDS, (case.as_curl_command(), answer.content)
    case.validate_response(answer, checks=[status_code_conformance, response_schema_conformance])
