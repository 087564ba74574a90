"""Small sets in the layouts that other programs write, made by hand."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

SIZE = (40, 60)
"""Height and width of the images."""


def picture(path: Path, *, seed: int = 0, size: tuple[int, int] = SIZE, colour: bool = True) -> Path:
    shape = (*size, 3) if colour else size
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)).save(path)
    return path


def written(path: Path, held: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(held if isinstance(held, str) else json.dumps(held), encoding="utf-8")
    return path


def coco(folder: Path, annotations: list[dict[str, Any]], /, **root: Any) -> Path:
    """One image "a.png" with id 7 and the categories RBC (2) and WBC (5)."""
    picture(folder / "a.png")
    images = [{"id": 7, "file_name": "a.png", "height": SIZE[0], "width": SIZE[1]}]
    categories = [{"id": 5, "name": "WBC", "supercategory": "cell"}, {"id": 2, "name": "RBC", "supercategory": "cell"}]
    return written(
        folder / "coco.json", {"images": images, "annotations": annotations, "categories": categories} | root
    )


def voc_object(
    name: str, x0: float, y0: float, x1: float, y1: float, *, difficult: str = "<difficult>0</difficult>"
) -> str:
    return (
        f"<object><name>{name}</name><pose>Unspecified</pose><truncated>0</truncated>{difficult}"
        f"<bndbox><xmin>{x0}</xmin><ymin>{y0}</ymin><xmax>{x1}</xmax><ymax>{y1}</ymax></bndbox></object>"
    )


def voc(folder: Path, *objects: str, name: str = "a", size: tuple[int, int] = SIZE) -> Path:
    """A folder with Annotations and JPEGImages, as BCCD has it."""
    picture(folder / "JPEGImages" / f"{name}.jpg")
    text = (
        f"<annotation><folder>JPEGImages</folder><filename>{name}.jpg</filename><path>/home/pi/{name}.jpg</path>"
        f"<size><width>{size[1]}</width><height>{size[0]}</height><depth>3</depth></size><segmented>0</segmented>"
        f"{''.join(objects)}</annotation>"
    )
    written(folder / "Annotations" / f"{name}.xml", text)
    return folder


def labelme(folder: Path, *shapes: dict[str, Any], name: str = "a", **root: Any) -> Path:
    picture(folder / f"{name}.png")
    held = {
        "version": "5.5.0",
        "flags": {},
        "shapes": list(shapes),
        "imagePath": f"{name}.png",
        "imageData": None,
        "imageHeight": SIZE[0],
        "imageWidth": SIZE[1],
    }
    return written(folder / f"{name}.json", held | root)


def shape(label: str, kind: str | None, *points: tuple[float, float], **more: Any) -> dict[str, Any]:
    held = {"label": label, "points": [list(point) for point in points], "group_id": None, "description": ""}
    return held | {"flags": {}} | ({} if kind is None else {"shape_type": kind}) | more


def keras_object(category: str, y0: float, x0: float, y1: float, x1: float, **more: Any) -> dict[str, Any]:
    box = {"minimum": {"r": y0, "c": x0}, "maximum": {"r": y1, "c": x1}}
    return {"bounding_box": box, "category": category} | more


def keras_rcnn(folder: Path, *objects: dict[str, Any], inside: bool = False, file: str = "training.json") -> Path:
    """One image; its objects beside it or inside it."""
    picture(folder / "images" / "8d02.png")
    image: dict[str, Any] = {
        "checksum": "676bb8e86fc2dbf05dd97d51a64ac0af",
        "pathname": "/images/8d02.png",
        "shape": {"r": SIZE[0], "c": SIZE[1], "channels": 3},
    }
    entry = {"image": image | {"objects": list(objects)}} if inside else {"image": image, "objects": list(objects)}
    return written(folder / file, [entry])


def points(folder: Path, text: str, *, name: str = "12.txt") -> Path:
    """A folder with labels and images, as Chula RBC-12 has it."""
    written(folder / "labels" / name, text)
    picture(folder / "images" / "12.jpg")
    return folder


def labels(folder: Path, numbers: np.ndarray, *, name: str = "a.png", under: str = "labels") -> Path:
    """A folder with images and labels, as DSB2018 has it."""
    picture(folder / "images" / "a.png", colour=False)
    (folder / under).mkdir(exist_ok=True)
    if name.endswith(".npy"):
        np.save(folder / under / name, numbers)
    else:
        Image.fromarray(numbers).save(folder / under / name)
    return folder
