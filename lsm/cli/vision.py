"""`lsm vision`: detectors trained, scored and used on one's own images, and pictures of all that."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from lsm.cli import _show
from lsm.cli._vision_data import (
    Source,
    begin,
    facts_file,
    image_files,
    load_detector,
    new_detector,
    picture_path,
    recipe,
    save_json,
    words,
)
from lsm.cli._vision_export import export as export_file
from lsm.cli._vision_work import FOUND_FILE, Predicted, cross_validate, fit, fold_summary, parts
from lsm.cli._vision_work import evaluate as evaluate_on
from lsm.cli._vision_work import predict as predict_on
from lsm.errors import InputError, LsmError
from lsm.sensing.progress import RichReporter
from lsm.vision.data import Format
from lsm.vision.detect import MODELS, DetectionScores, device_of
from lsm.vision.draw import Look, StageCounts, annotators_page, draw_objects, save_png, stages_page, write_page

app = typer.Typer(
    help="Find, name and outline cells in your own images: train, score, search, draw.", no_args_is_help=True
)

READING = "Reading annotations"

Data = Annotated[
    Path,
    typer.Option(help="Annotated images: COCO, Pascal VOC, LabelMe, BBBC041, Keras R-CNN, points, instance labels."),
]
KindOf = Annotated[
    Format | None,
    typer.Option(
        "--kind", help="Format of the annotations.", show_default="by their contents", rich_help_panel=READING
    ),
]
Repair = Annotated[
    bool, typer.Option("--repair", help="Mend or leave out what is wrong in the annotations.", rich_help_panel=READING)
]
Category = Annotated[
    str | None,
    typer.Option(
        help="Name for objects that have none, as in points and instance labels.",
        show_default="object",
        rich_help_panel=READING,
    ),
]
SidePx = Annotated[
    float | None,
    typer.Option(help="For points: side of the box to put around each, in pixels.", rich_help_panel=READING),
]
Images = Annotated[
    Path | None,
    typer.Option(help="Folder of the images, if not beside the annotations.", rich_help_panel=READING),
]
Categories = Annotated[
    str,
    typer.Option(
        help="Names to use, in order, such as RBC,WBC; for files of numbers their names.", rich_help_panel=READING
    ),
]
Block = Annotated[
    int | None,
    typer.Option(
        help="Group images whose names have neighbouring numbers, so many in a group; a group is never split.",
        min=1,
        rich_help_panel=READING,
    ),
]
Model = Annotated[
    str,
    typer.Option(help=f"Network ({', '.join(MODELS)}), shipped recipe, or TOML file with the tables model and fit."),
]
Changes = Annotated[
    list[str] | None, typer.Option("--set", help="Another value of the recipe: fit.learning_rate=2e-3. Repeatable.")
]
Steps = Annotated[int | None, typer.Option(min=1, help="Training steps, in place of the recipe's.")]
Seed = Annotated[
    int | None,
    typer.Option(min=0, help="Seed of everything random, in place of the recipe's.", show_default="the recipe's, or 0"),
]
Device = Annotated[str, typer.Option(help="Where it computes: cpu, cuda, or cuda:1 of several.")]
ReportFolder = Annotated[Path, typer.Option(help="New folder for the report.")]
ColourBy = Annotated[str, typer.Option(help="One colour for each: category, object.")]
Channels = Annotated[str, typer.Option(help="Channels to show as red, green and blue, such as 0,1,2; one for grey.")]


@app.callback()
def _group() -> None:
    pass


@app.command()
def train(
    data: Data,
    model: Model = "grid",
    out: Annotated[
        Path | None, typer.Option(help="New file of the detector; default out/vision/MODEL.safetensors.")
    ] = None,
    validate: Annotated[
        Path | None, typer.Option(help="Other annotated images to score on; all of --data is then learnt from.")
    ] = None,
    holdout: Annotated[
        float,
        typer.Option(min=0, max=0.9, help="Without --validate: share of --data to hold out and score on; 0 for none."),
    ] = 0.2,
    steps: Steps = None,
    seed: Seed = None,
    weights: Annotated[
        Path | None,
        typer.Option(help="Start from a detector's file, or torchvision's .pth (with --set model.norm=frozen)."),
    ] = None,
    changes: Changes = None,
    kind: KindOf = None,
    repair: Repair = False,
    category: Category = None,
    side_px: SidePx = None,
    images: Images = None,
    categories: Categories = "",
    block: Block = None,
    device: Device = "cpu",
    as_json: _show.AsJson = False,
) -> None:
    """Train a detector on annotated images and score it on images that it never saw.

    Beside the detector lie a JSON file of what was done and, in a folder, the report of the score. An interrupted
    training goes on when the same command is given again.

    Example: lsm vision train --data images/ --model grid
    """
    device_of(device)
    arm = recipe(model, changes or [], steps=steps, seed=seed)
    file = new_detector(out or Path("out/vision") / f"{Path(model).stem}.safetensors")
    folder = _show.new_folder(file.with_name(f"{file.stem}-report"))
    source = Source(kind, repair, category, side_px, block, images, categories)
    whole = source.read(data)
    # neighbours are counted anew in another set, where the same numbers are other images
    others = replace(source, block=None).read(validate, whole.categories) if validate else None
    used = parts(whole, others, holdout, arm.fit.seed)
    detector = begin(arm, used.learnt, weights).to(device)
    with _show.progress(quiet=as_json) as bars:
        progress = RichReporter(bars)
        record = fit(detector, used.learnt, arm, file, progress)
        facts: dict[str, Any] = {
            "model": str(file),
            "data": whole.origin,
            "recipe": arm.model_dump(mode="json"),
            "learnt_from": len(used.learnt),
            "held_out": [] if used.held_out is None else [image.name for image in used.held_out.images],
            "fit": record.model_dump(mode="json"),
            "scores": None,
            "report": None,
        }
        # what was held out must be known even where scoring fails
        save_json(facts_file(file), facts)
        scored = None if used.held_out is None else evaluate_on(detector, file.name, used.held_out, folder, progress)
    if scored is not None:
        facts |= {"scores": scored[0].model_dump(mode="json"), "report": str(scored[1])}
        save_json(facts_file(file), facts)
    if as_json:
        typer.echo(json.dumps(facts))
        return
    _tell_scores(scored[0] if scored else None)
    _say(f"Detector: {file} ({record.seconds:.0f} s)")
    if scored:
        _say(f"Report:   {scored[1]}")
    _say(f"Next:     lsm vision predict {file} IMAGES --out found")


@app.command()
def evaluate(
    model: Annotated[Path, typer.Argument(help="A detector's file.")],
    data: Data,
    out: Annotated[Path | None, typer.Option(help="New folder for the report; default out/vision/NAME-DATA.")] = None,
    kind: KindOf = None,
    repair: Repair = False,
    category: Category = None,
    side_px: SidePx = None,
    images: Images = None,
    device: Device = "cpu",
    as_json: _show.AsJson = False,
) -> None:
    """Score a detector on annotated images: a table, and a report with confusion, counts and the worst errors.

    Example: lsm vision evaluate out/vision/grid.safetensors --data images/
    """
    folder = _show.new_folder(out or Path("out/vision") / f"{model.stem}-{data.resolve().stem}")
    detector = load_detector(model).to(device)
    annotated = Source(kind, repair, category, side_px, images=images).read(data, detector.facts.categories)
    with _show.progress(quiet=as_json) as bars:
        scores, page = evaluate_on(detector, model.name, annotated, folder, RichReporter(bars))
    if as_json:
        typer.echo(json.dumps({"scores": scores.model_dump(mode="json"), "report": str(page)}))
        return
    _tell_scores(scores)
    _say(f"Report: {page}")


@app.command()
def predict(
    model: Annotated[Path, typer.Argument(help="A detector's file, or torchvision's COCO weights (.pth).")],
    images: Annotated[list[Path], typer.Argument(help="Images, or folders of images.")],
    out: Annotated[Path, typer.Option(help="New folder for found.json (COCO with scores), counts.csv and pictures.")],
    least_score: Annotated[
        float | None,
        typer.Option(
            min=0, max=1, help="Least score of what counts as found, in place of the detector's own thresholds."
        ),
    ] = None,
    colour_by: ColourBy = "category",
    labels: Annotated[bool, typer.Option(help="Names and scores in the pictures.")] = True,
    channels: Channels = "",
    device: Device = "cpu",
    as_json: _show.AsJson = False,
) -> None:
    """Search images: what was found as COCO JSON, a picture of each image, and counts.

    Images that cannot be searched are told at the end, and make the exit status 1; all others are searched.

    Example: lsm vision predict out/vision/grid.safetensors slide-7/ --out found
    """
    folder = _show.new_folder(out)
    look = _look(colour_by, channels, labels=labels)
    files = image_files(images)
    detector = load_detector(model).to(device)
    with _show.progress(quiet=as_json) as bars:
        told = predict_on(detector, files, folder, least_score=least_score, look=look, progress=RichReporter(bars))
    if as_json:
        rows = {name: {"counts": each.counts, "picture": str(each.picture)} for name, each in told.found.items()}
        failed = {name: fault.message for name, fault in told.failed.items()}
        typer.echo(json.dumps({"found": str(folder / FOUND_FILE), "images": rows, "failed": failed}))
        raise typer.Exit(1 if failed else 0)
    _tell_counts(told.found, detector.facts.categories)
    _say(f"Found:    {folder / FOUND_FILE}")
    _say(f"Pictures: {folder / 'pictures'}")
    if told.failed:
        raise LsmError(
            f"{len(told.failed)} of {len(files)} images could not be searched: "
            + " ".join(f"{name}: {fault.message}" for name, fault in told.failed.items()),
            hint="the results are of the others; mend these, and search them with another --out",
        )


@app.command()
def export(
    model: Annotated[Path, typer.Argument(help="A grid detector's file.")],
    out: Annotated[Path, typer.Option(help="New file: .onnx for ONNX Runtime and OpenVINO, .xml for OpenVINO.")],
    as_json: _show.AsJson = False,
) -> None:
    """Write a grid detector as a file for ONNX Runtime or OpenVINO, and compare what it computes there with torch.

    It takes images of any size. Beside it lies a JSON file for whoever uses it without lsm: input, outputs,
    categories, thresholds, and what to do with the boxes.

    Example: lsm vision export out/vision/grid.safetensors --out grid.onnx
    """
    made = export_file(model, out)
    if as_json:
        apart = {program: each.model_dump() for program, each in made.differences.items()}
        files = [str(file) for file in made.files]
        typer.echo(json.dumps({"files": files, "sheet": str(made.sheet), "differences": apart, **made.described}))
        return
    for program, each in made.differences.items():
        _say(f"{program}: differs from torch by at most {each.box_px:.1e} pixels and {each.score:.1e} in score.")
    if not made.differences:
        _say("Not compared with torch: no program that runs it is installed.")
    _say(f"Detector: {', '.join(map(str, made.files))}")
    _say(f"Sheet:    {made.sheet}")


@app.command()
def crossval(
    data: Data,
    model: Model = "grid",
    folds: Annotated[int, typer.Option(min=2, help="Number of parts; each is held out once.")] = 3,
    out: Annotated[
        Path | None, typer.Option(help="Folder of detectors and results; default out/vision/MODEL-folds.")
    ] = None,
    steps: Steps = None,
    seed: Seed = None,
    changes: Changes = None,
    kind: KindOf = None,
    repair: Repair = False,
    category: Category = None,
    side_px: SidePx = None,
    images: Images = None,
    categories: Categories = "",
    block: Block = None,
    as_json: _show.AsJson = False,
) -> None:
    """Train once for each fold and score on its images: mean and 95 % interval over the folds.

    No group (patient, slide, block) is on both sides. Given again after an interruption, it goes on.

    Example: lsm vision crossval --data images/ --model grid --folds 3
    """
    arm = recipe(model, changes or [], steps=steps, seed=seed)
    folder = out or Path("out/vision") / f"{Path(model).stem}-folds"
    annotated = Source(kind, repair, category, side_px, block, images, categories).read(data)
    with _show.progress(quiet=as_json) as bars:
        rows = cross_validate(annotated, arm, folder, folds=folds, progress=RichReporter(bars))
    facts = {"data": annotated.origin, "folds": folds, "seed": arm.fit.seed, **fold_summary(rows)}
    save_json(folder / "results.json", facts | {"rows": rows})
    if as_json:
        typer.echo(json.dumps(facts))
        return
    _tell_folds(facts)
    _say(f"Detectors and results: {folder}")


@app.command()
def draw(
    data: Data,
    out: Annotated[Path, typer.Option(help="New folder for the pictures.")],
    most: Annotated[
        int | None, typer.Option(min=1, help="Draw at most this many images, evenly spread.", show_default="all")
    ] = None,
    colour_by: ColourBy = "category",
    labels: Annotated[bool, typer.Option(help="Names in the pictures.")] = True,
    channels: Channels = "",
    kind: KindOf = None,
    repair: Repair = False,
    category: Category = None,
    side_px: SidePx = None,
    images: Images = None,
    categories: Categories = "",
    as_json: _show.AsJson = False,
) -> None:
    """Draw annotations into their images, to see what a detector would learn.

    Example: lsm vision draw --data images/ --out pictures --most 20
    """
    folder = _show.new_folder(out)
    look = _look(colour_by, channels, labels=labels)
    annotated = Source(kind, repair, category, side_px, None, images, categories).read(data)
    chosen = np.unique(np.linspace(0, len(annotated) - 1, min(most or len(annotated), len(annotated))).round())
    pictures = []
    with _show.progress(quiet=as_json) as bars, RichReporter(bars).stage("drawing", len(chosen)) as stage:
        for image in annotated.where(chosen.astype(np.int64)).images:
            picture = draw_objects(image.pixels(), image.objects, annotated.categories, look=look)
            pictures.append(str(save_png(picture, picture_path(folder, image.name))))
            stage.advance()
    if as_json:
        typer.echo(json.dumps({"pictures": pictures, "objects": annotated.counts()}))
        return
    _say(f"{len(pictures)} pictures of {len(annotated)} images: {folder}")


@app.command()
def compare(
    first: Annotated[Path, typer.Argument(help="Annotations of one person.")],
    second: Annotated[Path, typer.Argument(help="Annotations of the same images by another.")],
    out: ReportFolder,
    names: Annotated[str, typer.Option(help="Who they are, such as Ada,Bob.")] = "first,second",
    kind: KindOf = None,
    repair: Repair = False,
    category: Category = None,
    side_px: SidePx = None,
    images: Images = None,
    categories: Categories = "",
    as_json: _show.AsJson = False,
) -> None:
    """Say how far two annotators agree: confusion matrix, Cohen's kappa, agreement on each category.

    Example: lsm vision compare ada.json bob.json --names Ada,Bob --out agreement
    """
    folder = _show.new_folder(out)
    who = words(names)
    if len(who) != 2 or who[0] == who[1]:
        raise InputError(f"'{names}' does not name two annotators.", hint="write such as --names Ada,Bob")
    source = Source(kind, repair, category, side_px, None, images, categories)
    page = annotators_page(
        source.read(first), source.read(second), names=(who[0], who[1]), rng=np.random.default_rng(0)
    )
    path = write_page(folder, page)
    table = page.sections[0].table
    agreement = {} if table is None else {row[0]: dict(zip(table.head[1:], row[1:], strict=True)) for row in table.rows}
    if as_json:
        typer.echo(json.dumps({"figures": dict(page.tiles), "agreement": agreement, "report": str(path)}))
        return
    for label, value in page.tiles.items():
        _say(f"{label}: {value}")
    for name, row in agreement.items():
        _say(f"{name}: " + ", ".join(f"{key} {value}" for key, value in row.items()))
    _say(f"Report: {path}")


@app.command()
def stages(
    table: Annotated[Path, typer.Argument(help="CSV: time_h, and a column of counts for each stage.")],
    out: ReportFolder,
    without: Annotated[str, typer.Option(help="Columns to leave out, such as uninfected,leukocyte.")] = "",
    as_json: _show.AsJson = False,
) -> None:
    """Draw how the shares of stages change over time, with intervals.

    The table may be the counts.csv of lsm vision predict with a column time_h added; rows of one time are added up.

    Example: lsm vision stages counts.csv --without uninfected --out stages
    """
    folder = _show.new_folder(out)
    counted = StageCounts.from_csv(table)
    counted = counted.without(words(without)) if words(without) else counted
    path = write_page(folder, stages_page(counted, subject=table.stem))
    if as_json:
        shares = [[None if np.isnan(part) else part for part in row] for row in counted.shares().tolist()]
        rows = [
            {"time_h": time, "counts": row, "shares": share}
            for time, row, share in zip(counted.time_h.tolist(), counted.counts.tolist(), shares, strict=True)
        ]
        typer.echo(json.dumps({"categories": counted.categories, "times": rows, "report": str(path)}))
        return
    _say(f"{int(counted.counts.sum()):,} objects at {len(counted.time_h)} times.")
    _say(f"Report: {path}")


def _look(colour_by: str, channels: str, *, labels: bool) -> Look:
    given = words(channels)
    if not all(word.isdigit() for word in given):
        raise InputError(f"'{channels}' does not name channels.", hint="write such as --channels 0,1,2")
    table = {"colour_by": colour_by, "labels": labels, "channels": [int(word) for word in given]}
    return Look.from_table(table, source="the option")


def _tell_scores(scores: DetectionScores | None) -> None:
    if scores is None:
        _say("No images were held out, so nothing tells how good the detector is.")
    else:
        typer.echo(scores.as_table())


def _tell_counts(told: Mapping[str, Predicted], categories: Sequence[str]) -> None:
    used = [name for name in categories if any(name in each.counts for each in told.values())]
    table = Table("image", *used, "all")
    for name, each in told.items():
        table.add_row(name, *(str(each.counts.get(kind, 0)) for kind in used), str(sum(each.counts.values())))
    Console().print(table, markup=False)


def _tell_folds(facts: Mapping[str, Any]) -> None:
    heads = {"map_50": "mAP@0.5", "map": "mAP", "mar": "mAR", "mar_100": "mAR of 100"}
    table = Table("", *heads.values())
    for part in ("boxes", "masks"):
        if facts[part]:
            table.add_row(part, *(_interval(facts[part][key]) if key in facts[part] else "-" for key in heads))
    Console().print(table)
    by_category = Table(
        "category", "AP@0.5", "labelled", "counted", "by fold", "of the labelled, found", "count MAE an image"
    )
    for name, row in facts["categories"].items():
        share, hit = ("-" if row[key] is None else f"{row[key]:.1f} %" for key in ("counted_percent", "hit_percent"))
        ends = "-" if row["counted_range"] is None else "{:.1f} to {:.1f} %".format(*row["counted_range"])
        precise = "-" if row["ap_50"] is None else _interval(row["ap_50"])
        by_category.add_row(name, precise, str(row["labelled"]), share, ends, hit, f"{row['count_mae']:.2f}")
    Console().print(by_category, markup=False)
    _say(
        "Ranges are 95 % intervals over folds, too narrow since folds share what they learnt from; "
        "'by fold' is the least and the largest. mAR is with at most 500 detections an image."
    )


def _interval(values: Sequence[float]) -> str:
    middle, *ends = values
    return f"{middle:.3f}" + (f" ({ends[0]:.3f} to {ends[1]:.3f})" if ends else "")


def _say(line: str) -> None:
    Console().print(line, soft_wrap=True, markup=False, highlight=False)
