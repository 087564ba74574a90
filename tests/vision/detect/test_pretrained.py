"""Weights of torchvision, from files made here in their form."""

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from ring_images import outlines, ring_facts
from safetensors.torch import save_file
from torch import Tensor, nn
from torchvision.models.detection import FasterRCNN, maskrcnn_resnet50_fpn
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
from torchvision.ops import FrozenBatchNorm2d

from lsm.errors import FileMissing, ModelMismatch, WrongFormat
from lsm.vision.detect.pretrained import coco_categories, coco_detector, for_channels, read_weights, start_from
from lsm.vision.detect.two_stage import FasterRcnnConfig, MaskRcnnConfig

N_LABELS = 91
SIZES = {"min_size": 96, "max_size": 160, "box_detections_per_img": 20}


def lively(network: nn.Module) -> nn.Module:
    """New weights give all regions the same name with no confidence, and their norms do nothing."""
    told = []
    last = network.roi_heads.box_predictor.cls_score
    watch = last.register_forward_hook(lambda _layer, _given, odds: told.append(odds))
    network.eval()
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d | FrozenBatchNorm2d):
                module.running_var.uniform_(0.5, 2.0)
                module.running_mean.normal_(std=0.1)
                module.weight.fill_(0.5)
        network([colours()])
        spread = 3.0 / told[0].std(dim=0)
        last.weight.mul_(spread[:, None])
        last.bias.copy_((last.bias - told[0].mean(dim=0)) * spread)
    watch.remove()
    return network


@pytest.fixture(scope="module")
def own_mask_rcnn() -> nn.Module:
    """As torchvision makes it: batch norms, which count batches."""
    torch.manual_seed(3)
    return lively(maskrcnn_resnet50_fpn(weights=None, weights_backbone=None, **SIZES))


@pytest.fixture(scope="module")
def mask_file(own_mask_rcnn: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "maskrcnn.pth"
    torch.save(own_mask_rcnn.state_dict(), path)
    return path


def colours(seed: int = 0) -> Tensor:
    return torch.rand(3, 90, 120, generator=torch.Generator().manual_seed(seed))


def same_finds(own: nn.Module, path: Path, names: tuple[str, ...]) -> None:
    pixels = colours()
    detector = coco_detector(path, detections=20, resize=(96, 160))
    normal = (pixels - torch.tensor(detector.facts.mean)[:, None, None]) / torch.tensor(detector.facts.std)[
        :, None, None
    ]
    with torch.no_grad():
        theirs, ours = own([pixels])[0], detector.network([normal])[0]
    assert len(theirs["boxes"]) > 3
    if "masks" in names:
        same_outlines(ours, theirs)
    for name in set(names) - {"masks"}:
        # the same float32 operations in another module
        torch.testing.assert_close(ours[name], theirs[name], rtol=1e-4, atol=1e-4)
    found = detector.predict([pixels.numpy()])[0]
    named = [coco_categories()[k] for k in found.category]
    assert named == [detector.facts.categories[k - 1] for k in theirs["labels"].tolist()]


def same_outlines(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> None:
    """Inside their boxes; torchvision's also reach a little beyond, and may be nothing where ours keep a pixel."""
    whole = outlines(ours, (90, 120))
    for k, (x0, y0, x1, y1) in enumerate(ours["mask_boxes"].tolist()):
        piece = theirs["masks"][k, 0, y0:y1, x0:x1]
        wanted = piece >= piece.max().clamp(max=0.5)
        # where the same float32 operations in another module are on the other side of a half
        unsure = (piece - 0.5).abs() < 1e-4
        assert torch.equal(whole[k, y0:y1, x0:x1] | unsure, wanted | unsure)


def test_it_finds_what_torchvision_finds(own_mask_rcnn: nn.Module, mask_file: Path):
    same_finds(own_mask_rcnn, mask_file, ("boxes", "labels", "scores", "masks"))


def test_the_published_form_has_old_names_and_norms_without_epsilon(tmp_path: Path):
    """As the published file: its norms add nothing to variances as small as 1e-5, and do not count batches."""
    torch.manual_seed(4)
    backbone = resnet_fpn_backbone(backbone_name="resnet50", weights=None, norm_layer=FrozenBatchNorm2d)
    for module in backbone.modules():
        if isinstance(module, FrozenBatchNorm2d):
            module.eps = 0.0
    own = lively(FasterRCNN(backbone, N_LABELS, **SIZES))
    own.backbone.body.bn1.running_var.fill_(2e-5)
    own.backbone.body.bn1.weight.fill_(2e-3)
    held = {old_name(name): value for name, value in own.state_dict().items()}
    assert {"rpn.head.conv.weight", "backbone.fpn.inner_blocks.0.bias"} <= set(held)
    save_file(held, tmp_path / "faster.safetensors")
    same_finds(own, tmp_path / "faster.safetensors", ("boxes", "labels", "scores"))


def old_name(name: str) -> str:
    if name.startswith("rpn.head.conv.0.0."):
        return name.replace(".0.0.", ".")
    if name.startswith("backbone.fpn."):
        head, number, _, kind = name.rsplit(".", 3)
        return f"{head}.{number}.{kind}"
    return name


def test_old_names_of_mask_layers(tmp_path: Path):
    held = {"roi_heads.mask_head.mask_fcn3.weight": torch.ones(2), "x.num_batches_tracked": torch.tensor(1)}
    torch.save({"model": held, "epoch": 3}, tmp_path / "training.pth")
    assert list(read_weights(tmp_path / "training.pth")) == ["roi_heads.mask_head.2.0.weight"]


def test_names_of_coco():
    names = coco_categories()
    assert len(names) == len(set(names)) == N_LABELS - 1
    assert (names[0], names[-1], names[11]) == ("person", "toothbrush", "unused 12")


def test_another_network_starts_from_it(mask_file: Path):
    config = MaskRcnnConfig(norm="frozen", anchors="coco")
    torch.manual_seed(5)
    network = config.build(ring_facts(channels=2)).eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    started = start_from(network, mask_file)
    after, held = network.state_dict(), read_weights(mask_file)
    assert started.adapted == ("backbone.body.conv1.weight",)
    assert set(started.made_new) == {
        f"roi_heads.{layer}.{kind}"
        for layer in ("box_predictor.cls_score", "box_predictor.bbox_pred", "mask_predictor.mask_fcn_logits")
        for kind in ("weight", "bias")
    }
    assert set(started.taken) | set(started.adapted) | set(started.made_new) == set(after)
    assert all(torch.equal(after[name], held[name]) for name in started.taken)
    assert all(torch.equal(after[name], before[name]) for name in started.made_new)


def test_a_grey_image_in_any_number_of_channels_gives_the_same():
    weight = torch.randn(4, 3, 7, 7, generator=torch.Generator().manual_seed(0))
    grey = torch.randn(1, 1, 16, 16, generator=torch.Generator().manual_seed(1))
    wanted = nn.functional.conv2d(grey.expand(-1, 3, -1, -1), weight)
    for channels in (1, 3, 40):
        found = nn.functional.conv2d(grey.expand(-1, channels, -1, -1), for_channels(weight, channels))
        # sums of 147 to 1960 float32 products
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("options", "says"),
    [({"norm": "group"}, "norms"), ({"norm": "frozen", "backbone": "resnet18"}, r"layer2\.0\.downsample")],
)
def test_a_network_that_cannot_use_it_is_refused(mask_file: Path, options: dict, says: str):
    network = FasterRcnnConfig.from_table(options | {"head_width": 8}).build(ring_facts())
    with pytest.raises(ModelMismatch, match=says):
        start_from(network, mask_file)


class Planted:
    """Writes a file as soon as its pickle is loaded without care."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return Path.write_text, (self.path, "run")


def test_a_pickle_with_code_is_refused_and_not_run(tmp_path: Path):
    sign = tmp_path / "sign"
    held = {"backbone.body.conv1.weight": torch.zeros(64, 3, 7, 7), "more": Planted(sign)}
    torch.save(held, tmp_path / "planted.pth")
    (tmp_path / "bare.pth").write_bytes(pickle.dumps(held))
    for name in ("planted.pth", "bare.pth"):
        with pytest.raises(WrongFormat, match=name):
            read_weights(tmp_path / name)
    assert not sign.exists()
    # the same pickle does write when it is loaded without care, so the test could have failed
    pickle.loads((tmp_path / "bare.pth").read_bytes())  # noqa: S301
    assert sign.read_text() == "run"


def test_files_that_are_no_such_weights_are_refused_by_name(tmp_path: Path):
    with pytest.raises(FileMissing, match="absent"):
        read_weights(tmp_path / "absent.pth")
    for name, held in {"list.pth": [1, 2], "number.pth": {"a": 1}, "empty.pth": {}}.items():
        torch.save(held, tmp_path / name)
        with pytest.raises(WrongFormat, match=name):
            read_weights(tmp_path / name)
    for name in ("noise.pth", "noise.safetensors", "short.pth"):
        (tmp_path / name).write_bytes(b"" if name == "short.pth" else np.arange(64, dtype=np.uint8).tobytes())
        with pytest.raises(WrongFormat, match=name):
            read_weights(tmp_path / name)
    torch.save({"weight": torch.zeros(3)}, tmp_path / "other.pth")
    with pytest.raises(WrongFormat, match=r"other\.pth tells 0 labels apart"):
        coco_detector(tmp_path / "other.pth")
    with pytest.raises(WrongFormat, match="ResNet"):
        start_from(FasterRcnnConfig(backbone="tiny").build(ring_facts()), tmp_path / "other.pth")
    torch.save({"roi_heads.box_predictor.cls_score.weight": torch.zeros(91, 4)}, tmp_path / "part.pth")
    with pytest.raises(WrongFormat, match=r"it has no backbone"):
        coco_detector(tmp_path / "part.pth")


def test_weights_of_fewer_categories_are_not_coco(tmp_path: Path):
    torch.save({"roi_heads.box_predictor.cls_score.weight": torch.zeros(4, 8)}, tmp_path / "cells.pth")
    with pytest.raises(WrongFormat, match="4 labels"):
        coco_detector(tmp_path / "cells.pth")
