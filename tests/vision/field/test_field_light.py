"""Light of whole fields: what is shown, how it is exposed, and what a detector is given."""

from pathlib import Path

import numpy as np
import pytest
import torch
from field_phantoms import RIG, OneDisc, phantoms

from lsm.errors import ConfigError, FileMissing, ModelMismatch
from lsm.illum import LightFile
from lsm.illum.pattern import GREEN
from lsm.optics import effective_weights, pattern_image
from lsm.sensing.bundle import Bundle
from lsm.sensing.capture import ExposureConfig
from lsm.sensing.cells.pupil import PupilConfig
from lsm.sensing.illumination import turn
from lsm.twin import TwinConfig
from lsm.vision.field import FieldLight, FieldLightConfig, LedFields, Scene, annotated_fields, model_duty

BOARD = RIG.led_board.board()


def light(seed: int = 1, **settings: object) -> FieldLight:
    config = FieldLightConfig.model_validate(settings)
    return FieldLight(RIG, config, ExposureConfig(), torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def fields(tmp_path_factory: pytest.TempPathFactory) -> LedFields:
    return LedFields.cached(phantoms(), RIG, tmp_path_factory.mktemp("fields"))


def test_fixed_lights_are_what_their_names_say():
    bright, dark = light(kind="bright field"), light(kind="dark field")
    assert torch.equal(bright.duty()[0] > 0, torch.from_numpy(BOARD.na <= 0.10))
    assert torch.equal(dark.duty()[0] > 0, torch.from_numpy(BOARD.na > 0.10))
    assert (bright.n_captures, dark.n_captures) == (1, 1)
    both = light(kind="dark field", with_bright=True)
    assert torch.equal(both.duty(), torch.cat([bright.duty(), dark.duty()]))


def test_the_image_is_the_weighted_sum_of_the_stack(fields: LedFields):
    learned = light(captures=2)
    duty = learned.duty()
    expected = RIG.led_flux_e_per_ms * pattern_image(fields.stack(1), effective_weights(BOARD, duty))
    assert torch.equal(learned.rates(fields, 1), expected)
    window = (slice(2, 12), slice(5, 25))
    assert torch.allclose(learned.rates(fields, 1, window=window), expected[:, 2:12, 5:25], rtol=1e-6)


@pytest.mark.parametrize("symmetry", range(8))
def test_a_turned_field_is_the_turned_sample_under_the_same_light(fields: LedFields, symmetry: int, tmp_path: Path):
    shown = light()
    plain = fields.sample(0)[0].numpy()
    field = phantoms().scene(0)

    class Turned(OneDisc):
        def scene(self, number: int) -> Scene:
            turned = turn(torch.from_numpy(plain), symmetry).contiguous().numpy()
            return Scene("turned", "one", turned, field.size, field.objects, field.defocus_um)

    other = LedFields.cached(Turned(), RIG, tmp_path)
    # float16 stacks
    assert torch.allclose(
        shown.rates(fields, 0, symmetry=symmetry), shown.rates(other, 0), rtol=3e-3, atol=3e-3 * RIG.led_flux_e_per_ms
    )


@pytest.mark.parametrize("symmetry", [0, 1, 6])
def test_an_open_pupil_changes_nothing_and_stands_still_when_the_field_turns(fields: LedFields, symmetry: int):
    plain, seen = light(), light(pupil=PupilConfig(clear=1.0, learned=("phase",)))
    window = (slice(0, 30), slice(4, 34))
    assert torch.allclose(
        seen.rates(fields, 0, symmetry=symmetry, window=window),
        plain.rates(fields, 0, symmetry=symmetry, window=window),
        rtol=3e-3,
        atol=3e-3 * RIG.led_flux_e_per_ms,
    )
    half = light(pupil=PupilConfig(shape="half", learned=("phase",)))
    with torch.no_grad():
        upright = half.rates(fields, 0)
        turned = turn(half.rates(fields, 0, symmetry=symmetry), (0, 3, 2, 1, 4, 5, 6, 7)[symmetry])
    # a pupil that is open on one side sees a turned sample differently
    assert torch.allclose(upright, turned, rtol=1e-4) == (symmetry == 0)


def test_what_is_learned_gets_a_gradient_and_the_bright_field_beside_it_none(fields: LedFields):
    learned = light(with_bright=True, pupil=PupilConfig())
    rates = learned.rates(fields, 0)
    assert rates.shape[0] == 2
    rates[0].mean().backward()
    assert learned.illumination.logits.grad is not None
    assert float(learned.illumination.logits.grad.abs().max()) == 0
    learned.rates(fields, 0)[1].std().backward()
    assert float(learned.illumination.logits.grad.abs().max()) > 0
    assert learned.pupil is not None
    assert learned.pupil.phase.grad is not None
    assert float(learned.pupil.phase.grad.abs().max()) > 0


def test_the_current_of_the_board_is_kept():
    free, limited = light(start="all"), light(start="all", max_ma=60.0)
    levels = limited.illumination.levels()[1].long()
    assert 0 < int(levels.sum()) <= limited.illumination.most < int(free.illumination.levels()[1].long().sum())
    coarse = light(bits=1).duty()
    assert set(np.unique(coarse.detach().numpy())) <= {0.0, 1.0}


def test_exposures_fill_the_camera_and_signal_is_in_full_wells(fields: LedFields):
    bright = light(kind="bright field")
    bright.freeze(fields)
    generator = torch.Generator().manual_seed(3)
    seen = torch.stack([bright.signal(bright.rates(fields, k), generator) for k in range(len(fields))])
    # the exposure aims at half a well; the source is wrong by 4 % from field to field
    assert float(seen.mean()) == pytest.approx(0.5, abs=0.06)
    network = bright.normalised(seen)
    assert float(network.mean()) == pytest.approx(0, abs=0.7)
    assert float(network.std()) == pytest.approx(1, abs=0.4)


def test_fewer_photons_are_noisier_at_the_same_scale(tmp_path: Path):
    empty = LedFields.cached(OneDisc(absorbance=0.0), RIG, tmp_path)
    bright = FieldLight(
        RIG,
        FieldLightConfig(kind="bright field"),
        ExposureConfig(brightness_error=0.0),
        torch.Generator().manual_seed(1),
    )
    bright.freeze(empty)
    rates, generator = bright.rates(empty, 0), torch.Generator().manual_seed(5)
    many, few = (bright.signal(rates, generator, photons=part) for part in (1.0, 0.02))
    # 5,000 e and 100 e; 1,600 pixels tell a mean of 10 % noise to 0.25 %
    assert float(many.mean()) == pytest.approx(0.5, rel=0.01)
    assert float(few.mean()) == pytest.approx(0.5, rel=0.02)
    # shot noise, read noise of 3 e and 0.5 % between pixels; a spread of 1,600 values is known to 2 %
    assert float(many.std() / many.mean()) == pytest.approx(np.sqrt(1 / 5000 + 0.005**2), rel=0.1)
    assert float(few.std() / few.mean()) == pytest.approx(np.sqrt(1 / 100 + (3 / 100) ** 2), rel=0.1)


def test_rendered_sets_have_captures_as_channels_and_the_fields_marks(fields: LedFields):
    shown = light(kind="dark field", with_bright=True)
    shown.freeze(fields)
    one = annotated_fields(shown, fields, torch.Generator().manual_seed(2))
    again = annotated_fields(shown, fields, torch.Generator().manual_seed(2))
    assert (len(one), one.categories, one.channels(), one.has_masks) == (4, fields.categories, 2, True)
    assert "dark field" in one.origin
    for image, same, field in zip(one.images, again.images, fields.fields, strict=True):
        assert image.group == field.group
        assert image.objects is field.objects
        assert np.array_equal(image.pixels(), same.pixels())
    assert one.counts()["red cell"] > 0


def test_a_light_file_shows_what_was_learned_and_is_read_back_as_a_light(fields: LedFields, tmp_path: Path):
    learned = light(with_bright=True)
    learned.freeze(fields)
    file = learned.file({"fields": fields.origin})
    file.save(tmp_path / "light.json")
    held = LightFile.load(tmp_path / "light.json")
    assert held.light_digest == file.light_digest
    assert [capture.name for capture in held.captures] == ["bright field", "learned 1"]
    patterns = held.patterns(BOARD)
    shown = np.stack([pattern.duty[:, GREEN] for pattern in patterns])
    assert np.allclose(shown, learned.duty().detach().numpy(), atol=1e-6)
    assert [capture.exposure_ms for capture in held.captures] == pytest.approx(
        learned.capture.exposures_ms.tolist(), abs=1e-3
    )
    again = light(kind="file", source=str(tmp_path / "light.json"))
    assert torch.equal(again.illumination.levels()[1:], learned.illumination.levels()[1:])
    assert again.n_captures == 1


def test_the_light_of_a_shipped_model_is_its_best_single_pattern():
    rig = TwinConfig()
    board = rig.led_board.board()
    duty = model_duty(board, "procedural")
    bundle = Bundle.shipped("procedural")
    masks = bundle.card.figures["held_out"]["masks"]  # type: ignore[index,call-overload]
    best = max((1, 2, 3), key=lambda k: masks[str(2**k)]["auc"][0])
    assert torch.equal(duty[0], bundle.duty_levels[best].float() / 255)
    begun = FieldLight(rig, FieldLightConfig(source="procedural"), ExposureConfig(), torch.Generator().manual_seed(1))
    assert torch.allclose(begun.duty(), duty.clamp(0.01, 0.99), atol=1 / 255)
    begun.duty().sum().backward()
    assert begun.illumination.logits.grad is not None
    assert float(begun.illumination.logits.grad.min()) > 0
    with pytest.raises(ConfigError, match="1 patterns to begin with, 2 are to be learned"):
        FieldLight(rig, FieldLightConfig(source="procedural", captures=2), ExposureConfig(), torch.Generator())
    with pytest.raises(ModelMismatch, match="was designed for LED board"):
        light(kind="model", source="procedural")


def test_lights_that_cannot_be_are_refused():
    with pytest.raises(ConfigError, match="kind 'file' has the source ''"):
        FieldLightConfig(kind="file")
    with pytest.raises(ConfigError, match=r"name a source for the kinds"):
        FieldLightConfig(kind="dark field", source="light.json")
    with pytest.raises(ConfigError, match="taken once"):
        FieldLightConfig(kind="bright field", with_bright=True)
    with pytest.raises(FileMissing, match="nowhere"):
        light(kind="file", source="nowhere.json")
    narrow = RIG.model_copy(update={"led_board": RIG.led_board.model_copy(update={"rows": 1, "columns": 1})})
    with pytest.raises(ConfigError, match="outside NA"):
        FieldLight(narrow, FieldLightConfig(kind="dark field"), ExposureConfig(), torch.Generator())
