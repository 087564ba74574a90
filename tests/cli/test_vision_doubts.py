"""What `lsm vision` says of images and thresholds that are not to be trusted."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lsm.cli import main
from lsm.errors import LsmError, WrongFormat
from lsm.sensing.progress import RichReporter
from lsm.vision.data import WRITERS, AnnotatedImage, AnnotatedSet, Format, Objects
from lsm.vision.detect import Detector, FitConfig
from lsm.vision.detect.grid import GridConfig

RNG = np.random.default_rng(0)
QUICK = ("--steps", "3", "--set", "model.width=8", "--set", "fit.images_per_step=2", "--set", "fit.checkpoint_every=1")


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def spots(*channels: int) -> AnnotatedSet:
    """Images with these numbers of channels, a square in each."""
    held = []
    for number, n in enumerate(channels):
        pixels = (0.4 + 0.1 * RNG.random((n, 40, 40))).astype(np.float32)
        x, y = RNG.integers(2, 24, 2)
        pixels[:, y : y + 12, x : x + 12] = 0.8
        box = np.array([[x, y, x + 12, y + 12]], dtype=np.float64)
        held.append(AnnotatedImage.of(f"field {number}", pixels, Objects(box, np.zeros(1, dtype=np.int64))))
    return AnnotatedSet(tuple(held), ("spot",), origin="spots")


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One that takes three channels, keeps 4 objects and finds something everywhere."""
    file = tmp_path_factory.mktemp("detector") / "spots.safetensors"
    made = Detector.of(GridConfig(width=8, most=4, least_score=1e-4), spots(3, 3, 3), seed=1)
    made.thresholds[:] = 1e-3
    made.save(file)
    return file


@pytest.fixture
def seen(tmp_path: Path) -> Path:
    """Images of the detector's numbers, brighter and darker, in other numbers, and grey."""
    plain = spots(3).images[0].pixels()
    (tmp_path / "seen").mkdir()
    table = {
        "a-plain.npy": plain,
        "b-dark.npy": plain / 3,
        "c-bright.npy": plain * 3,
        "d-12bits.npy": (plain * 4095).astype(np.uint16),
        "e-bytes.npy": (plain * 255),
        "f-grey.npy": plain[:1],
    }
    for name, pixels in table.items():
        np.save(tmp_path / "seen" / name, pixels)
    return tmp_path / "seen"


def run(*words: object) -> int:
    with pytest.raises(SystemExit) as stopped:
        main(["vision", *map(str, words)])
    return int(stopped.value.code or 0)


def test_searching_says_which_images_are_to_be_doubted(
    detector: Path, seen: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert run("predict", detector, seen, "--out", tmp_path / "found", "--json") == 0
    told = capsys.readouterr()
    doubts = json.loads(told.out)["doubts"]
    assert doubts["strange"] == ["d-12bits.npy", "e-bytes.npy"]
    assert doubts["converted"] == ["f-grey.npy"]
    assert "a-plain.npy" in doubts["full"]
    assert "than the 4 that the detector keeps" in told.err
    assert "--set model.most=16" in told.err
    assert "2 images have pixels in other numbers than the images learnt from, first d-12bits.npy" in told.err
    assert "1 image was made of three equal channels, as the detector takes them, first f-grey.npy" in told.err
    images = json.loads((tmp_path / "found" / "found.json").read_text())["images"]
    assert [image["name"] for image in images if image.get("full")] == doubts["full"]


def test_a_report_says_which_images_are_to_be_doubted(
    detector: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    WRITERS[Format.COCO](spots(3, 1, 3), tmp_path / "spots.json")
    assert run("evaluate", detector, "--data", tmp_path / "spots.json", "--out", tmp_path / "report") == 0
    said = capsys.readouterr().err
    assert "Warning: 3 images have more objects than the 4" in said
    assert "1 image was made of three equal channels" in said
    assert "other numbers" not in said
    page = (tmp_path / "report" / "report.html").read_text()
    assert "Counts cut off" in page


def test_scores_on_images_learnt_from_are_doubted(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """By their pixels, whatever the images are called and whoever annotated them."""
    old, new = spots(3, 3), spots(3)
    detector = Detector.of(GridConfig(width=8), old, seed=1)
    detector.fit(old, fit=FitConfig(steps=1, images_per_step=1))
    detector.save(tmp_path / "spots.safetensors")
    renamed = [AnnotatedImage.of(f"renamed {k}", image.pixels(), image.objects) for k, image in enumerate(old.images)]
    WRITERS[Format.COCO](AnnotatedSet((*renamed, *new.images), ("spot",), origin="both"), tmp_path / "both.json")
    words = ("evaluate", tmp_path / "spots.safetensors", "--data", tmp_path / "both.json", "--out", tmp_path / "report")
    assert run(*words) == 0
    assert "the detector has learnt from 2 images of these" in " ".join(capsys.readouterr().err.split())
    assert "Learnt from these images" in (tmp_path / "report" / "report.html").read_text()


def test_counts_that_were_not_cut_off_are_not_doubted(
    detector: Path, seen: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert run("predict", detector, seen / "a-plain.npy", "--out", tmp_path / "found", "--least-score", "1") == 0
    assert "Warning" not in capsys.readouterr().err


def test_mixed_channels_are_learnt_from_as_many_as_are_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    file = tmp_path / "mixed.json"
    WRITERS[Format.COCO](spots(3, 1, 3, 1), file)
    words = ("train", "--data", file, "--out", tmp_path / "spots.safetensors", "--holdout", "0", *QUICK)
    assert run(*words) == 2
    assert "--as-channels 1 or 3" in capsys.readouterr().err
    assert run(*words, "--as-channels", "3") == 0
    assert Detector.load(tmp_path / "spots.safetensors").facts.channels == 3
    for command in ("train", "crossval", "evaluate", "predict"):
        assert run(command, "--help") == 0
        assert "--as-channels" in capsys.readouterr().out


def test_folds_begin_with_the_weights_that_are_given(
    detector: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    WRITERS[Format.COCO](spots(*[3] * 6), tmp_path / "spots.json")
    recipe = ("--set", "model.most=4", "--set", "model.least_score=1e-4", *QUICK)
    words = ("crossval", "--data", tmp_path / "spots.json", "--folds", "2", "--out", tmp_path / "folds", *recipe)
    assert run(*words, "--weights", detector, "--device", "cpu") == 0
    facts = Detector.load(tmp_path / "folds" / "fold-1.safetensors").facts
    assert facts == Detector.load(detector).facts
    capsys.readouterr()
    assert run(*words, "--set", "fit.learning_rate=0.5") == 2
    said = capsys.readouterr().err
    assert "weights " in said
    assert "fit.learning_rate 0.001 -> 0.5" in said
    assert run(*words, "--device", "cuda:99") == 2


def test_thresholds_that_are_less_sure_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Of 36 spots 3 are set aside, and the one object of the rare category is there or is not."""
    images = list(spots(*[3] * 12).images)
    box = images[0].objects.box_px
    both = Objects(np.concatenate([box, box / 2]), np.array([0, 1]))
    images[0] = AnnotatedImage.of("rare", images[0].pixels(), both)
    data = AnnotatedSet(tuple(images), ("spot", "rare", "never"), origin="spots")
    for seed in range(3):
        made = Detector.of(GridConfig(width=8, least_score=1e-4), data, seed=1)
        record = made.fit(data, fit=FitConfig(steps=2, images_per_step=2, seed=seed))
        if "rare" in record.set_on_learnt:
            break
    assert record.set_on_learnt == ("spot", "rare")
    assert record.not_set == ("never",)
    assert made.thresholds[1] != 0.5
    assert made.thresholds[2] == 0.5
    WRITERS[Format.COCO](data, tmp_path / "spots.json")
    words = ("train", "--data", tmp_path / "spots.json", "--out", tmp_path / "m.safetensors", "--holdout", "0")
    change = ("--set", "model.least_score=1e-4")
    assert run(*words, *QUICK, *change, "--seed", seed) == 0
    said = capsys.readouterr().err
    assert "Thresholds of spot, rare were set on images learnt from too" in said
    assert "never 0.50" in said
    words = ("crossval", "--data", tmp_path / "spots.json", "--out", tmp_path / "folds", "--folds", "2")
    assert run(*words, *QUICK, *change) == 0
    said = capsys.readouterr().err
    for number in (1, 2):
        assert f"Fold {number}: Thresholds that could not be set, and stay: " in said


def test_failures_are_told_by_line_with_their_hints(detector: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    for number in range(12):
        np.save(tmp_path / f"{number:02}.npy", np.zeros((5, 40, 40)))
    np.save(tmp_path / "00.npy", np.array([{}], dtype=object), allow_pickle=True)
    np.save(tmp_path / "01.npy", np.zeros((3, 40, 1)))
    np.save(tmp_path / "99.npy", spots(3).images[0].pixels())
    assert run("predict", detector, tmp_path, "--out", tmp_path / "found") == 1
    said = capsys.readouterr().err
    assert "12 of 13 images could not be searched:\n" in said
    assert "00.npy holds Python objects" in said
    assert "01.npy: The image is too small: 1 pixels wide and 40 high. Hint: it takes 3 channels of at least" in said
    assert "09.npy: " in said
    assert "10.npy: " not in said
    assert "and 2 more" in said
    few = [tmp_path / f"0{number}.npy" for number in (2, 3)]
    assert run("predict", detector, *few, "--out", tmp_path / "none") == 2
    assert "2 of 2 images could not be searched" in capsys.readouterr().err


@pytest.mark.parametrize(("name", "said"), [("folder", "is a folder, not a detector"), ("a.xml", "is no detector")])
def test_what_is_no_detector_is_said_to_be_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, said: str
):
    (tmp_path / "folder").mkdir()
    (tmp_path / "a.xml").write_text("<annotation/>", encoding="utf-8")
    np.save(tmp_path / "a.npy", np.zeros((3, 40, 40)))
    assert run("predict", tmp_path / name, tmp_path / "a.npy", "--out", tmp_path / "found") == 2
    error = capsys.readouterr().err
    assert said in error
    assert "lsm vision train" in error


def test_a_damaged_detector_is_to_be_copied_again(detector: Path, tmp_path: Path):
    held = bytearray(detector.read_bytes())
    held[-1] ^= 1
    (tmp_path / "m.safetensors").write_bytes(held)
    with pytest.raises(WrongFormat, match="copy it again, or train again"):
        Detector.load(tmp_path / "m.safetensors")


def test_an_interrupted_training_says_how_it_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    WRITERS[Format.COCO](spots(*[3] * 6), tmp_path / "spots.json")
    common = ("--data", tmp_path / "spots.json", *QUICK)
    train = ("train", *common, "--out", tmp_path / "m.safetensors", "--holdout", "0")
    folds = ("crossval", *common, "--folds", "2", "--out", tmp_path / "folds")
    steps: list[int] = []

    class Stopping(RichReporter):
        """Presses Ctrl-C in the third step."""

        def stage(self, title: str, total: int) -> Any:
            shown = super().stage(title, total)

            class Third:
                def advance(self, loss: float | None = None) -> None:
                    steps.append(1)
                    if len(steps) == 3:
                        raise KeyboardInterrupt

                def __enter__(self) -> "Third":
                    return self

                def __exit__(self, *_: object) -> None:
                    pass

            return Third() if "learning" in title else shown

    with monkeypatch.context() as patched:
        patched.setattr("lsm.cli.vision.RichReporter", Stopping)
        assert run(*train) == 130
        assert "The same command goes on from step 2, kept in" in capsys.readouterr().err
        steps.clear()
        assert run(*folds) == 130
        assert "The same command goes on: folds done 0, fold-1 from step 2." in capsys.readouterr().err
    for words in (train, folds):
        assert run(*words) == 0
        assert "Goes on from step 2 of 3" in capsys.readouterr().err


def test_both_names_of_blocks_are_known(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    WRITERS[Format.COCO](spots(3, 3), tmp_path / "spots.json")
    for name in ("--block", "--blocks"):
        with pytest.raises(SystemExit) as stopped:
            main(["data", "check", str(tmp_path / "spots.json"), name, "2"])
        assert stopped.value.code == 0, capsys.readouterr()


def test_errors_keep_their_hints_in_json(detector: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    np.save(tmp_path / "a.npy", spots(3).images[0].pixels())
    np.save(tmp_path / "b.npy", np.zeros((5, 40, 40)))
    assert run("predict", detector, tmp_path, "--out", tmp_path / "found", "--json") == 1
    assert "Hint: " in json.loads(capsys.readouterr().out)["failed"]["b.npy"]
    assert issubclass(WrongFormat, LsmError)
