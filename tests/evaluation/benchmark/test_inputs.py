"""Tables of inputs, the media and the masks that they name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from borex.errors import FileError, InputError
from borex.evaluation.benchmark import InputSet
from borex.evaluation.benchmark.inputs import Input, load_mask, load_media, read_inputs
from borex.media.read import read_image
from borex.media.video import write_clip


def names(few: Path, **options: object) -> list[str]:
    return [one.name for one in read_inputs([InputSet(few / "labels.csv", **options)])]  # type: ignore[arg-type]


def test_rows_are_chosen_and_spread(few: Path) -> None:
    assert names(few) == ["p0", "p1", "p2"]
    assert names(few, where={"top1": "1"}) == ["p0", "p2"]
    assert names(few, n=2) == ["p0", "p2"]
    assert names(few, n=9) == ["p0", "p1", "p2"]
    first = read_inputs([InputSet(few / "labels.csv")])[0]
    assert first == Input("p0", few, "p0.png", "m0.png", 1, "even")


@pytest.mark.parametrize(
    ("table", "where", "text"),
    [
        ("name\na\n", {}, r"has the columns \['name'\]; expected 'file' too"),
        ("file\na.png\n", {"kind": "x"}, "expected 'kind' too"),
        ("file,kind\na.png,y\n", {"kind": "x"}, r"no row of .* has \{'kind': 'x'\}"),
        ("file,class_index\na.png,cat\n", {}, "class_index of 'a.png' is 'cat'"),
        ("file\nx/a.png\ny/a.jpg\n", {}, "two inputs are called 'a': x/a.png and y/a.jpg"),
        ("file\na.png\nx/../a.png\n", {}, r"the input x/../a.png is there twice: two of the \[\[inputs"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused(tmp_path: Path, table: str, where: dict[str, str], text: str) -> None:
    (tmp_path / "t.csv").write_text(table)
    with pytest.raises(InputError, match=text):
        read_inputs([InputSet(tmp_path / "t.csv", where)])


def test_every_so_manieth_row_is_a_part_of_its_own(tmp_path: Path) -> None:
    lines = [f"p{i}.png,{'a' if i != 2 else 'b'}" for i in range(8)]
    (tmp_path / "t.csv").write_text("\n".join(["file,kind", *lines]))

    def names(*given: object) -> str:
        return " ".join(one.name for one in read_inputs([InputSet(tmp_path / "t.csv", *given)]))

    # Of the rows that `where` leaves: p0 p1 p3 p4 p5 p6 p7.
    assert names({"kind": "a"}, (0, 2)) == "p0 p3 p5 p7"
    assert names({"kind": "a"}, (1, 2)) == "p1 p4 p6"
    assert names({"kind": "a"}, (1, 2), 2) == "p1 p6"
    with pytest.raises(InputError, match="start at 7, but only 7 are left, counted from 0"):
        names({"kind": "a"}, (7, 1))


def test_sets_that_overlap_are_said_to(few: Path) -> None:
    with pytest.raises(InputError, match=r"the input p2.png is there twice: two of the \[\[inputs\]\] overlap"):
        read_inputs([InputSet(few / "labels.csv", {"kind": "even"}), InputSet(few / "labels.csv", {}, (1, 1))])


def test_blanks_around_the_names_and_values_of_a_table_mean_nothing(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text('file , class_index, mask,kind\np 0.png, 2 , "m, 0.png", odd \np1.png\np2.png,,,,more\n')
    assert read_inputs([InputSet(path)]) == [
        Input("p 0", tmp_path, "p 0.png", "m, 0.png", 2, "odd"),
        Input("p1", tmp_path, "p1.png", None, None, "input"),
        Input("p2", tmp_path, "p2.png", None, None, "input"),
    ]
    assert [one.name for one in read_inputs([InputSet(path, {"kind": "odd"})])] == ["p 0"]


def test_a_picture_and_its_mask_come_at_the_models_size(few: Path) -> None:
    one = read_inputs([InputSet(few / "labels.csv")])[0]
    np.testing.assert_array_equal(load_media(one, None), read_image(few / "p0.png"))
    assert load_media(one, (15, 20)).shape == (15, 20, 3)
    mask = load_mask(one, (30, 40))
    assert mask is not None
    np.testing.assert_array_equal(mask, load_media(one, None)[..., 0] > 200)
    half = load_mask(one, (15, 20))
    assert half is not None
    assert abs(half.mean() - mask.mean()) < 0.03


def test_a_clips_frames_and_masks_are_the_same_ones(tmp_path: Path) -> None:
    frames = np.zeros((12, 32, 48, 3), dtype=np.uint8)
    frames += (np.arange(12) * 20)[:, None, None, None].astype(np.uint8)
    write_clip(tmp_path / "c.mp4", frames, fps=8)
    masks = np.zeros((12, 32, 48), dtype=bool)
    masks[4:10, :16, :12] = True
    np.savez(tmp_path / "c.npz", masks=masks, other=np.zeros(2))
    (tmp_path / "clips.csv").write_text("file,masks\nc.mp4,c.npz\n")
    one = read_inputs([InputSet(tmp_path / "clips.csv")])[0]
    media, mask = load_media(one, (4, 16, 24)), load_mask(one, (4, 16, 24))
    assert media.shape == (4, 16, 24, 3)
    np.testing.assert_allclose(media.mean(axis=(1, 2, 3)), [20, 80, 140, 200], atol=6)  # frames 1, 4, 7 and 10
    assert mask is not None
    np.testing.assert_array_equal(mask.any(axis=(1, 2)), [False, True, True, False])
    assert mask[1].sum() == 8 * 6
    with pytest.raises(InputError, match=r"c.mp4 is a clip, but the model takes images of \(16, 24\)"):
        load_media(one, (16, 24))


def test_a_gif_that_moves_is_a_clip_except_to_a_model_of_images(tmp_path: Path) -> None:
    frames = np.repeat(np.arange(0, 240, 20, dtype=np.uint8), 32 * 48 * 3).reshape(12, 32, 48, 3)
    write_clip(tmp_path / "moves.gif", frames, fps=10)
    write_clip(tmp_path / "still.gif", frames[:1], fps=10)
    (tmp_path / "gifs.csv").write_text("file\nmoves.gif\nstill.gif\n")
    moves, still = read_inputs([InputSet(tmp_path / "gifs.csv")])
    assert load_media(moves, None).shape == (12, 32, 48, 3)
    assert load_media(moves, (4, 16, 24)).shape == (4, 16, 24, 3)
    assert load_media(moves, (16, 24)).shape == (16, 24, 3)  # the first frame, as `borex refine` takes it
    assert load_media(still, None).shape == (32, 48, 3)


def test_a_mask_that_tells_nothing_is_refused_and_one_too_small_is_none(few: Path) -> None:
    one = Input("p0", few, "p0.png", "m.npy", 1, "")
    for values, text in ((np.zeros((30, 40)), "nothing in the mask"), (np.ones((30, 40)), "everything in the mask")):
        np.save(few / "m.npy", values)
        with pytest.raises(InputError, match=rf"{text} .*m\.npy is object; expected an object"):
            load_mask(one, (30, 40))
    dot = np.zeros((30, 40))
    dot[3, 4] = 1
    np.save(few / "m.npy", dot)
    assert load_mask(one, (30, 40)) is not None
    assert load_mask(one, (5, 8)) is None
    assert load_mask(Input("p0", few, "p0.png", None, 1, ""), (30, 40)) is None


def test_a_mask_of_any_kind_of_picture_is_the_same_mask(few: Path) -> None:
    there = np.asarray(Image.open(few / "m0.png")) > 0
    grey = there.astype(np.uint8) * 255
    clear = np.repeat(grey[..., None], 4, axis=-1)  # white on a ground that is not there
    Image.fromarray(clear).save(few / "clear.png")
    Image.fromarray(there.astype(np.uint16)).save(few / "16.png")
    Image.fromarray(there.astype(np.int32)).save(few / "32.tif")
    Image.fromarray(there).save(few / "1.png")
    Image.fromarray(grey).save(few / "grey.pgm")
    np.savez(few / "m.npz", masks=there, other=np.zeros(2))
    for mask in ("m0.png", "clear.png", "16.png", "32.tif", "1.png", "grey.pgm", "m.npz"):
        found = load_mask(Input("p0", few, "p0.png", mask, 1, ""), (30, 40))
        assert found is not None, mask
        np.testing.assert_array_equal(found, there, mask)


def test_a_mask_that_cannot_be_used_is_refused(few: Path) -> None:
    np.savez(few / "two.npz", a=np.zeros(2), b=np.zeros(2))
    with pytest.raises(FileError, match=r"holds 2 arrays \(a, b\); expected a single one, or one named 'masks'"):
        load_mask(Input("p0", few, "p0.png", "two.npz", 1, ""), (30, 40))
    np.save(few / "flat.npy", np.zeros(7))
    with pytest.raises(InputError, match=r"flat.npy has shape \(7,\), p0.png \(30, 40\); expected the same"):
        load_mask(Input("p0", few, "p0.png", "flat.npy", 1, ""), (30, 40))
    whole = (few / "two.npz").read_bytes()
    for name in ("cut.npz", "cut.mp4"):
        (few / name).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(FileError, match=r"cut\.npz holds no array .* or is damaged"):
        load_mask(Input("p0", few, "p0.png", "cut.npz", 1, ""), (30, 40))
    write_clip(few / "c.mp4", np.zeros((4, 32, 48, 3), np.uint8), fps=8)
    with pytest.raises(FileError, match=r"cut\.mp4"):
        load_mask(Input("c", few, "c.mp4", "cut.mp4", 1, ""), (4, 32, 48))


def test_photos_of_scikit_image_are_inputs() -> None:
    def photo(name: str) -> np.ndarray:
        return load_media(Input(name, Path(), f"skimage:{name}", None, None, ""), None)

    assert photo("rocket").shape == (427, 640, 3)
    assert photo("camera").shape == (512, 512, 3)
    with pytest.raises(InputError, match="skimage:dragon, which scikit-image has not"):
        photo("dragon")


def test_a_row_without_a_file_is_said(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("class_index,file\n5\n")
    with pytest.raises(InputError, match="has a row without a file"):
        read_inputs([InputSet(tmp_path / "t.csv")])


def test_a_mask_of_another_shape_than_its_picture_is_refused(few: Path) -> None:
    np.save(few / "m.npy", np.eye(30, 90))
    with pytest.raises(InputError, match=r"m.npy has shape \(30, 90\), p0.png \(30, 40\); expected the same, or"):
        load_mask(Input("p0", few, "p0.png", "m.npy", 1, ""), (30, 40))
    np.save(few / "m.npy", np.eye(60, 80))
    assert load_mask(Input("p0", few, "p0.png", "m.npy", 1, ""), (30, 40)) is not None


def test_of_a_long_clip_no_more_frames_are_kept_than_the_model_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = np.repeat((10 + np.arange(100) * 2).astype(np.uint8), 32 * 48 * 3).reshape(100, 32, 48, 3)
    write_clip(tmp_path / "c.mp4", frames, fps=10)
    kept: list[int] = []
    stack = np.stack
    monkeypatch.setattr(np, "stack", lambda parts, **options: (kept.append(len(parts)), stack(parts, **options))[1])
    media = load_media(Input("c", tmp_path, "c.mp4", None, None, ""), (4, 32, 48))
    assert max(kept) == 4
    np.testing.assert_allclose((media.mean(axis=(1, 2, 3)) - 10) / 2, [12, 37, 62, 87], atol=2)


@pytest.mark.parametrize(("name", "fps"), [("c.gif", 30), ("c.gif", 10), ("c.mp4", 30)])
def test_each_mask_is_that_of_its_frame(tmp_path: Path, name: str, fps: int) -> None:
    """A thing that goes on by its own width at each frame: the mask of the frame before or after lies beside it."""
    frames = np.full((31, 32, 96, 3), 20, dtype=np.uint8)
    masks = np.zeros((31, 32, 96), dtype=bool)
    for t in range(31):
        masks[t, 8:24, 3 * t : 3 * t + 3] = True
    frames[masks] = 230
    write_clip(tmp_path / name, frames, fps)
    np.savez(tmp_path / "c.npz", masks=masks)
    (tmp_path / "c").mkdir()
    for t, mask in enumerate(masks):
        Image.fromarray(mask).save(tmp_path / "c" / f"{t}.png")
    write_clip(tmp_path / f"film-{name}", np.repeat(masks[..., None].astype(np.uint8) * 255, 3, axis=-1), fps)
    for given in ("c.npz", "c", f"film-{name}"):
        one = Input("c", tmp_path, name, given, None, "")
        seen, mask = load_media(one, (16, 32, 96)).mean(axis=-1) > 120, load_mask(one, (16, 32, 96))
        assert mask is not None
        shared = (seen & mask).sum(axis=(1, 2)) / (seen | mask).sum(axis=(1, 2))
        assert shared.min() > 0.5, (given, shared)


def test_masks_of_a_clip_may_be_those_of_the_frames_that_are_read(tmp_path: Path) -> None:
    write_clip(tmp_path / "c.mp4", np.zeros((12, 32, 48, 3), np.uint8), fps=8)
    masks = np.zeros((4, 32, 48), dtype=bool)
    masks[1, :16] = True
    film = np.repeat(masks[..., None].astype(np.uint8) * 255, 3, axis=-1)
    np.savez(tmp_path / "masks.npz", masks=masks)
    write_clip(tmp_path / "masks.mp4", film, fps=2)
    for name in ("masks.npz", "masks.mp4"):
        found = load_mask(Input("c", tmp_path, "c.mp4", name, None, ""), (4, 32, 48))
        assert found is not None
        np.testing.assert_array_equal(found, masks)
    write_clip(tmp_path / "masks.mp4", film[:3], fps=2)
    with pytest.raises(InputError, match=r"masks.mp4 holds 3 masks, but .*c.mp4 has 12 frames, of which 4 are read"):
        load_mask(Input("c", tmp_path, "c.mp4", "masks.mp4", None, ""), (4, 32, 48))


@pytest.mark.parametrize(
    ("shape", "text"),
    [
        ((12, 16, 90), r"has shape \(4, 16, 90\), c.mp4 \(4, 32, 48\); expected the same"),
        ((5, 32, 48), "c.npz holds 5 masks, but .*c.mp4 has 12 frames, of which 4 are read"),
        ((200, 2, 3), "c.npz holds 200 masks, but .*c.mp4 has 12 frames, of which 4 are read"),
        ((32, 48), r"has shape \(32, 48\), c.mp4 \(4, 32, 48\); expected the same"),
    ],
)
def test_masks_of_another_clip_are_refused(tmp_path: Path, shape: tuple[int, ...], text: str) -> None:
    write_clip(tmp_path / "c.mp4", np.zeros((12, 32, 48, 3), np.uint8), fps=8)
    masks = np.zeros(shape, dtype=bool)
    masks[..., :1, :] = True
    np.savez(tmp_path / "c.npz", masks=masks)
    with pytest.raises(InputError, match=text):
        load_mask(Input("c", tmp_path, "c.mp4", "c.npz", None, ""), (4, 32, 48))


@pytest.mark.parametrize("name", ["p.jfif", "p.ppm", "p.tga", "p.jp2"])
def test_pictures_of_every_ending_are_pictures(tmp_path: Path, name: str) -> None:
    Image.fromarray(np.full((30, 40, 3), 200, np.uint8)).save(tmp_path / name, "JPEG" if name == "p.jfif" else None)
    one = Input("p", tmp_path, name, None, None, "")
    assert load_media(one, None).shape == (30, 40, 3)
    assert load_media(one, (15, 20)).shape == (15, 20, 3)
    with pytest.raises(InputError, match=rf"{name} is a picture, but the model takes clips of \(4, 15, 20\)"):
        load_media(one, (4, 15, 20))
