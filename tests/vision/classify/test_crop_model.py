"""Models of crops: they learn what they are shown, go on after a stop, and are files that execute nothing."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from crop_phantoms import shapes
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from lsm.errors import ConfigError, FileMissing, InputError, LsmError, ModelMismatch, WrongFormat
from lsm.vision.classify import (
    CropAugmentConfig,
    CropFitConfig,
    CropModel,
    CropNetworkConfig,
    CropSet,
)

SMALL = CropNetworkConfig(widths=(8, 16), hidden=16)
SHORT = CropFitConfig(epochs=2, crops_per_step=16)


def weights(model: CropModel) -> dict[str, torch.Tensor]:
    return model.network.state_dict()


def same(one: CropModel, other: CropModel) -> bool:
    return all(torch.equal(value, weights(other)[key]) for key, value in weights(one).items())


@pytest.mark.parametrize("sharpen", ["none", "cross"])
def test_learns_to_tell_rings_from_discs(sharpen: str):
    data = shapes(200, side_px=16)
    model = CropModel.of(data, SMALL.model_copy(update={"sharpen": sharpen}), seed=1)
    record = model.fit(data, fit=CropFitConfig(epochs=14, crops_per_step=20))
    assert record.losses[-1] < record.losses[0] / 2
    scores = model.evaluate(shapes(200, side_px=16, seed=1), draws=50)
    assert scores.counted is None
    assert scores.named is not None
    assert scores.named.groups == 50
    # chance is 0.5; both shapes have the same area and contrast
    assert scores.named.accuracy > 0.95


@pytest.mark.parametrize("count", ["dense", "sum"])
def test_learns_to_name_and_count_at_once(count: str):
    data = shapes(400, side_px=20, counted=True)
    model = CropModel.of(data, SMALL.model_copy(update={"count": count, "dropout": 0.1}))
    model.fit(data, fit=CropFitConfig(epochs=12, crops_per_step=20, learning_rate=5e-3))
    scores = model.evaluate(shapes(200, side_px=20, seed=1, counted=True), draws=0)
    assert scores.counted is not None
    assert scores.counted.r2 is not None
    assert scores.counted.r2 > 0.7
    # a sixth of the crops are empty, and so is what they tell of their class
    assert scores.named is not None
    assert scores.named.accuracy > 0.75


def test_an_untrained_counter_says_about_the_mean():
    data = shapes(40, counted=True)
    data = CropSet(data.images, count=data.count)
    said = CropModel.of(data, SMALL).predict(data)
    assert data.count is not None
    assert said.count is not None
    assert said.count.mean() == pytest.approx(data.count.mean(), rel=0.5)
    with pytest.raises(InputError, match="does not name"):
        _ = said.category


def test_same_seeds_same_weights():
    data = shapes(48)
    models = [CropModel.of(data, SMALL, seed=seed) for seed in (3, 3, 4)]
    assert same(models[0], models[1])
    assert not same(models[0], models[2])
    for model, seed in zip(models[:2], (1, 1), strict=True):
        model.fit(data, fit=SHORT.model_copy(update={"seed": seed}))
    assert same(models[0], models[1])
    other = CropModel.of(data, SMALL, seed=3)
    other.fit(data, fit=SHORT.model_copy(update={"seed": 2}))
    assert not same(models[0], other)


def test_a_stopped_run_goes_on_to_the_same_weights(tmp_path: Path):
    data = shapes(48)
    fit = SHORT.model_copy(update={"epochs": 4})
    whole, stopped, resumed = (CropModel.of(data, SMALL) for _ in range(3))
    whole.fit(data, fit=fit)
    stopped.fit(data, fit=fit, checkpoint=tmp_path / "state", stop_at=2)
    assert not same(whole, stopped)
    record = resumed.fit(data, fit=fit, checkpoint=tmp_path / "state")
    assert len(record.losses) == 2
    assert same(whole, resumed)
    with pytest.raises(ModelMismatch, match="another configuration"):
        CropModel.of(data, SMALL).fit(shapes(48, seed=9), fit=fit, checkpoint=tmp_path / "state")


def test_what_is_saved_is_what_is_loaded(tmp_path: Path):
    data = shapes(48, channels=3, counted=True)
    model = CropModel.of(data, SMALL.model_copy(update={"sharpen": "square"}))
    model.fit(data, fit=SHORT)
    model.save(str(tmp_path / "new" / "model.safetensors"))
    state = torch.random.get_rng_state()
    loaded = CropModel.load(str(tmp_path / "new" / "model.safetensors"))
    assert torch.equal(state, torch.random.get_rng_state())
    assert loaded.facts == model.facts
    assert loaded.config == model.config
    ours, theirs = model.predict(data), loaded.predict(data)
    assert ours.probability is not None
    assert ours.count is not None
    assert np.array_equal(ours.probability, theirs.probability)
    assert np.array_equal(ours.count, theirs.count)
    assert ours.probability.sum(axis=1) == pytest.approx(1)
    assert [each.name for each in (tmp_path / "new").iterdir()] == ["model.safetensors"]


def test_many_channels_and_sixteen_bits():
    data = shapes(16, channels=40)
    sixteen = CropSet((data.images * 30000).astype(np.uint16), data.categories, category=data.category)
    for held in (data, sixteen):
        model = CropModel.of(held, SMALL)
        model.fit(held, fit=SHORT)
        assert model.predict(held).category.shape == (16,)
    # a dead channel and one that is the same everywhere leave numbers finite
    flat = CropSet(np.zeros((4, 2, 8, 8), np.uint8), ("a", "b"), category=np.arange(4) % 2)
    said = CropModel.of(flat, SMALL).predict(flat)
    assert said.probability is not None
    assert np.isfinite(said.probability).all()


def test_crops_of_another_size_and_no_crops():
    model = CropModel.of(shapes(8), SMALL)
    assert model.predict(shapes(3, side_px=33)).category.shape == (3,)
    said = model.predict(np.zeros((0, 1, 24, 24), np.float32))
    assert said.probability is not None
    assert said.probability.shape == (0, 2)


def test_refuses_crops_that_it_was_not_made_for():
    data = shapes(8)
    model = CropModel.of(data, SMALL)
    with pytest.raises(WrongFormat, match="3 channels, the model takes 1"):
        model.predict(np.zeros((1, 3, 24, 24), np.float32))
    with pytest.raises(InputError, match="neither class nor count"):
        CropModel.of(CropSet(data.images))
    with pytest.raises(InputError, match="There are no crops"):
        CropModel.of(data.where(np.zeros(8, dtype=bool)))
    with pytest.raises(InputError, match="lack a class"):
        model.fit(CropSet(data.images))
    with pytest.raises(ModelMismatch, match="other classes"):
        model.fit(CropSet(data.images, ("x", "y"), category=data.category))
    with pytest.raises(ModelMismatch, match="other classes"):
        model.evaluate(CropSet(data.images, ("x", "y"), category=data.category))
    with pytest.raises(InputError, match="no label"):
        model.evaluate(CropSet(data.images, count=np.ones(8)))
    with pytest.raises(ConfigError, match="1 crops cannot be trained on"):
        model.fit(data.where(np.array([0])))


def test_refuses_to_turn_crops_whose_objects_are_counted():
    data = shapes(8, counted=True)
    for config in (CropAugmentConfig(), CropAugmentConfig(turn="quarter", scale=(0.9, 1))):
        with pytest.raises(ConfigError, match="and the count"):
            CropModel.of(data, SMALL).fit(data, fit=CropFitConfig(augment=config))


def test_a_diverging_training_says_so():
    data = shapes(8)
    wild = CropSet(data.images * np.float32(3e38), data.categories, category=data.category)
    model = CropModel.of(data, SMALL)
    with pytest.raises(InputError, match="not finite"):
        model.fit(wild, fit=SHORT)


def test_balanced_training_does_not_give_up_on_a_rare_class():
    rng = np.random.default_rng(0)
    category = (np.arange(400) % 20 == 0).astype(np.int64)
    images = rng.normal(0, 1, (400, 1, 4, 4)).astype(np.float32) + 0.25 * category[:, None, None, None]
    data = CropSet(images, ("often", "seldom"), category=category)
    recall = {}
    for balanced in (False, True):
        model = CropModel.of(data, CropNetworkConfig(widths=(4,), hidden=4, dropout=0))
        model.fit(data, fit=CropFitConfig(epochs=8, crops_per_step=40, balanced=balanced))
        named = model.evaluate(data, draws=0).named
        assert named is not None
        recall[balanced] = named.classes[1].recall
    assert recall[True] > recall[False] + 0.3


def saved(folder: Path) -> Path:
    path = folder / "model.safetensors"
    CropModel.of(shapes(8), SMALL).save(path)
    return path


def test_a_damaged_or_edited_file_is_refused(tmp_path: Path):
    path = saved(tmp_path)
    content = path.read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(60):
        place = int(rng.integers(len(content)))
        path.write_bytes(content[:place] + bytes([content[place] ^ int(rng.integers(1, 256))]) + content[place + 1 :])
        with pytest.raises(LsmError):
            CropModel.load(path)
    for end in (0, 4, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:end])
        with pytest.raises(WrongFormat):
            CropModel.load(path)


def test_a_file_cannot_ask_for_more_memory_than_it_brings(tmp_path: Path):
    path = saved(tmp_path)
    tensors = load_file(path)
    with safe_open(path, framework="pt") as held:
        header = json.loads(held.metadata()["lsm"])
    header["network"] |= {"widths": [512] * 8, "grid": 16, "hidden": 2048}
    model = CropModel.load(path)
    huge = CropNetworkConfig.from_table(header["network"])
    # an honest digest, so that only the shapes give it away
    from lsm.vision.classify.model import _contents

    header["contents"] = _contents(tensors, model.facts, huge)
    save_file(tensors, path, metadata={"lsm": json.dumps(header)})
    with pytest.raises(ModelMismatch, match="another network"):
        CropModel.load(path)


def test_a_pickle_is_not_opened(tmp_path: Path):
    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[str, ...]]:
            return Path.touch, (tmp_path / "fired",)

    path = tmp_path / "model.safetensors"
    path.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(WrongFormat, match="not a safetensors file"):
        CropModel.load(path)
    assert not (tmp_path / "fired").exists()
    with pytest.raises(FileMissing):
        CropModel.load(tmp_path / "nowhere")


def test_other_safetensors_files_are_told_apart(tmp_path: Path):
    path = tmp_path / "other.safetensors"
    save_file({"a": torch.zeros(2)}, path)
    with pytest.raises(WrongFormat, match="not a model of crops"):
        CropModel.load(path)
    save_file({"a": torch.zeros(2)}, path, metadata={"lsm": '{"format": "lsm crop model 7"}'})
    with pytest.raises(ModelMismatch, match="lsm crop model 7"):
        CropModel.load(path)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
def test_pixels_that_are_not_finite_are_refused(value: float):
    data = shapes(20, side_px=16)
    model = CropModel.of(data, SMALL)
    images = data.images.astype(np.float64)
    images[3, 0, 2, 2] = value
    with np.errstate(over="ignore"), pytest.raises(WrongFormat, match="not finite"):
        model.predict(images)


def test_raw_bytes_of_crops_are_parts_of_their_largest():
    data = shapes(20, side_px=16)
    model = CropModel.of(data, SMALL)
    raw = np.round(data.images * 255).clip(0, 255).astype(np.uint8)
    whole, parts = model.predict(raw).probability, model.predict(raw.astype(np.float32) / 255).probability
    assert whole is not None
    assert parts is not None
    # bytes are divided in float32 by NumPy or torch
    assert np.allclose(whole, parts, atol=1e-6)
