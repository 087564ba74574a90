"""The grid network as an ONNX graph of plain operators, with normalisation before and boxes and scores behind.

It is written node by node: it then holds what the network needs and nothing of the machine it was made on, such as the
paths of source files, and batch normalisation is folded into the convolutions.
"""

from typing import Any, Final, cast

import numpy as np
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from lsm.vision.detect.facts import DataFacts
from lsm.vision.detect.grid import FARTHEST, GridNetwork
from lsm.vision.detect.grid.layers import Block
from lsm.vision.detect.levels import LEAST_SPREAD, Levels
from lsm.vision.detect.live.packages import package

IMAGE, BOXES, SCORES = "image", "boxes", "scores"
OPSET: Final = 17
_IR_VERSION: Final = 8


def onnx_graph(network: GridNetwork, facts: DataFacts, levels: Levels) -> Any:
    """A model proto: `image` float32 [1, channel, y, x], pixels as `AnnotatedImage.pixels` gives them, of any size;
    `boxes` [point, category, 4] in pixels and `scores` [point, category].
    """
    onnx = package("onnx")
    writer = _Writer(onnx)
    _outputs(writer, network, _pyramid(writer, network, _normal(writer, network, facts, levels)))
    helper, number = onnx.helper, onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        writer.nodes,
        "grid detector",
        [helper.make_tensor_value_info(IMAGE, number, [1, facts.channels, "height", "width"])],
        [
            helper.make_tensor_value_info(BOXES, number, ["points", len(facts.categories), 4]),
            helper.make_tensor_value_info(SCORES, number, ["points", len(facts.categories)]),
        ],
        writer.constants,
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="lsm", ir_version=_IR_VERSION
    )
    onnx.checker.check_model(model, full_check=True)
    return model


class _Writer:
    """Collects nodes; every method returns the name of what its node gives."""

    def __init__(self, onnx: Any) -> None:
        self._onnx = onnx
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, values: object, dtype: type[np.generic] = np.float32) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(self._onnx.numpy_helper.from_array(np.asarray(values, dtype=dtype), name))
        return name

    def node(self, kind: str, *inputs: str, output: str = "", **attributes: object) -> str:
        name = output or f"n{len(self.nodes)}"
        self.nodes.append(self._onnx.helper.make_node(kind, list(inputs), [name], name=f"{kind} {name}", **attributes))
        return name

    def convolution(self, source: str, layer: nn.Module) -> str:
        convolution = cast("nn.Conv2d", layer)
        weights = [each for each in (convolution.weight, convolution.bias) if each is not None]
        pads = [int(each) for each in convolution.padding]
        return self.node(
            "Conv",
            source,
            *(self.constant(each.detach().numpy()) for each in weights),
            kernel_shape=list(convolution.kernel_size),
            strides=list(convolution.stride),
            pads=pads + pads,
        )

    def folded(self, source: str, layers: nn.Module) -> str:
        """A convolution and its batch normalisation as one; rectified where they are."""
        convolution, normal, *rest = cast("nn.Sequential", layers)
        joined = fuse_conv_bn_eval(cast("nn.Conv2d", convolution), cast("nn.BatchNorm2d", normal))
        after = self.convolution(source, joined)
        return self.node("Relu", after) if rest else after

    def block(self, source: str, block: Block) -> str:
        wide = self.folded(self.folded(source, block.narrow), block.wide)
        return self.node("Relu", self.node("Add", source, wide))


def _normal(writer: _Writer, network: GridNetwork, facts: DataFacts, levels: Levels) -> str:
    """Shrunk before it is normalised, which is the same and less work."""
    mean, std = (writer.constant(np.array(each)[None, :, None, None]) for each in (facts.mean, facts.std))
    if levels == "image":
        mean, std = _of_image(writer, writer.constant(LEAST_SPREAD), std)
    image = IMAGE
    if (shrink := network.shape.shrink) > 1:
        image = writer.node("AveragePool", image, kernel_shape=[shrink, shrink], strides=[shrink, shrink])
    return writer.node("Div", writer.node("Sub", image, mean), std)


def _of_image(writer: _Writer, least: str, set_std: str) -> tuple[str, str]:
    """Mean and spread of every channel of the image."""
    mean = writer.node("ReduceMean", IMAGE, axes=[2, 3], keepdims=1)
    apart = writer.node("Sub", IMAGE, mean)
    spread = writer.node("Sqrt", writer.node("ReduceMean", writer.node("Mul", apart, apart), axes=[2, 3], keepdims=1))
    return mean, writer.node("Max", spread, writer.node("Mul", least, set_std))


def _pyramid(writer: _Writer, network: GridNetwork, image: str) -> str:
    features = [writer.folded(image, network.stem)]
    for stage in network.stages:
        first, *blocks = cast("nn.Sequential", stage)
        here = writer.folded(features[-1], first)
        for block in blocks:
            here = writer.block(here, cast("Block", block))
        features.append(here)
    sideways = [
        writer.convolution(each, layer)
        for layer, each in zip(network.sideways, features[network.finest :], strict=True)
    ]
    joined = sideways.pop()
    none = writer.constant([])
    twice = writer.constant([1, 1, 2, 2])
    for number in range(len(sideways) - 1, -1, -1):
        fine = sideways[number]
        coarse = writer.node(
            "Resize",
            joined,
            none,
            twice,
            mode="nearest",
            coordinate_transformation_mode="asymmetric",
            nearest_mode="floor",
        )
        joined = writer.node("Add", fine, _cut(writer, coarse, fine))
        if number > 0:
            joined = writer.folded(joined, network.smooth[number - 1])
    return joined


def _cut(writer: _Writer, coarse: str, fine: str) -> str:
    """The rows and columns of `coarse` that `fine` has."""
    start, end = writer.constant([2], np.int64), writer.constant([4], np.int64)
    size = writer.node("Slice", writer.node("Shape", fine), start, end)
    axes, zero = writer.constant([2, 3], np.int64), writer.constant([0, 0], np.int64)
    return writer.node("Slice", coarse, zero, size, axes)


def _outputs(writer: _Writer, network: GridNetwork, joined: str) -> None:
    shared = writer.folded(joined, network.shared)
    odds = writer.convolution(writer.folded(shared, network.kind_tower), network.kinds)
    edges = writer.convolution(writer.folded(shared, network.edge_tower), network.edges)
    bounds = (writer.constant(-FARTHEST), writer.constant(FARTHEST))
    reach = writer.node("Exp", writer.node("Clip", edges, *bounds))
    left, top, right, bottom = (f"reach {side}" for side in ("left", "top", "right", "bottom"))
    split = writer.constant([1, 1, 1, 1], np.int64)
    helper = package("onnx").helper
    writer.nodes.append(helper.make_node("Split", [reach, split], [left, top, right, bottom], name="Split", axis=1))
    x = _places(writer, network, odds, axis=3)
    y = writer.node("Unsqueeze", _places(writer, network, odds, axis=2), writer.constant([1], np.int64))
    half_px = writer.constant(0.5 * np.array(network.shape.prior_px)[None, :, None, None])
    sides = [
        writer.node(kind, centre, writer.node("Mul", reach, half_px))
        for kind, centre, reach in (("Sub", x, left), ("Sub", y, top), ("Add", x, right), ("Add", y, bottom))
    ]
    categories = network.shape.categories
    boxes = writer.node(
        "Reshape", writer.node("Concat", *sides, axis=0), writer.constant([4, categories, -1], np.int64)
    )
    writer.node("Transpose", boxes, output=BOXES, perm=[2, 1, 0])
    odds = writer.node("Reshape", odds, writer.constant([categories, -1], np.int64))
    writer.node("Sigmoid", writer.node("Transpose", odds, perm=[1, 0]), output=SCORES)


def _places(writer: _Writer, network: GridNetwork, grid: str, *, axis: int) -> str:
    """Where the grid points lie along one axis."""
    count = writer.node("Gather", writer.node("Shape", grid), writer.constant(axis, np.int64))
    count = writer.node("Cast", count, to=package("onnx").TensorProto.FLOAT)
    numbers = writer.node("Range", writer.constant(0), count, writer.constant(1))
    steps = writer.node("Mul", numbers, writer.constant(network.shape.step_px))
    return writer.node("Add", steps, writer.constant(0.5 * network.shape.shrink))
