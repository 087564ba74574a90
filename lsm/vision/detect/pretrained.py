"""Weights that others learned: torchvision's Mask R-CNN and Faster R-CNN, from a file that the user has.

Nothing is downloaded, and nothing in a file is run: pickles are read for tensors alone.
"""

import pickle
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn
from torchvision.models.detection import MaskRCNN_ResNet50_FPN_Weights

from lsm.errors import FileMissing, ModelMismatch, WrongFormat
from lsm.tensorfile import read_tensors
from lsm.vision.detect.detector import Detector
from lsm.vision.detect.facts import DataFacts
from lsm.vision.detect.two_stage import FasterRcnnConfig, MaskRcnnConfig, TwoStageConfig
from lsm.vision.detect.two_stage.anchors import COCO_SIDES_PX

IMAGENET_MEAN: Final = (0.485, 0.456, 0.406)
IMAGENET_STD: Final = (0.229, 0.224, 0.225)
"""Of the colours, 0 to 1, of the images from which torchvision's weights were learned."""

_FIRST_LAYER = "backbone.body.conv1.weight"
_NAMING = "roi_heads.box_predictor.cls_score.weight"
_OF_CATEGORIES = ("roi_heads.box_predictor.", "roi_heads.mask_predictor.mask_fcn_logits.")
_COUNTER = ".num_batches_tracked"
_NORM_EPSILON = 1e-5
# names of torchvision before 0.13, in which the published weights still are
_OLD_NAMES = (
    (re.compile(r"^(rpn\.head\.conv)\.(weight|bias)$"), r"\1.0.0.\2"),
    (re.compile(r"^(backbone\.fpn\.(?:inner|layer)_blocks\.\d+)\.(weight|bias)$"), r"\1.0.\2"),
)
_OLD_MASK_NAME = re.compile(r"^(roi_heads\.mask_head)\.mask_fcn(\d+)\.(weight|bias)$")


@dataclass(frozen=True)
class Started:
    """Which weights of a network came from a file, by name.

    taken: as they are. adapted: the first layer, for other channels. made_new: what the file has not in this form, and
    what belongs to its categories.
    """

    taken: tuple[str, ...]
    adapted: tuple[str, ...]
    made_new: tuple[str, ...]


def coco_categories() -> tuple[str, ...]:
    """The 90 names by which COCO's labels go, without background; the unused among them get their number."""
    names: list[str] = MaskRCNN_ResNet50_FPN_Weights.COCO_V1.meta["categories"]
    return tuple(f"unused {k}" if name == "N/A" else name for k, name in enumerate(names) if k > 0)


def coco_detector(
    path: Path, *, detections: int = 500, lowest_score: float = 0.05, resize: tuple[int, int] = (800, 1333)
) -> Detector:
    """A detector with torchvision's COCO weights that finds what maskrcnn_resnet50_fpn or fasterrcnn_resnet50_fpn does.

    path: .pth as torchvision publishes it, or the same tensors as .safetensors. It takes images of three colours.
    resize: as in torchvision, every image's short side becomes the first, its long side at most the second.
    Raises FileMissing, or WrongFormat where the file holds other things.
    """
    held = read_weights(path)
    labels = len(held[_NAMING]) if _NAMING in held else 0
    categories = coco_categories()
    if labels != len(categories) + 1:
        raise WrongFormat(
            f"{path} tells {labels} labels apart, COCO has {len(categories) + 1}.",
            hint="give torchvision's COCO weights, or start another network from these with start_from",
        )
    options = {
        "norm": "frozen",
        "anchors": "coco",
        "coordinates": "torchvision",
        "detections": detections,
        "lowest_score": lowest_score,
        "resize": resize,
    }
    outlines = any(name.startswith("roi_heads.mask_predictor.") for name in held)
    model: TwoStageConfig = (MaskRcnnConfig if outlines else FasterRcnnConfig).from_table(options)
    detector = Detector.of(model, _coco_facts(categories))
    wanted = detector.network.state_dict()
    if faults := _differences(held, wanted):
        raise WrongFormat(
            f"{path} is no ResNet-50 network with a feature pyramid as torchvision has it: {faults}.",
            hint="weights of maskrcnn_resnet50_fpn and fasterrcnn_resnet50_fpn are read, not those of their v2",
        )
    detector.network.load_state_dict(held)
    return detector


def start_from(network: nn.Module, path: Path) -> Started:
    """Put the weights of a file into a network that will learn other categories, or see other channels.

    network: a two-stage network with the backbone of the file and `norm` "frozen" or "batch"; the norms' numbers mean
    nothing to others. Layers for the categories stay new. The first layer, if it has another number of channels, gets
    the mean over the colours times 3 / channels: an image that is the same in all channels then gives what a grey one
    gave. The proposals' last layers are taken where the anchors are as many: `sides_per_level` 1 or `anchors` "coco".
    Raises FileMissing, WrongFormat, or ModelMismatch where network and file do not belong together.
    """
    held = read_weights(path)
    own = network.state_dict()
    if _FIRST_LAYER not in held or held[_FIRST_LAYER].ndim != 4:
        raise WrongFormat(f"{path} holds no ResNet of torchvision.", hint="give weights of maskrcnn_resnet50_fpn")
    norms = [name for name in own if name.startswith("backbone.body.") and name.endswith(".running_mean")]
    if not norms:
        raise ModelMismatch(
            "The network's norms cannot use those of the file.", hint='build it with norm = "frozen" and a ResNet'
        )
    strange = [name for name in norms if name not in held or held[name].shape != own[name].shape]
    if strange:
        raise ModelMismatch(
            f"The file has no {strange[0]} of the network's size.", hint="build it with the backbone of the file"
        )
    taken, adapted = {}, {}
    for name, value in own.items():
        if name.endswith(_COUNTER) or name.startswith(_OF_CATEGORIES) or name not in held:
            continue
        if held[name].shape == value.shape:
            taken[name] = held[name]
        elif name == _FIRST_LAYER:
            adapted[name] = for_channels(held[name], value.shape[1])
    network.load_state_dict(taken | adapted, strict=False)
    made_new = (name for name in own if name not in taken and name not in adapted and not name.endswith(_COUNTER))
    return Started(tuple(taken), tuple(adapted), tuple(made_new))


def for_channels(weight: Tensor, channels: int) -> Tensor:
    """A first layer's weight [out, channel, y, x] for another number of channels; see `start_from`."""
    return weight.mean(dim=1, keepdim=True).repeat(1, channels, 1, 1) * (weight.shape[1] / channels)


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a .pth or .safetensors file by torchvision's present names.

    torchvision's published weights were learned with norms that add nothing to the variance. Such files, which do not
    count batches, get variances to which the usual 1e-5 can be added.
    Raises FileMissing, or WrongFormat; a pickle that asks for more than tensors is refused before any of it is run.
    """
    if not path.is_file():
        raise FileMissing(f"The weights {path} do not exist.", hint="download them where torchvision's page says")
    held: Mapping[str, Any]
    if path.suffix == ".safetensors":
        _, held = read_tensors(path, hint="copy it again")
    else:
        held = _pickled(path)
    tensors = {_present_name(str(name)): value for name, value in held.items() if isinstance(value, Tensor)}
    if len(tensors) < len(held) or not tensors:
        raise WrongFormat(f"{path} holds no table of weights by name.", hint="save the model's state_dict()")
    if not any(name.endswith(_COUNTER) for name in tensors):
        tensors = {
            name: value - _NORM_EPSILON if name.endswith(".running_var") else value for name, value in tensors.items()
        }
    return {name: value for name, value in tensors.items() if not name.endswith(_COUNTER)}


def _pickled(path: Path) -> Mapping[str, Any]:
    try:
        with warnings.catch_warnings():
            # that a pickle is of an unusual protocol matters to nobody whose weights were read
            warnings.simplefilter("ignore", UserWarning)
            held = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise WrongFormat(
            f"{path} is damaged, or holds more than weights and was not read on.",
            hint="do not trust it; save only the model's state_dict()",
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, IndexError) as error:
        raise WrongFormat(f"{path} is no file of weights: {error}.", hint="copy it again") from error
    # torchvision's training script puts the model beside its optimiser
    inner = held.get("model", held) if isinstance(held, Mapping) else held
    if not isinstance(inner, Mapping):
        raise WrongFormat(f"{path} holds no table of weights by name.", hint="save the model's state_dict()")
    return inner


def _present_name(name: str) -> str:
    for old, new in _OLD_NAMES:
        name = old.sub(new, name)
    return _OLD_MASK_NAME.sub(lambda found: f"{found[1]}.{int(found[2]) - 1}.0.{found[3]}", name)


def _differences(held: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> str:
    """What is missing, of another size, or too much; empty where all fits."""
    for name, value in wanted.items():
        if name not in held:
            return f"it has no {name}"
        if held[name].shape != value.shape:
            return f"its {name} has the shape {tuple(held[name].shape)}, not {tuple(value.shape)}"
    more = sorted(set(held) - set(wanted))
    return f"it also has {more[0]}" if more else ""


def _coco_facts(categories: tuple[str, ...]) -> DataFacts:
    """COCO as torchvision sees it; the sides are those of its anchors, since the images are not at hand."""
    sides = tuple(side for (side,) in COCO_SIDES_PX)
    return DataFacts(
        categories=categories,
        channels=len(IMAGENET_MEAN),
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        box_side_px=(sides[0], *sides, sides[-1]),
        side_by_category_px=(sides[2],) * len(categories),
        most_objects=0,
        height_px=800,
        width_px=1333,
    )
