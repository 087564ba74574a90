"""Programs that run an exported grid detector."""

from pathlib import Path
from typing import Any, Final, Literal, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float32

from lsm.errors import FileMissing, InputError, WrongFormat
from lsm.vision.data import Pixels
from lsm.vision.detect.detector import Detector
from lsm.vision.detect.levels import Normal
from lsm.vision.detect.live.card import CARD, LiveCard
from lsm.vision.detect.live.export import card_of, grid_of
from lsm.vision.detect.live.graph import BOXES, IMAGE, SCORES
from lsm.vision.detect.live.packages import package

Backend = Literal["torch", "onnxruntime", "openvino"]
Precision = Literal["float32", "bfloat16"]
Seen = tuple[Float32[np.ndarray, "point category 4"], Float32[np.ndarray, "point category"]]
"""Box edges and scores of every category at every grid point."""

PROGRAMS: Final[dict[str, tuple[Backend, ...]]] = {
    ".safetensors": ("torch",),
    ".onnx": ("openvino", "onnxruntime"),
    ".xml": ("openvino",),
}
"""What runs a file of each ending; the first is the usual one."""


@runtime_checkable
class Runtime(Protocol):
    """Runs the network on one image; what it returns may be overwritten by the next call."""

    card: LiveCard

    def run(self, pixels: Pixels) -> Seen: ...


class TorchRuntime:
    """The network as it was trained."""

    def __init__(self, detector: Detector) -> None:
        self.card = card_of(detector)
        self._network = grid_of(detector)
        self._normal = Normal(detector.facts, detector.model.levels)

    @torch.inference_mode()
    def run(self, pixels: Pixels) -> Seen:
        image = torch.from_numpy(pixels)
        seen = self._network.rasters(self._normal(image, image)[None])
        return seen.boxes[0].numpy(), torch.sigmoid(seen.odds[0]).numpy()


class OnnxRuntime:
    """ONNX Runtime on the processor. Raises WrongFormat for a file that is no exported detector."""

    def __init__(self, path: Path, threads: int) -> None:
        content, self.card = read_onnx(path)
        runtime = package("onnxruntime")
        options = runtime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        # waiting threads would take the cores from the microscope
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])

    def run(self, pixels: Pixels) -> Seen:
        boxes, scores = self._session.run([BOXES, SCORES], {IMAGE: pixels[None]})
        return boxes, scores


class OpenVino:
    """OpenVINO on the processor, compiled for the size of the images; a new size takes a second.

    Raises WrongFormat for a file that is no exported detector.
    """

    def __init__(self, path: Path, threads: int, precision: Precision) -> None:
        openvino = package("openvino")
        self._core: Any = openvino.Core()
        if path.suffix == ".onnx":
            content, self.card = read_onnx(path)
            self._model: Any = self._core.read_model(content)
        else:
            self._model, self.card = _read_ir(self._core, path)
        hint = {"float32": "f32", "bfloat16": "bf16"}[precision]
        self._options = {
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
            # it would otherwise compute with 8 bits of precision wherever the processor can
            "INFERENCE_PRECISION_HINT": hint,
        }
        self._size: tuple[int, ...] = ()
        self._request: Any = None

    def run(self, pixels: Pixels) -> Seen:
        if pixels.shape != self._size:
            self._model.reshape([1, *pixels.shape])
            self._request = self._core.compile_model(self._model, "CPU", self._options).create_infer_request()
            self._size = pixels.shape
        found = self._request.infer({IMAGE: pixels[None]}, share_inputs=True)
        return found[BOXES], found[SCORES]


def open_runtime(path: Path, backend: Backend | None, threads: int, precision: Precision) -> Runtime:
    """The program that runs this file; see `LiveDetector.load`."""
    if not path.is_file():
        raise FileMissing(f"The detector {path} does not exist.", hint="export one with export_onnx")
    able = PROGRAMS.get(path.suffix, ())
    if not able or (backend or able[0]) not in able:
        raise InputError(
            f"{path.name} cannot be run with {backend or 'any program'}.",
            hint="torch runs .safetensors, onnxruntime .onnx, openvino .onnx and .xml",
        )
    chosen = backend or able[0]
    if precision != "float32" and chosen != "openvino":
        raise InputError(f"{chosen} computes with float32, not {precision}.", hint="use openvino")
    if chosen == "torch":
        return TorchRuntime(Detector.load(path))
    return OnnxRuntime(path, threads) if chosen == "onnxruntime" else OpenVino(path, threads, precision)


def read_onnx(path: Path) -> tuple[bytes, LiveCard]:
    """An exported file and its card; nothing in it is run, and no other file is opened.

    Raises WrongFormat for what is damaged, keeps weights elsewhere, or has operators of others than ONNX.
    """
    onnx = package("onnx")
    content = path.read_bytes()
    try:
        model = onnx.load_model_from_string(content)
    except (ValueError, TypeError, package("google.protobuf.message").DecodeError) as error:
        raise WrongFormat(f"{path} is no ONNX file: {error}.", hint="export it again") from error
    elsewhere = any(tensor.external_data for tensor in model.graph.initializer)
    if elsewhere or model.functions or any(node.domain for node in model.graph.node):
        raise WrongFormat(f"{path} holds more than an exported detector.", hint="export it again")
    cards = [entry.value for entry in model.metadata_props if entry.key == CARD]
    card = LiveCard.of_text(cards[0] if cards else None, str(path))
    card.check(content, str(path))
    return content, card


def _read_ir(core: Any, path: Path) -> tuple[Any, LiveCard]:
    try:
        model = core.read_model(str(path))
    except RuntimeError as error:
        first = str(error).strip().splitlines()[-1]
        raise WrongFormat(f"{path} is no OpenVINO model: {first}.", hint="export it again") from error
    text = model.get_rt_info([CARD]).astype(str) if model.has_rt_info([CARD]) else None
    card = LiveCard.of_text(text, str(path))
    card.check(path.read_bytes() + path.with_suffix(".bin").read_bytes(), str(path))
    return model, card
