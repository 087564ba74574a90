"""`lsm vision`: detectors trained, scored and used on one's own images, and pictures of all that."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

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
from lsm.cli._vision_options import (
    AsChannels,
    Block,
    Categories,
    Category,
    Changes,
    Channels,
    ColourBy,
    Data,
    Device,
    Images,
    KindOf,
    Model,
    Repair,
    ReportFolder,
    Seed,
    SeenChannels,
    SidePx,
    Steps,
    Weights,
)
from lsm.cli._vision_resume import resumable
from lsm.cli._vision_tell import faults, say, tell_counts, tell_doubts, tell_folds, tell_scores, tell_thresholds
from lsm.cli._vision_work import FOUND_FILE, cross_validate, fit, fold_summary, parts
from lsm.cli._vision_work import evaluate as evaluate_on
from lsm.cli._vision_work import predict as predict_on
from lsm.errors import InputError, LsmError
from lsm.sensing.progress import RichReporter
from lsm.vision.detect import device_of
from lsm.vision.draw import Look, StageCounts, annotators_page, draw_objects, save_png, stages_page, write_page

app = typer.Typer(
    help="Find, name and outline cells in your own images: train, score, search, draw.", no_args_is_help=True
)


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
    weights: Weights = None,
    changes: Changes = None,
    kind: KindOf = None,
    repair: Repair = False,
    category: Category = None,
    side_px: SidePx = None,
    images: Images = None,
    categories: Categories = "",
    block: Block = None,
    as_channels: AsChannels = None,
    device: Device = "cpu",
    as_json: _show.AsJson = False,
) -> None:
    """Train a detector on annotated images and score it on images that it never saw.

    Beside the detector lie a JSON file of what was done and, in a folder, the report of the score. An interrupted
    training goes on when the same command is given again.

    Whole numbers of 8 or 16 bits are taken as parts of their largest, other numbers as they are: a detector must later
    see images in the same numbers.

    Example: lsm vision train --data images/ --model grid
    """
    device_of(device)
    arm = recipe(model, changes or [], steps=steps, seed=seed)
    file = new_detector(out or Path("out/vision") / f"{Path(model).stem}.safetensors")
    folder = _show.new_folder(file.with_name(f"{file.stem}-report"))
    source = Source(kind, repair, category, side_px, block, images, categories, as_channels)
    whole = source.read(data)
    # neighbours are counted anew in another set, where the same numbers are other images
    others = replace(source, block=None).read(validate, whole.categories) if validate else None
    used = parts(whole, others, holdout, arm.fit.seed)
    detector = begin(arm, used.learnt, weights).to(device)
    with resumable(file), _show.progress(quiet=as_json) as bars:
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
        doubts = scored.doubts.table()
        facts |= {"scores": scored.scores.model_dump(mode="json"), "report": str(scored.page), "doubts": doubts}
        save_json(facts_file(file), facts)
    tell_thresholds(record)
    tell_doubts([scored.doubts] if scored else [])
    if as_json:
        typer.echo(json.dumps(facts))
        return
    tell_scores(scored.scores if scored else None)
    say(f"Detector: {file} ({record.seconds:.0f} s)")
    if scored:
        say(f"Report:   {scored.page}")
    say(f"Next:     lsm vision predict {file} IMAGES --out found")


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
    as_channels: SeenChannels = None,
    device: Device = "cpu",
    as_json: _show.AsJson = False,
) -> None:
    """Score a detector on annotated images: a table, and a report with confusion, counts and the worst errors.

    Example: lsm vision evaluate out/vision/grid.safetensors --data images/
    """
    folder = _show.new_folder(out or Path("out/vision") / f"{model.stem}-{data.resolve().stem}")
    detector = load_detector(model).to(device)
    source = Source(kind, repair, category, side_px, images=images, as_channels=as_channels)
    annotated = source.read(data, detector.facts.categories)
    with _show.progress(quiet=as_json) as bars:
        scored = evaluate_on(detector, model.name, annotated, folder, RichReporter(bars))
    tell_doubts([scored.doubts])
    if as_json:
        facts = {"scores": scored.scores.model_dump(mode="json"), "report": str(scored.page)}
        typer.echo(json.dumps(facts | {"doubts": scored.doubts.table()}))
        return
    tell_scores(scored.scores)
    say(f"Report: {scored.page}")


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
    as_channels: SeenChannels = None,
    device: Device = "cpu",
    as_json: _show.AsJson = False,
) -> None:
    """Search images: what was found as COCO JSON, a picture of each image, and counts.

    Images that cannot be searched are told at the end, and make the exit status 1; all others are searched.

    Whole numbers of 8 or 16 bits are taken as parts of their largest, other numbers as they are: give images in the
    numbers that the detector learnt from. Grey images are made three equal channels, or colours grey, where the
    detector takes those.

    Example: lsm vision predict out/vision/grid.safetensors slide-7/ --out found
    """
    folder = _show.new_folder(out)
    look = _look(colour_by, channels, labels=labels)
    files = image_files(images)
    detector = load_detector(model).to(device)
    with _show.progress(quiet=as_json) as bars:
        told = predict_on(
            detector,
            files,
            folder,
            least_score=least_score,
            look=look,
            progress=RichReporter(bars),
            channels=as_channels,
        )
    tell_doubts([told.doubts])
    if not told.found:
        raise InputError(faults(told.failed, len(files)), hint="nothing was written")
    if as_json:
        rows = {name: {"counts": each.counts, "picture": str(each.picture)} for name, each in told.found.items()}
        failed = {name: str(fault) for name, fault in told.failed.items()}
        facts = {"found": str(folder / FOUND_FILE), "images": rows, "failed": failed, "doubts": told.doubts.table()}
        typer.echo(json.dumps(facts))
        raise typer.Exit(1 if failed else 0)
    tell_counts(told.found, detector.facts.categories)
    say(f"Found:    {folder / FOUND_FILE}")
    say(f"Pictures: {folder / 'pictures'}")
    if told.failed:
        hint = "the results are of the others; mend these, and search them with another --out"
        raise LsmError(faults(told.failed, len(files)), hint=hint)


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
        say(f"{program}: differs from torch by at most {each.box_px:.1e} pixels and {each.score:.1e} in score.")
    if not made.differences:
        say("Not compared with torch: no program that runs it is installed.")
    say(f"Detector: {', '.join(map(str, made.files))}")
    say(f"Sheet:    {made.sheet}")


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
    as_channels: AsChannels = None,
    weights: Weights = None,
    device: Device = "cpu",
    as_json: _show.AsJson = False,
) -> None:
    """Train once for each fold and score on its images: mean and 95 % interval over the folds.

    No group (patient, slide, block) is on both sides. Given again after an interruption, it goes on. Weights to start
    from must not have learnt from these images.

    Example: lsm vision crossval --data images/ --model grid --folds 3
    """
    device_of(device)
    arm = recipe(model, changes or [], steps=steps, seed=seed)
    folder = out or Path("out/vision") / f"{Path(model).stem}-folds"
    annotated = Source(kind, repair, category, side_px, block, images, categories, as_channels).read(data)
    with resumable(folder), _show.progress(quiet=as_json) as bars:
        progress = RichReporter(bars)
        rows = cross_validate(annotated, arm, folder, folds=folds, progress=progress, device=device, weights=weights)
    facts = {"data": annotated.origin, "folds": folds, "seed": arm.fit.seed, **fold_summary(rows)}
    save_json(folder / "results.json", facts | {"rows": rows})
    if as_json:
        typer.echo(json.dumps(facts))
        return
    tell_folds(facts, rows)
    say(f"Detectors and results: {folder}")


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
    say(f"{len(pictures)} pictures of {len(annotated)} images: {folder}")


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
        say(f"{label}: {value}")
    for name, row in agreement.items():
        say(f"{name}: " + ", ".join(f"{key} {value}" for key, value in row.items()))
    say(f"Report: {path}")


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
    say(f"{int(counted.counts.sum()):,} objects at {len(counted.time_h)} times.")
    say(f"Report: {path}")


def _look(colour_by: str, channels: str, *, labels: bool) -> Look:
    given = words(channels)
    if not all(word.isdigit() for word in given):
        raise InputError(f"'{channels}' does not name channels.", hint="write such as --channels 0,1,2")
    table = {"colour_by": colour_by, "labels": labels, "channels": [int(word) for word in given]}
    return Look.from_table(table, source="the option")
