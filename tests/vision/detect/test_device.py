"""A detector computes where its user says, and refuses devices that are not there.

torch's device "meta", whose tensors have no numbers, stands for a device beside the processor: what is given to a
network there is seen to be there.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from lsm.errors import InputError
from lsm.sensing.checkpoint import Trainee
from lsm.vision.data import AnnotatedImage, AnnotatedSet, Mask, Objects
from lsm.vision.detect import DataFacts, Detector, FitConfig, ModelConfig, detector, device_of
from lsm.vision.detect.grid import GridConfig
from lsm.vision.detect.live.export import grid_of
from lsm.vision.detect.models import MODELS

SHORT = FitConfig(steps=4, images_per_step=2, checkpoint_every=2)


def squares(images: int) -> AnnotatedSet:
    """One bright square in each image, with its outline."""
    rng = np.random.default_rng(0)
    held = []
    for k in range(images):
        pixels = (0.1 * rng.random((1, 64, 64))).astype(np.float32)
        x, y = rng.integers(0, 48, 2)
        pixels[:, y : y + 16, x : x + 16] += 0.7
        mask = Mask(int(y), int(x), np.ones((16, 16), dtype=bool))
        objects = Objects(np.array([[x, y, x + 16, y + 16]], dtype=np.float64), np.zeros(1, dtype=np.int64), (mask,))
        held.append(AnnotatedImage.of(f"image {k}", pixels, objects))
    return AnnotatedSet(tuple(held), ("square",))


@pytest.mark.parametrize("name", ["", "gpu", "tpu", "meta", "mps", "cpu:1", "cuda:", "cuda:-1", "CUDA", "cuda:1 "])
def test_unknown_devices_are_refused(name: str):
    with pytest.raises(InputError, match=f"There is no device '{name}'") as refused:
        device_of(name)
    assert refused.value.hint


def test_absent_devices_are_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for name in ("cuda", "cuda:0", "cuda:1"):
        with pytest.raises(InputError, match=f"'{name}': torch finds no CUDA devices"):
            device_of(name)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert device_of("cuda") == torch.device("cuda")
    assert device_of("cuda:1") == torch.device("cuda", 1)
    with pytest.raises(InputError, match="'cuda:2': torch finds 2 CUDA devices") as refused:
        device_of("cuda:2")
    assert refused.value.hint == "the last is cuda:1"


def test_a_refused_device_changes_nothing():
    data = squares(2)
    refusing = Detector.of(GridConfig(width=8), data)
    with pytest.raises(InputError, match="no device"):
        refusing.to("cuda:99")
    assert refusing.device == torch.device("cpu")
    assert len(refusing.predict([data.images[0].pixels()])) > 0


def test_the_processor_by_name_is_the_usual_one(tmp_path: Path):
    data = squares(4)
    known, named = (Detector.of(GridConfig(width=8), data, seed=1) for _ in range(2))
    assert named.to("cpu") is named
    assert known.fit(data, fit=SHORT).losses == named.fit(data, fit=SHORT).losses
    assert known.evaluate(data) == named.evaluate(data)
    named.save(tmp_path / "file")
    weights = load_file(tmp_path / "file")
    assert all(torch.equal(weights[name], value) for name, value in known.network.state_dict().items())


class Watching(nn.Module):
    """Says on which devices it was given what, and finds one object everywhere."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(3))
        self.register_buffer("mean", torch.zeros(3))
        self.given: set[tuple[str, str]] = set()

    def forward(self, images: list[Tensor], targets: list[dict[str, Tensor]] | None = None) -> Any:
        self.given |= {("images", each.device.type) for each in images}
        for target in targets or []:
            self.given |= {(name, value.device.type) for name, value in target.items()}
        if self.training:
            return {"loss": torch.ones((), requires_grad=True)}
        return [{"boxes": torch.tensor([[0.0, 0, 9, 9]]), "labels": torch.tensor([1]), "scores": torch.tensor([0.9])}]


class WatchingConfig(ModelConfig):
    kind: str = "watching"
    detections: int = 10

    def build(self, facts: DataFacts) -> Watching:
        return Watching()


def test_a_network_is_given_everything_on_its_device(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    data = squares(4)
    monkeypatch.setattr(detector, "device_of", torch.device)
    made = Detector.of(WatchingConfig(), data).to("meta")
    network = made.network
    assert isinstance(network, Watching)
    made.fit(data, fit=SHORT)
    assert network.given == {(name, "meta") for name in ("images", "boxes", "labels", "masks")}
    assert {value.device.type for value in network.state_dict().values()} == {"meta"}
    network.given.clear()
    assert len(made.predict([data.images[0].pixels()])[0]) == 1
    assert network.given == {("images", "meta")}
    # nothing stays in the network that moves what it is given
    assert not network._forward_pre_hooks


def test_a_state_goes_on_where_the_network_is(tmp_path: Path):
    def trainee(device: str) -> Trainee:
        layer = nn.Linear(2, 1).to(device)
        run = Trainee({"layer": layer}, torch.optim.AdamW(layer.parameters()), torch.Generator(), digest="one")
        run.more = {"mean": torch.zeros(2, device=device)}
        return run

    first = trainee("cpu")
    first.modules["layer"](torch.ones(1, 2)).sum().backward()
    first.optimizer.step()
    first.more["told"] = torch.ones(1)
    first.save(tmp_path / "state")
    moved = trainee("meta")
    with pytest.warns(UserWarning, match="no-op"):
        # torch says of every weight that one without numbers takes none
        assert moved.restore(tmp_path / "state")
    (parameter, *_) = moved.optimizer.param_groups[0]["params"]
    assert {key: value.device.type for key, value in moved.optimizer.state[parameter].items()} == {
        "step": "cpu",
        "exp_avg": "meta",
        "exp_avg_sq": "meta",
    }
    assert {name: value.device.type for name, value in moved.more.items()} == {"mean": "meta", "told": "cpu"}


def test_what_is_exported_is_on_the_processor():
    made = Detector.of(GridConfig(width=8), squares(2))
    assert grid_of(made) is made.network
    made.device = torch.device("cuda")
    copy = grid_of(made)
    assert copy is not made.network
    assert all(torch.equal(value, made.network.state_dict()[name]) for name, value in copy.state_dict().items())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("kind", MODELS)
def test_every_network_learns_and_searches_on_a_card(kind: str, tmp_path: Path):
    data = squares(4)
    options = {"kind": kind} | ({"width": 8} if kind == "grid" else {"backbone": "tiny", "pyramid_channels": 32})
    made = Detector.of(detector.model_of(options), data).to("cuda")
    record = made.fit(data, fit=SHORT, checkpoint=tmp_path / "c")
    assert all(np.isfinite(loss) for tenth in record.losses for loss in tenth.values())
    made.save(tmp_path / "file")
    again = Detector.load(tmp_path / "file")
    pixels = data.images[0].pixels()
    there, here = made.predict([pixels])[0], again.predict([pixels])[0]
    # float32 sums in another order, in TF32 where the card has it
    np.testing.assert_allclose(there.score[:3], here.score[:3], atol=0.02)
    # a state of the card goes on on the processor
    again = Detector.of(detector.model_of(options), data)
    again.fit(data, fit=SHORT, checkpoint=tmp_path / "c")
    # the card's weights, and no further step
    assert all(
        torch.equal(value, made.network.state_dict()[name].cpu()) for name, value in again.network.state_dict().items()
    )
