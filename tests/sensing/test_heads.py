"""The classifier sees the right crop, and nothing of a capture that was not taken."""

import pytest
import torch

from lsm.sensing.heads import CellClassifier, ClassifierConfig, crop_cells, n_parameters, random_subsets


def test_the_classifier_is_small():
    assert n_parameters(CellClassifier(4, ClassifierConfig())) <= 60_000


@pytest.mark.parametrize(("x_px", "y_px"), [(10.0, 20.0), (10.4, 19.6), (31.0, 0.0), (0.0, 31.0)])
def test_a_crop_is_centred_on_its_cell_within_half_a_pixel(x_px: float, y_px: float):
    rows, columns = torch.meshgrid(torch.arange(32.0), torch.arange(32.0), indexing="ij")
    images = torch.stack([rows, columns])[None]
    crop = crop_cells(images, torch.tensor([0]), torch.tensor([x_px]), torch.tensor([y_px]), size_px=8)[0]
    inside = crop[:, 3:5, 3:5]
    if 4 <= x_px <= 27 and 4 <= y_px <= 27:
        assert abs(float(inside[0].mean()) - y_px) <= 0.5
        assert abs(float(inside[1].mean()) - x_px) <= 0.5
    assert crop.min() >= 0
    assert crop.max() <= 31


def test_crops_come_from_the_named_field():
    images = torch.stack([torch.zeros(1, 16, 16), torch.ones(1, 16, 16)])
    where = torch.tensor([8.0, 8.0])
    crops = crop_cells(images, torch.tensor([1, 0]), where, where, size_px=8)
    assert crops[:, 0, 0, 0].tolist() == [1.0, 0.0]


def test_no_cell_gives_no_crop():
    empty = torch.zeros(0)
    assert crop_cells(torch.zeros(1, 3, 16, 16), empty.long(), empty, empty, size_px=8).shape == (0, 3, 8, 8)


def test_a_missing_capture_cannot_change_the_score():
    network = CellClassifier(3, ClassifierConfig()).eval()
    crops = torch.randn(5, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    present = torch.tensor([True, False, True]).expand(5, 3)
    scrambled = crops.clone()
    scrambled[:, 1] = 1e3
    assert torch.equal(network(crops, present), network(scrambled, present))
    assert not torch.equal(network(crops, present), network(crops, torch.ones(5, 3, dtype=torch.bool)))


def test_random_subsets_are_never_empty_and_of_every_size():
    subsets = random_subsets(2000, 4, torch.Generator().manual_seed(0))
    sizes = subsets.sum(dim=1)
    counts = torch.bincount(sizes, minlength=5)
    assert counts[0] == 0
    # 500 expected of each size, standard deviation 19
    assert counts[1:].min() > 400
