"""Options that several commands of `lsm vision` share."""

from pathlib import Path
from typing import Annotated

import typer

from lsm.vision.data import Format
from lsm.vision.detect import MODELS

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
AsChannels = Annotated[
    int | None,
    typer.Option(
        help="Give every image so many channels, where greys and colours are mixed: one is repeated, several are "
        "averaged to one.",
        min=1,
        show_default="as they are",
        rich_help_panel=READING,
    ),
]
SeenChannels = Annotated[
    int | None,
    typer.Option(
        "--as-channels",
        help="Give every image so many channels first: one is repeated, several are averaged to one.",
        min=1,
        show_default="the detector's, for greys and colours",
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
Weights = Annotated[
    Path | None,
    typer.Option(help="Start from a detector's file, or torchvision's .pth (with --set model.norm=frozen)."),
]
Device = Annotated[str, typer.Option(help="Where it computes: cpu, cuda, or cuda:1 of several.")]
ReportFolder = Annotated[Path, typer.Option(help="New folder for the report.")]
ColourBy = Annotated[str, typer.Option(help="One colour for each: category, object.")]
Channels = Annotated[str, typer.Option(help="Channels to show as red, green and blue, such as 0,1,2; one for grey.")]
