"""A bundle is two plain files that belong together, or it is refused."""

import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from lsm.errors import FileMissing, ModelMismatch, WrongFormat
from lsm.illum import LedBoard, bright_field
from lsm.sensing import Bundle, BundleCard

BOARD = LedBoard.grid(rows=3, columns=3, pitch_mm=3.0, distance_mm=50.0)


def card(**changes: object) -> BundleCard:
    table = {
        "name": "example",
        "board_digest": BOARD.digest,
        "camera_digest": "c",
        "system_digest": "s",
        "config_digest": "d",
        "seed": 1,
        "data": "none",
    }
    return BundleCard(**(table | changes))


def bundle(**more: torch.Tensor) -> Bundle:
    levels = torch.zeros(2, 9, dtype=torch.uint8)
    levels[0] = 255
    tensors = {
        "codebook.duty_levels": levels,
        "codebook.exposures_ms": torch.tensor([5.0, 60.0]),
        "classifier.weight": torch.arange(6.0).reshape(2, 3),
    }
    return Bundle.of(card(), tensors | more)


def test_what_is_saved_is_what_is_loaded(tmp_path: Path):
    bundle().save(tmp_path / "m")
    loaded = Bundle.load(tmp_path / "m")
    assert loaded.card == bundle().card
    assert {key: value.tolist() for key, value in loaded.tensors.items()} == {
        key: value.tolist() for key, value in bundle().tensors.items()
    }
    assert sorted(path.name for path in (tmp_path / "m").iterdir()) == ["card.json", "model.safetensors"]


def test_the_same_bundle_is_written_as_the_same_bytes(tmp_path: Path):
    for name in ("a", "b"):
        bundle().save(tmp_path / name)
    for file in ("card.json", "model.safetensors"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_whoever_may_read_the_card_may_read_the_weights(tmp_path: Path):
    bundle().save(tmp_path)
    assert (tmp_path / "model.safetensors").stat().st_mode == (tmp_path / "card.json").stat().st_mode


def test_a_changed_weight_is_noticed(tmp_path: Path):
    bundle().save(tmp_path)
    path = tmp_path / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(WrongFormat, match="do not belong together"):
        Bundle.load(tmp_path)


def test_an_edited_card_is_noticed(tmp_path: Path):
    bundle().save(tmp_path)
    table = json.loads((tmp_path / "card.json").read_text())
    table["figures"] = {"auc": 1.0}
    (tmp_path / "card.json").write_text(json.dumps(table))
    with pytest.raises(WrongFormat, match="do not belong together"):
        Bundle.load(tmp_path)


def test_weights_of_another_training_are_noticed_even_with_their_own_metadata(tmp_path: Path):
    bundle().save(tmp_path)
    other = bundle(**{"classifier.weight": torch.ones(2, 3)})
    other.save(tmp_path / "other")
    os.replace(tmp_path / "other" / "model.safetensors", tmp_path / "model.safetensors")
    with pytest.raises(WrongFormat, match="do not belong together"):
        Bundle.load(tmp_path)


class _Bomb:
    def __reduce__(self) -> tuple[object, ...]:
        return (os.mkdir, ("exploded",))


def test_a_pickle_is_never_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    bundle().save(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(pickle.dumps(_Bomb()))
    with pytest.raises(WrongFormat, match="not a safetensors file"):
        Bundle.load(tmp_path)
    assert not (tmp_path / "exploded").exists()


def test_a_truncated_file_is_refused(tmp_path: Path):
    bundle().save(tmp_path)
    path = tmp_path / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(WrongFormat):
        Bundle.load(tmp_path)


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(FileMissing, match=r"card\.json"):
        Bundle.load(tmp_path)


def test_another_format_version_is_a_mismatch(tmp_path: Path):
    bundle().save(tmp_path)
    table = json.loads((tmp_path / "card.json").read_text())
    table["format_version"] = 99
    (tmp_path / "card.json").write_text(json.dumps(table))
    with pytest.raises(ModelMismatch, match="format 99"):
        Bundle.load(tmp_path)


@pytest.mark.parametrize(
    "wrong",
    [
        {"codebook.exposures_ms": torch.tensor([5.0])},
        {"codebook.exposures_ms": torch.tensor([5.0, 0.0])},
        {"codebook.duty_levels": torch.zeros(2, 9)},
        {"finder.weight": torch.tensor([float("nan")])},
        {"finder.weight": torch.zeros(300_000)},
    ],
    ids=["too few exposures", "exposure of zero", "levels that are no bytes", "not a number", "too large"],
)
def test_tensors_that_cannot_be_right_are_refused(wrong: dict[str, torch.Tensor]):
    with pytest.raises(WrongFormat):
        bundle(**wrong)


def test_an_impossible_codebook_is_refused_on_loading_too(tmp_path: Path):
    bundle().save(tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    del tensors["codebook.exposures_ms"]
    save_file(tensors, tmp_path / "model.safetensors", metadata={"provenance": bundle().card.provenance_digest()})
    with pytest.raises(WrongFormat):
        Bundle.load(tmp_path)


def test_the_codebook_comes_out_as_patterns_of_its_board():
    patterns = bundle().patterns(BOARD)
    assert patterns[0] == bright_field(BOARD, na=1.0)
    assert patterns[1].total_duty == 0


def test_another_board_or_camera_is_a_mismatch():
    other = LedBoard.grid(rows=3, columns=3, pitch_mm=4.0, distance_mm=50.0)
    with pytest.raises(ModelMismatch, match="LED board"):
        bundle().patterns(other)
    with pytest.raises(ModelMismatch, match="camera"):
        bundle().require(board=BOARD, camera_digest="another")
    bundle().require(board=BOARD, camera_digest="c", system_digest="s")


def test_a_part_is_replaced_as_a_whole_in_a_copy():
    first = bundle().with_part("policy", {"a": torch.ones(2), "b": torch.ones(1)})
    second = first.with_part("policy", {"a": torch.zeros(2)}, figures={"reward": 0.5})
    assert set(second.select("policy")) == {"a"}
    assert set(first.select("policy")) == {"a", "b"}
    assert second.card.figures == {"reward": 0.5}
    assert second.card.weights_digest != first.card.weights_digest


def test_a_missing_part_is_a_mismatch():
    with pytest.raises(ModelMismatch, match="no part 'policy'"):
        bundle().select("policy")


def test_the_tensors_of_a_bundle_cannot_be_exchanged_and_are_copies():
    weight = torch.ones(2)
    made = bundle(**{"finder.weight": weight})
    weight.zero_()
    assert np.array_equal(made.arrays("finder")["weight"], [1, 1])
    with pytest.raises(TypeError):
        made.tensors["finder.weight"] = weight
