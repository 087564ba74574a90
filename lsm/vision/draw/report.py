"""Pages about a detector on annotated images, about two annotators, and about stages over time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from lsm.errors import InputError
from lsm.vision.data import AnnotatedImage, AnnotatedSet, Objects
from lsm.vision.detect.detections import Detections
from lsm.vision.detect.scores import DetectionScores
from lsm.vision.draw.channels import how_shown
from lsm.vision.draw.confusion import Agreed, Confusion, confusion, detector_confusion
from lsm.vision.draw.figures import confusion_figure, counts_figure, stages_figure
from lsm.vision.draw.gallery import Kind, draw_gallery, worst
from lsm.vision.draw.page import Illustration, Page, Section, Table
from lsm.vision.draw.pairing import pair_up
from lsm.vision.draw.pictures import Look, Told, draw_overlay
from lsm.vision.draw.stages import StageCounts

MOST_ERRORS, TYPICAL = 4, 2
"""Images shown: those with the most errors, and those around the middle."""

PAGE_LOOK = Look(longest_px=1200)
PAIRED = "Two marks are one object where their boxes overlap by at least half of their union, whatever they are called."


@dataclass(frozen=True, eq=False)
class Evaluation:
    """A detector's findings on annotated images.

    found: all detections, also weak ones, one Detections for each image. thresholds: least score of each category that
    counts as found. facts: groups of what the page says of its origin, such as the model's options. gallery: errors of
    each kind that are shown.
    """

    subject: str
    data: AnnotatedSet
    found: tuple[Detections, ...]
    scores: DetectionScores
    thresholds: Float[np.ndarray, " category"]
    facts: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    look: Look = PAGE_LOOK
    gallery: int = 24

    def __post_init__(self) -> None:
        if len(self.found) != len(self.data) or not self.found:
            raise InputError(
                f"{len(self.found)} images were searched, the set has {len(self.data)}.",
                hint="give one Detections for each image of a set that is not empty",
            )

    @property
    def kept(self) -> tuple[Detections, ...]:
        """The detections that count as found."""
        return tuple(each.above(self.thresholds) for each in self.found)


def evaluation_page(evaluation: Evaluation, rng: np.random.Generator) -> Page:
    """Scores, confusion with the labels, counts per image, images with what was found, and the worst errors.

    rng: for intervals over images.
    """
    data, kept, scores = evaluation.data, evaluation.kept, evaluation.scores
    table = detector_confusion(data, kept)
    tiles: dict[str, str] = {}
    if scores.marked:
        tiles |= {
            "mAP, IoU 0.50:0.95": f"{scores.map:.3f}",
            "mAP, IoU 0.5": f"{scores.map_50:.3f}",
            "mAR, IoU 0.50:0.95": f"{scores.mar:.3f}",
        }
    if scores.masks is not None and scores.marked:
        tiles |= {"masks: mAP": f"{scores.masks.map:.3f}", "masks: mAR": f"{scores.masks.mar:.3f}"}
    marked, seen = sum(data.counts().values()), sum(row.found for row in scores.categories.values())
    tiles |= {"Images": f"{len(data)}", "Marked": f"{marked:,}", "Found": f"{seen:,}"}
    return Page(
        title="Detector against labels",
        subject=evaluation.subject,
        tiles=tiles,
        sections=(
            Section("Each category", table=_scores_table(scores), text=(_thresholds_text(evaluation),)),
            _confusion_section(table, rng),
            Section(
                "Counts in each image",
                text=("A point is an image, or as many as it is large; on the line both counts agree.",),
                pictures=(Illustration("counts", counts_figure(data, kept), _counts_alt(scores)),),
            ),
            _images_section(evaluation),
            *(_gallery_section(evaluation, kind) for kind in ("false", "missed", "wrongly named")),
        ),
        facts=_data_facts(data) | dict(evaluation.facts),
        limits=(
            "Labels are taken as the truth: an object that the annotators left out counts as false when it is found.",
            "Counts at the thresholds are as good as the thresholds fit these images; another stain or another "
            "microscope moves them.",
        ),
    )


def annotators_page(
    first: AnnotatedSet,
    second: AnnotatedSet,
    *,
    names: tuple[str, str],
    rng: np.random.Generator,
    look: Look = PAGE_LOOK,
) -> Page:
    """Two annotations of the same images: agreement, confusion, and the images on which they differ most.

    Raises InputError where they are not of the same images.
    """
    table = confusion(first, second, names=names)
    place = np.array([table.categories.index(name) for name in second.categories], dtype=np.int64)
    theirs = {image.name: image.objects for image in second.images}
    others = []
    for image in first.images:
        other = theirs[image.name]
        others.append(Objects(other.box_px, place[other.category], other.masks, other.ignore))
    told = Told("both", f"only {names[0]}", f"only {names[1]}", "named differently")
    order = _by_errors(first.images, others)[:MOST_ERRORS]
    pictures = tuple(
        Illustration(
            f"annotators-{number}",
            draw_overlay(
                first.images[k].pixels(), first.images[k].objects, others[k], table.categories, look=look, told=told
            ),
            f"{first.images[k].name} with the marks of both.",
            first.images[k].name,
        )
        for number, k in enumerate(order, 1)
    )
    kappa = table.kappa(rng)
    return Page(
        title="Two annotations of the same images",
        subject=f"{names[0]} and {names[1]}",
        tiles={
            "Images": f"{len(first)}",
            f"Marked by {names[0]}": f"{sum(first.counts().values()):,}",
            f"Marked by {names[1]}": f"{sum(second.counts().values()):,}",
            "Marked by both": f"{table.marked_by_both:,}",
            "Cohen's kappa of the names": "-" if kappa.value is None else f"{kappa.value:.2f}",
        },
        sections=(
            _confusion_section(table, rng),
            Section("Where they differ most", pictures=pictures, columns=2, text=(how_shown(first.channels()),)),
        ),
        facts={
            title: {"name": name, "set": data.origin or "without a name"}
            for title, name, data in (("First", names[0], first), ("Second", names[1], second))
        },
        limits=("Neither annotation is the truth; an object that both left out is in no figure of this page.",),
    )


def stages_page(stages: StageCounts, *, subject: str) -> Page:
    """Shares of the categories over time with their intervals, as a figure and a table."""
    shares, intervals = stages.shares(), stages.intervals()
    rows = []
    for k, time_h in enumerate(stages.time_h):
        cells = [
            f"{count:,}: {share:.0%} ({100 * low:.0f}-{high:.0%})" if np.isfinite(share) else "-"
            for count, share, (low, high) in zip(stages.counts[k], shares[k], intervals[k], strict=True)
        ]
        rows.append((f"{time_h:g}", str(int(stages.images[k])), f"{int(stages.counts[k].sum()):,}", *cells))
    head = ("time, h", "images", "counted", *stages.categories)
    alt = f"Shares of {', '.join(stages.categories)} at {len(stages.time_h)} times."
    return Page(
        title="Stages over time",
        subject=subject,
        tiles={
            "Times": str(len(stages.time_h)),
            "From, to": f"{stages.time_h[0]:g} to {stages.time_h[-1]:g} h",
            "Counted": f"{int(stages.counts.sum()):,}",
        },
        sections=(
            Section("Shares", pictures=(Illustration("stages", stages_figure(stages), alt),)),
            Section(
                "Counts",
                text=("Count, its share, and Wilson's 95 % interval of the share.",),
                table=Table(head, tuple(rows)),
            ),
        ),
        limits=(
            "Intervals treat objects as independent; how much images, slides or cultures differ comes on top.",
            "A detector's counts hold its errors too: naming one stage for another moves shares without widening them.",
        ),
    )


def _scores_table(scores: DetectionScores) -> Table:
    rows = tuple(
        (
            name,
            _number(row.ap_50, ".3f"),
            _number(row.ap, ".3f"),
            f"{row.labelled:,}",
            f"{row.found:,}",
            f"{row.hits:,}",
            "-" if row.counted_percent is None else f"{row.counted_percent:.1f} %",
            f"{row.count_mae:.2f}",
            f"{row.count_mse:.2f}",
            _number(row.count_r2, ".2f"),
        )
        for name, row in scores.categories.items()
    )
    head = ("", "AP at 0.5", "AP", "marked", "found", "hits", "counted", "MAE", "MSE", "R2")
    caption = (
        "Average precision (AP) uses all detections, counts only those at the thresholds; "
        "MAE, MSE and R2 are of the counts per image."
    )
    return Table(head, rows, caption)


def _confusion_section(table: Confusion, rng: np.random.Generator) -> Section:
    kappa = table.kappa(rng)
    alone = table.matrix[:-1, -1].sum(), table.matrix[-1, :-1].sum()
    words = (
        f"{PAIRED} {table.marked_by_both:,} objects are marked by both, {int(alone[0]):,} only by {table.first}, "
        f"{int(alone[1]):,} only by {table.second}.",
        "Cohen's kappa is not defined: objects that both marked bear fewer than two names."
        if kappa.value is None
        else f"Cohen's kappa of the names of objects that both marked: {_agreed(kappa)}.",
    )
    rows = tuple(
        (row.category, f"{row.first:,}", f"{row.second:,}", f"{row.both:,}", _agreed(row.share))
        for row in table.by_category(rng)
    )
    head = ("", table.first, table.second, "both", "agreement (F1)")
    return Section(
        f"{table.first[:1].upper()}{table.first[1:]} against {table.second}",
        text=words,
        table=Table(
            head, rows, "Agreement is twice what both named so over the sum of each; 95 % interval over images."
        ),
        pictures=(
            Illustration("confusion", confusion_figure(table), f"Confusion of {table.first} and {table.second}."),
        ),
        beside=True,
    )


def _images_section(evaluation: Evaluation) -> Section:
    data, kept = evaluation.data, evaluation.kept
    order = _by_errors(data.images, kept)
    middle = len(order) // 2
    chosen = dict.fromkeys(order[:MOST_ERRORS], "most errors")
    for k in order[max(middle - TYPICAL // 2, 0) :][:TYPICAL]:
        chosen.setdefault(k, "as many errors as usual")
    pictures = tuple(
        Illustration(
            f"image-{place}",
            draw_overlay(image.pixels(), image.objects, kept[k], data.categories, look=evaluation.look),
            f"{image.name} with hits, misses and false detections.",
            f"{image.name}: {why}",
        )
        for place, (k, why) in enumerate(chosen.items(), 1)
        for image in (data.images[k],)
    )
    text = f"{how_shown(data.channels())} Numbers are scores."
    return Section("What was found where", text=(text,), pictures=pictures, columns=2)


def _gallery_section(evaluation: Evaluation, kind: Kind) -> Section:
    cases = worst(evaluation.data, evaluation.found, kind, thresholds=evaluation.thresholds, most=evaluation.gallery)
    title = {"false": "Found, but not marked", "missed": "Marked, but not found", "wrongly named": "Wrongly named"}[
        kind
    ]
    if not cases:
        return Section(title, text=("There are none.",))
    order = {
        "false": "Highest score first.",
        "missed": "Those first of which the detector saw least; a number is the score of a detection that was too weak "
        "or too badly placed.",
        "wrongly named": "Highest score first.",
    }[kind]
    picture = draw_gallery(evaluation.data, cases, channels=evaluation.look.channels)
    name = f"errors-{kind.replace(' ', '-')}"
    return Section(
        title, text=(order,), pictures=(Illustration(name, picture, f"{len(cases)} errors: {title.lower()}."),)
    )


def _by_errors(images: Sequence[AnnotatedImage], found: "Sequence[Objects | Detections]") -> list[int]:
    """Numbers of the images, most errors first."""
    errors = []
    for image, each in zip(images, found, strict=True):
        pairs = pair_up(image.objects, each)
        renamed = image.objects.category[pairs.both[:, 0]] != each.category[pairs.both[:, 1]]
        errors.append(len(pairs.only_first) + len(pairs.only_second) + int(renamed.sum()))
    return [int(k) for k in np.argsort(-np.array(errors), kind="stable")]


def _data_facts(data: AnnotatedSet) -> dict[str, dict[str, str]]:
    facts = {"set": data.origin or "without a name", "images": str(len(data)), "channels": str(data.channels())}
    return {"Data": facts | {name: f"{n:,}" for name, n in data.counts().items()}}


def _thresholds_text(evaluation: Evaluation) -> str:
    pairs = zip(evaluation.data.categories, evaluation.thresholds, strict=True)
    return "Least scores that count as found: " + ", ".join(f"{name} {value:.2f}" for name, value in pairs) + "."


def _counts_alt(scores: DetectionScores) -> str:
    counted = [f"{name}: {row.labelled} marked, {row.found} found" for name, row in scores.categories.items()]
    return "Objects marked against objects found in each image. " + "; ".join(counted) + "."


def _agreed(value: Agreed) -> str:
    if value.value is None:
        return "-"
    around = "" if value.low is None or value.high is None else f" ({value.low:.2f} to {value.high:.2f})"
    return f"{value.value:.2f}{around}"


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
