"""OME-XML of a laid-out recording, after the schema 2016-06 of the Open Microscopy Environment.

Positions are those of the stage as read back, in micrometres, as the middle of the image; times count from the
start of the first exposure. What OME has no place for (light really shown, request, decision, device metadata,
the run's header) is kept as JSON in comment annotations of the namespaces below.
"""

import json
from collections.abc import Iterable
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

import lsm
from lsm.record.export_layout import ImageBlock, Layout, Plane, known, printable

SCHEMA = "http://www.openmicroscopy.org/Schemas/OME/2016-06"
RUN, LIGHT, FRAME = "lsm/run", "lsm/light-shown", "lsm/frame"
MICRO = "\N{MICRO SIGN}m"


def ome_xml(layout: Layout, *, pixels_in_tiff: bool) -> bytes:
    """ASCII bytes: one Image per block, with its planes in the order of the file.

    pixels_in_tiff: plane k is page k of the file that holds this text; else the pixels are elsewhere.
    """
    root = Element("OME", {"xmlns": SCHEMA, "Creator": f"lsm {lsm.__version__}"})
    _instrument(root, layout)
    lights = {key: f"Annotation:light:{number}" for number, key in enumerate(layout.lights)}
    page = 0
    for number, block in enumerate(layout.blocks):
        image = _image(root, layout, block, number)
        pixels = _pixels(image, layout, block, number)
        if pixels_in_tiff:
            SubElement(pixels, "TiffData", {"IFD": str(page), "PlaneCount": str(len(block.planes))})
        else:
            SubElement(pixels, "MetadataOnly")
        page += len(block.planes)
        for index, plane in enumerate(block.planes):
            _plane(pixels, block.place(index), plane, lights[plane.shown])
        SubElement(image, "AnnotationRef", {"ID": "Annotation:run"})
    _annotations(root, layout, lights)
    # ASCII, so that readers that guess the encoding of a TIFF text cannot go wrong
    text: bytes = ElementTree.tostring(root, encoding="us-ascii", xml_declaration=True)
    return text


def _instrument(root: Element, layout: Layout) -> None:
    instrument = SubElement(root, "Instrument", {"ID": "Instrument:0"})
    rig = layout.header.get("rig")
    if isinstance(rig, str) and rig:
        SubElement(instrument, "Microscope", {"Model": printable(rig)})
    objective = {"ID": "Objective:0:0"}
    known = layout.objective
    objective |= {"LensNA": repr(known["na"])} if "na" in known else {}
    objective |= {"NominalMagnification": repr(known["magnification"])} if "magnification" in known else {}
    if known:
        SubElement(instrument, "Objective", objective)


def _image(root: Element, layout: Layout, block: ImageBlock, number: int) -> Element:
    x_um, y_um = block.planes[0].xy_um
    image = SubElement(root, "Image", {"ID": f"Image:{number}", "Name": f"{number}: x {x_um:.1f}, y {y_um:.1f} um"})
    if layout.started is not None:
        SubElement(image, "AcquisitionDate").text = layout.started
    SubElement(image, "InstrumentRef", {"ID": "Instrument:0"})
    if layout.objective:
        index = layout.objective.get("immersion_index")
        medium = {} if index is None else {"RefractiveIndex": repr(index)}
        SubElement(image, "ObjectiveSettings", {"ID": "Objective:0:0"} | medium)
    stage = {"Name": f"x {x_um:.1f}, y {y_um:.1f} um"} | _position("", block.planes[0])
    SubElement(image, "StageLabel", stage)
    return image


def _pixels(image: Element, layout: Layout, block: ImageBlock, number: int) -> Element:
    rows, columns = layout.shape_px
    facts = {
        "ID": f"Pixels:{number}",
        "DimensionOrder": "XYCZT",
        "Type": "uint16",
        "BigEndian": "false",
        "SizeX": str(columns),
        "SizeY": str(rows),
        "SizeZ": str(block.n_foci),
        "SizeC": str(block.cycle),
        "SizeT": str(block.n_times),
    }
    sizes = {"X": layout.pixel_um, "Y": layout.pixel_um} | ({} if block.step_um is None else {"Z": block.step_um})
    for axis, size_um in sizes.items():
        facts |= {f"PhysicalSize{axis}": repr(size_um), f"PhysicalSize{axis}Unit": MICRO}
    pixels = SubElement(image, "Pixels", facts)
    for channel, name in enumerate(layout.channels(block)):
        told = {"ID": f"Channel:{number}:{channel}", "Name": name, "SamplesPerPixel": "1"}
        SubElement(pixels, "Channel", told | {"IlluminationType": "Transmitted", "AcquisitionMode": "WideField"})
    return pixels


def _plane(pixels: Element, place: tuple[int, int, int], plane: Plane, light: str) -> None:
    t, c, z = place
    facts = {"TheZ": str(z), "TheT": str(t), "TheC": str(c)}
    facts |= {"DeltaT": repr(plane.elapsed_s), "DeltaTUnit": "s"}
    facts |= {"ExposureTime": repr(plane.exposure_ms), "ExposureTimeUnit": "ms"}
    element = SubElement(pixels, "Plane", facts | _position("Position", plane))
    for name in (light, f"Annotation:frame:{plane.index}"):
        SubElement(element, "AnnotationRef", {"ID": name})


def _position(prefix: str, plane: Plane) -> dict[str, str]:
    facts: dict[str, str] = {}
    for axis, value_um in zip("XYZ", (*plane.xy_um, plane.z_um), strict=True):
        if known(value_um) is not None:
            facts |= {f"{prefix}{axis}": repr(value_um), f"{prefix}{axis}Unit": MICRO}
    return facts


def _annotations(root: Element, layout: Layout, lights: dict[str, str]) -> None:
    parent = SubElement(root, "StructuredAnnotations")
    _comment(parent, "Annotation:run", RUN, {"header": layout.header, "summary": layout.summary})
    for key, name in lights.items():
        _comment(parent, name, LIGHT, {"led_levels": layout.lights[key]})
    for plane in _planes(layout):
        _comment(parent, f"Annotation:frame:{plane.index}", FRAME, plane.facts)


def _planes(layout: Layout) -> Iterable[Plane]:
    return (plane for block in layout.blocks for plane in block.planes)


def _comment(parent: Element, name: str, namespace: str, content: dict[str, Any]) -> None:
    element = SubElement(parent, "CommentAnnotation", {"ID": name, "Namespace": namespace})
    SubElement(element, "Value").text = json.dumps(content)
