"""Images of any number of bits and channels, from files."""

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import ExifTags, Image, ImageOps

from lsm.errors import WrongFormat
from lsm.vision.data import NO_OBJECTS, AnnotatedImage, read_annotations, read_pixels
from lsm.vision.data.pixels import as_channels, decode_stored, read_shape, read_stored

RNG = np.random.default_rng(0)
BYTES = RNG.integers(0, 256, (20, 30), dtype=np.uint8)
WORDS = RNG.integers(0, 65536, (20, 30), dtype=np.uint16)


@pytest.mark.parametrize(
    ("name", "held", "channels"),
    [
        ("a.png", BYTES, 1),
        ("a.png", WORDS, 1),
        ("a.png", np.stack([BYTES] * 3, axis=2), 3),
        ("a.png", np.stack([BYTES] * 4, axis=2), 3),
        ("a.png", np.stack([BYTES] * 2, axis=2), 1),
        ("a.png", BYTES > 99, 1),
        ("a.tif", WORDS, 1),
        ("a.tif", RNG.random((20, 30)).astype(np.float32), 1),
        ("a.tif", RNG.random((40, 20, 30)).astype(np.float32), 40),
        ("a.tif", RNG.integers(0, 65536, (40, 20, 30), dtype=np.uint16), 40),
        ("a.tif", np.stack([BYTES] * 3, axis=2), 3),
        ("a.npy", RNG.random((40, 20, 30)), 40),
        ("a.npy", RNG.random((20, 30)) > 0.5, 1),
        ("a.npy", np.stack([WORDS] * 2, axis=2), 2),
    ],
)
def test_bits_and_channels(tmp_path: Path, name: str, held: np.ndarray, channels: int):
    file = tmp_path / name
    if name == "a.tif":
        tifffile.imwrite(file, held, photometric="rgb" if held.shape[-1] == 3 else "minisblack")
    elif name == "a.npy":
        np.save(file, held)
    else:
        Image.fromarray(held).save(file)
    pixels = read_pixels(file)
    assert read_shape(file) == pixels.shape == (channels, 20, 30)
    assert pixels.dtype == np.float32
    largest = np.iinfo(held.dtype).max if np.issubdtype(held.dtype, np.unsignedinteger) else 1
    first = held if held.ndim == 2 else (held[0] if len(held) == 40 else held[:, :, 0])
    # one division in float32
    np.testing.assert_allclose(pixels[0], first.astype(np.float64) / largest, rtol=2e-7)


def test_compressed_tiff_that_tifffile_cannot_unpack(tmp_path: Path):
    pages = [Image.fromarray(WORDS), Image.fromarray(WORDS[::-1].copy())]
    pages[0].save(tmp_path / "a.tif", compression="tiff_lzw", save_all=True, append_images=pages[1:])
    assert read_shape(tmp_path / "a.tif") == (2, 20, 30)
    np.testing.assert_array_equal(read_stored(tmp_path / "a.tif"), [WORDS, WORDS[::-1]])


@pytest.mark.parametrize("orientation", range(10))
def test_pictures_are_turned_as_viewers_turn_them(tmp_path: Path, orientation: int):
    notes = Image.Exif()
    notes[ExifTags.Base.Orientation] = orientation
    Image.fromarray(BYTES).save(tmp_path / "a.png", exif=notes)
    with Image.open(tmp_path / "a.png") as picture:
        expected = np.asarray(ImageOps.exif_transpose(picture))
    np.testing.assert_array_equal(read_stored(tmp_path / "a.png"), expected)
    np.testing.assert_array_equal(decode_stored((tmp_path / "a.png").read_bytes(), "a"), expected)
    assert read_shape(tmp_path / "a.png") == (1, *expected.shape)


def test_a_picture_with_damaged_notes_stays_as_it_is(tmp_path: Path):
    Image.fromarray(BYTES).save(tmp_path / "a.png", exif=b"Exif\x00\x00nothing")
    np.testing.assert_array_equal(read_stored(tmp_path / "a.png"), BYTES)


def test_palettes_are_colours_or_their_numbers(tmp_path: Path):
    picture = Image.fromarray(BYTES % 4).convert("P")
    picture.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0, 255])
    picture.save(tmp_path / "a.png")
    assert read_pixels(tmp_path / "a.png")[:, BYTES % 4 == 1].tolist() == [
        [1.0] * int((BYTES % 4 == 1).sum()),
        *([[0.0] * int((BYTES % 4 == 1).sum())] * 2),
    ]
    np.testing.assert_array_equal(read_stored(tmp_path / "a.png", palette=False), BYTES % 4)


@pytest.mark.parametrize(
    ("held", "sentence"),
    [
        (np.zeros((2, 3, 4, 5)), "has the shape"),
        (np.zeros((0, 5)), "has the shape"),
        (np.zeros(5), "has the shape"),
        (np.zeros((5, 6), dtype=np.int32), "holds int32"),
        (np.zeros((5, 6), dtype=np.complex64), "holds complex64"),
        (np.full((5, 6), np.nan), "not finite"),
        (np.full((5, 6), 1e300), "not finite"),
    ],
)
def test_what_is_no_image_is_refused_by_name(tmp_path: Path, held: np.ndarray, sentence: str):
    np.save(tmp_path / "a.npy", held)
    with pytest.raises(WrongFormat, match=sentence) as error:
        read_pixels(tmp_path / "a.npy")
    assert "a.npy" in error.value.message


def test_objects_and_programs_are_never_unpacked(tmp_path: Path):
    np.save(tmp_path / "a.npy", np.array([[print, 1]], dtype=object), allow_pickle=True)
    with pytest.raises(WrongFormat, match="holds Python objects"):
        read_pixels(tmp_path / "a.npy")
    with pytest.raises(WrongFormat, match="here cannot be read"):
        decode_stored(b"no picture", "here")


def test_an_image_of_another_size_than_annotated_is_refused():
    with pytest.raises(WrongFormat, match="has 20 x 30 pixels, its annotation says 30 x 20"):
        AnnotatedImage("a", BYTES, (30, 20), AnnotatedImage.of("b", BYTES).objects).pixels()
    assert as_channels(BYTES, "a").shape == (1, 20, 30)


def test_channels_that_come_last_are_named_in_the_hint(tmp_path: Path):
    np.save(tmp_path / "a.npy", np.zeros((20, 30, 40), dtype=np.float32))
    with pytest.raises(WrongFormat) as error:
        AnnotatedImage("a", tmp_path / "a.npy", (20, 30), NO_OBJECTS).pixels()
    assert "[y, x, channel]" in error.value.hint
    root = {
        "images": [{"id": 1, "file_name": "a.npy", "height": 20, "width": 30}],
        "annotations": [],
        "categories": [{"id": 1, "name": "cell"}],
    }
    (tmp_path / "coco.json").write_text(json.dumps(root))
    with pytest.raises(WrongFormat) as error:
        read_annotations(tmp_path / "coco.json")
    assert "[y, x, channel]" in error.value.hint


@pytest.mark.parametrize("shape", [(480, 640, 40), (480, 640, 5), (64, 64, 16)])
def test_many_channels_that_come_last_are_refused_where_no_size_is_known(tmp_path: Path, shape: tuple[int, int, int]):
    np.save(tmp_path / "a.npy", np.zeros(shape, dtype=np.uint8))
    for refused in (read_pixels, read_shape, lambda file: as_channels(np.load(file), "The frame")):
        with pytest.raises(WrongFormat, match=r"seems to be \[y, x, channel\]") as error:
            refused(tmp_path / "a.npy")
        assert "[channel, y, x]: numpy.moveaxis" in error.value.hint


@pytest.mark.parametrize("shape", [(40, 480, 640), (225, 50, 50), (225, 50, 13), (40, 640, 12), (300, 32, 32)])
def test_many_channels_that_come_first_are_taken(shape: tuple[int, int, int]):
    assert as_channels(np.zeros(shape, dtype=np.uint8), "a").shape == shape


@pytest.mark.parametrize("shape", [(1, 9), (3, 9), (4, 9), (9, 1), (9, 4), (2, 2), (9, 3)])
@pytest.mark.parametrize("name", ["a.png", "a.bmp"])
def test_narrow_pictures_keep_their_axes(tmp_path: Path, name: str, shape: tuple[int, int]):
    held = RNG.integers(0, 256, (*shape, 3), dtype=np.uint8)
    Image.fromarray(held).save(tmp_path / name)
    pixels = read_pixels(tmp_path / name)
    assert read_shape(tmp_path / name) == pixels.shape == (3, *shape)
    # one division in float32
    np.testing.assert_allclose(pixels, np.moveaxis(held, 2, 0) / 255, rtol=2e-7)
