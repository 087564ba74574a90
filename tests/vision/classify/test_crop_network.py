"""The network of crops: what its sharpening kernels do, what it takes, and how it counts."""

import pytest
import torch

from lsm.vision.classify import KERNELS, CropNetwork, CropNetworkConfig


def crops(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", sorted(KERNELS))
def test_a_kernel_keeps_the_mean_and_adds_what_differs_from_the_neighbours(name: str):
    kernel = torch.tensor(KERNELS[name])
    assert kernel.sum() == 1
    # a slope has no curvature, so there is nothing to sharpen
    slope = torch.arange(25.0).reshape(1, 1, 5, 5)
    seen = torch.nn.functional.conv2d(slope, kernel[None, None])
    assert torch.allclose(seen, slope[:, :, 1:4, 1:4], atol=1e-4)  # sums of ten float32 numbers up to 200


@pytest.mark.parametrize("name", sorted(KERNELS))
def test_the_network_sees_sharpened_crops(name: str):
    plain, sharp = (
        CropNetwork(2, 3, CropNetworkConfig(sharpen=each), counts=False, size=(9, 9)).eval() for each in ("none", name)
    )
    sharp.load_state_dict(plain.state_dict())
    given = crops(4, 2, 9, 9)
    framed = torch.nn.functional.pad(given, (1, 1, 1, 1), mode="replicate")
    # one channel at a time, so that a kernel that mixed channels would show
    by_hand = torch.cat(
        [torch.nn.functional.conv2d(framed[:, k : k + 1], torch.tensor(KERNELS[name])[None, None]) for k in range(2)],
        dim=1,
    )
    with torch.no_grad():
        assert torch.allclose(sharp(given).logits, plain(by_hand).logits, atol=1e-5)  # float32 sums in another order
        assert not torch.allclose(sharp(given).logits, plain(given).logits, atol=1e-3)


@pytest.mark.parametrize("channels", [1, 3, 40])
@pytest.mark.parametrize("size", [(1, 1), (5, 9), (33, 20)])
@pytest.mark.parametrize("count", ["dense", "sum"])
def test_takes_any_channels_and_any_size(channels: int, size: tuple[int, int], count: str):
    network = CropNetwork(channels, 3, CropNetworkConfig(widths=(4, 6), hidden=8, count=count), counts=True, size=size)
    said = network.eval()(crops(2, channels, *size))
    assert said.logits.shape == (2, 3)
    assert said.objects.shape == (2,)


def test_heads_are_those_asked_for():
    config = CropNetworkConfig(widths=(4,), hidden=8)
    namer = CropNetwork(1, 2, config, counts=False, size=(8, 8)).eval()
    counter = CropNetwork(1, 0, config, counts=True, size=(8, 8)).eval()
    assert namer(crops(2, 1, 8, 8)).objects is None
    assert counter(crops(2, 1, 8, 8)).logits is None


def test_a_summed_map_counts_in_proportion_to_the_area():
    network = CropNetwork(1, 0, CropNetworkConfig(widths=(4, 4), hidden=8, count="sum"), counts=True, size=(16, 16))
    network.eval()
    one = torch.full((1, 1, 16, 16), 0.7)
    # zero padding is seen at the edges alone, so the comparison is of the same uniform map
    torch.nn.init.zeros_(network.stages[0][0].weight)
    with torch.no_grad():
        single, four = (float(network(image).objects) for image in (one, one.tile(1, 1, 2, 2)))
    assert four == pytest.approx(4 * single, rel=1e-5)  # float32 sums of 16 and 64 numbers
