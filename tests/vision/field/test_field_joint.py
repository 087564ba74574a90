"""Light and detector learned together on whole fields: gradients reach the LEDs, and learning goes the right way."""

from pathlib import Path

import numpy as np
import pytest
import torch
from field_phantoms import RIG, phantoms
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

from lsm.errors import InputError, ModelMismatch
from lsm.sensing.cells.pupil import PupilConfig
from lsm.sensing.clock import Clock
from lsm.sensing.illumination import turn
from lsm.vision.detect.detector import Detector
from lsm.vision.detect.grid import GridConfig
from lsm.vision.field import (
    FieldLightConfig,
    FieldModel,
    FieldTraining,
    LedFields,
    Scene,
    annotated_fields,
    counting_thresholds,
    train_fields,
)
from lsm.vision.field.joint import turned_boxes

GRID = GridConfig(width=8, depth=0)
SHORT = FieldTraining(steps=3, fields_per_step=2, crop_px=24, checkpoint_every=1)


@pytest.fixture(scope="module")
def fields(tmp_path_factory: pytest.TempPathFactory) -> LedFields:
    return LedFields.cached(phantoms(slides=3, masks=False), RIG, tmp_path_factory.mktemp("fields"))


def model(fields: LedFields, seed: int = 1, **light: object) -> tuple[FieldModel, torch.Generator]:
    generator = torch.Generator().manual_seed(seed)
    return FieldModel(RIG, FieldLightConfig.model_validate(light), fields, generator, model=GRID), generator


@given(
    symmetry=st.integers(0, 7), x=st.integers(0, 20), y=st.integers(0, 10), w=st.integers(1, 10), h=st.integers(1, 6)
)
def test_boxes_turn_as_their_pixels_do(symmetry: int, x: int, y: int, w: int, h: int):
    # quarter turns are for squares
    size = (30, 30) if symmetry % 2 else (16, 30)
    image = torch.zeros(size)
    image[y : y + h, x : x + w] = 1
    turned = turn(image, symmetry)
    box = turned_boxes(np.array([[x, y, x + w, y + h]], dtype=np.float64), size, symmetry)[0]
    rows, columns = np.flatnonzero(turned.any(dim=1).numpy()), np.flatnonzero(turned.any(dim=0).numpy())
    assert box.tolist() == [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]


def test_the_same_seed_gives_the_same_weights_and_light(fields: LedFields):
    runs = []
    for _ in range(2):
        trained, generator = model(fields)
        losses = train_fields(trained, fields, SHORT, generator)
        runs.append((losses, trained.light.illumination.levels(), trained.state_dict()))
    assert runs[0][0] == runs[1][0]
    assert torch.equal(runs[0][1], runs[1][1])
    assert all(torch.equal(value, runs[1][2][name]) for name, value in runs[0][2].items())


def test_an_interrupted_run_goes_on_as_if_it_had_not_been(fields: LedFields, tmp_path: Path):
    whole, generator = model(fields)
    losses = train_fields(whole, fields, SHORT, generator)

    def stop(_: float) -> None:
        nonlocal steps
        steps += 1
        if steps == 3:
            raise KeyboardInterrupt

    steps = 0
    path = tmp_path / "run.safetensors"
    broken, generator = model(fields)
    with pytest.raises(KeyboardInterrupt):
        train_fields(broken, fields, SHORT, generator, checkpoint=path, digest="one", advance=stop)
    before_s = float(load_file(path)["more.clock"][1])
    again, generator = model(fields)
    timed, alone = Clock(), Clock()
    assert train_fields(again, fields, SHORT, generator, checkpoint=path, digest="one", clock=timed) == losses[2:]
    # the two clocks are made, and read, within a millisecond
    assert timed.cpu_s - alone.cpu_s == pytest.approx(before_s, abs=0.01)
    assert before_s > 0.02
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in whole.state_dict().items())
    other, generator = model(fields)
    with pytest.raises(ModelMismatch, match="another configuration"):
        train_fields(other, fields, SHORT, generator, checkpoint=path, digest="two")


@pytest.mark.parametrize("pupil", [None, PupilConfig()], ids=["light", "light and pupil"])
def test_training_moves_detector_light_and_pupil_and_no_fixed_light(fields: LedFields, pupil: PupilConfig | None):
    trained, generator = model(fields, pupil=pupil)
    before = {name: value.clone() for name, value in trained.named_parameters()}
    train_fields(trained, fields, FieldTraining(steps=1, fields_per_step=1, crop_px=0), generator)
    moved = {name for name, value in trained.named_parameters() if not torch.equal(value, before[name])}
    assert "light.illumination.logits" in moved
    assert ("light.pupil.phase" in moved) == (pupil is not None)
    assert any(name.startswith("network.") for name in moved)
    fixed, generator = model(fields, kind="bright field")
    duty = fixed.light.duty().clone()
    train_fields(fixed, fields, SHORT, generator)
    assert torch.equal(fixed.light.duty(), duty)


def test_losses_are_weighted_by_name(fields: LedFields):
    def first(**weights: float) -> float:
        trained, generator = model(fields)
        once = FieldTraining(steps=1, fields_per_step=1, crop_px=0, loss_weights=weights)
        return train_fields(trained, fields, once, generator)[0]

    whole, score, box = first(), first(loss_box=0.0), first(loss_score=0.0)
    assert min(score, box) > 0
    # sums of float32
    assert score + box == pytest.approx(whole, rel=1e-5)
    assert first(loss_box=3.0) == pytest.approx(score + 3 * box, rel=1e-5)


def test_a_short_training_learns_to_find_cells_and_shifts_its_light(fields: LedFields):
    trained, generator = model(fields, with_bright=True)
    start = trained.light.illumination.levels().clone()
    training = FieldTraining(steps=60, fields_per_step=2, crop_px=32, learning_rate=1e-2)
    losses = train_fields(trained, fields, training, generator)
    assert np.mean(losses[-10:]) < 0.7 * np.mean(losses[:10])
    assert int((trained.light.illumination.levels() != start).sum()) > 5
    shown = annotated_fields(trained.light, fields, generator)
    detector = trained.detector()
    detector.thresholds = counting_thresholds(detector, shown)
    kinds = shown.counts()
    found = detector.predict([image.pixels() for image in shown.images])
    cells = sum(int((each.above(detector.thresholds).category == 0).sum()) for each in found)
    # boxes at random places would reach hundredths; 60 steps reach 0.63
    assert (detector.evaluate(shown).categories["red cell"].ap_50 or 0) > 0.3
    # thresholds are set so that the two numbers agree, as far as anything is found
    assert cells == pytest.approx(kinds["red cell"], rel=0.2)


def test_the_detector_of_a_joint_training_is_a_detector_like_any_other(fields: LedFields, tmp_path: Path):
    trained, generator = model(fields, with_bright=True)
    train_fields(trained, fields, SHORT, generator)
    shown = annotated_fields(trained.light, fields, generator)
    detector = trained.detector()
    detector.save(tmp_path / "joint.safetensors")
    held = Detector.load(tmp_path / "joint.safetensors")
    assert held.facts.channels == 2
    assert held.facts.mean == pytest.approx(trained.light.capture.signal_mean.tolist())
    for image in shown.images[:2]:
        ours, theirs = detector.predict([image.pixels()])[0], held.predict([image.pixels()])[0]
        assert np.array_equal(ours.box_px, theirs.box_px)
        with torch.no_grad():
            normal = trained.light.normalised(torch.from_numpy(image.pixels()))
            direct = trained.network.eval()([normal])[0]
        # the same numbers scaled by float32 in another order
        assert np.allclose(np.sort(direct["scores"].numpy()), np.sort(ours.score), atol=1e-4)
    assert held.evaluate(shown) == detector.evaluate(shown)


def test_fields_without_a_mark_teach_nothing(tmp_path: Path):
    class Empty:
        categories, origin, digest = ("cell",), "nothing", "empty"

        def __len__(self) -> int:
            return 1

        def scene(self, number: int) -> Scene:
            scene = phantoms().scene(number)
            return Scene(
                "empty", "", scene.transmission, scene.size, scene.objects.where(np.zeros(0, dtype=np.int64)), 0.0
            )

    fields = LedFields.cached(Empty(), RIG, tmp_path)
    with pytest.raises(InputError, match="No object is marked"):
        model(fields)
