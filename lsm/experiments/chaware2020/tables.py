"""The results as tables for a README."""

from collections.abc import Mapping
from typing import Any


def as_markdown(studies: Mapping[str, Mapping[str, Any]]) -> str:
    """For each study the curves of all arms, then the comparisons."""
    parts = []
    for name, study in studies.items():
        parts.append(
            f"### {name}: {study['cells']} cells of {study['patients']} patients, seeds: {study['seeds']}, "
            f"folds: {study['folds']}, intervals over {study['intervals_over']}"
        )
        parts += [_curves(study["curves"]), _claims(study["claims"])]
    return "\n\n".join(parts) + "\n"


def _curves(curves: Mapping[str, Mapping[str, Mapping[str, float]]]) -> str:
    lines = [
        "| policy | setting | accuracy | 95 % interval | log score, nats | captures | time, s | light, LED s |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for arm, settings in curves.items():
        for setting, row in settings.items():
            lines.append(
                f"| {arm} | {setting} | {row['accuracy']:.3f} | {row['low']:.3f} to {row['high']:.3f} "
                f"| {row['log_score']:.3f} | {row['captures']:.2f} | {row['time_s']:.2f} | {row['light_led_s']:.1f} |"
            )
    return "\n".join(lines)


def _claims(claims: list[Mapping[str, Any]]) -> str:
    lines = [
        "| trained for | against | held equal | points, 95 % interval | as it came out "
        "| saved at equal accuracy | its accuracy reached by the other in |",
        "|---|---|---|---|---|---|---|",
    ]
    for claim in claims:
        middle, low, high = claim["points"]
        saving = claim["saving"]
        points = f"{middle:+.1f} ({low:+.1f} to {high:+.1f})"
        lines.append(
            f"| {claim['policy']} | {claim['than']} | {_WORDS[claim['spent']]} | {points} | {claim['verdict']} "
            f"| {_share(saving)} | {100 * saving['reached']:.0f} % of resamples |"
        )
    return "\n".join(lines)


def _share(saving: Mapping[str, Any]) -> str:
    if saving["saved"] is None:
        return "none told: its curve does not reach down here"
    return f"{100 * saving['saved']:.0f} % ({100 * saving['low']:.0f} to {100 * saving['high']:.0f})"


_WORDS = {"captures": "captures", "time_s": "seconds"}
