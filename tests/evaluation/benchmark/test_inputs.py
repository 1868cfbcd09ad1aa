"""Tables of inputs, the media and the masks that they name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

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
    with pytest.raises(InputError, match=r"c.mp4 has shape \(12, 32, 48, 3\), but the model takes images"):
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


def test_a_mask_that_tells_nothing_is_none(few: Path) -> None:
    for values in (np.zeros((30, 40)), np.ones((30, 40))):
        np.save(few / "m.npy", values)
        assert load_mask(Input("p0", few, "p0.png", "m.npy", 1, ""), (30, 40)) is None
    assert load_mask(Input("p0", few, "p0.png", None, 1, ""), (30, 40)) is None


def test_a_mask_that_cannot_be_used_is_refused(few: Path) -> None:
    np.savez(few / "two.npz", a=np.zeros(2), b=np.zeros(2))
    with pytest.raises(FileError, match="holds the arrays a, b; expected one, or one named 'masks'"):
        load_mask(Input("p0", few, "p0.png", "two.npz", 1, ""), (30, 40))
    np.save(few / "flat.npy", np.zeros(7))
    with pytest.raises(InputError, match=r"has shape \(7,\); expected a mask of 2 axes"):
        load_mask(Input("p0", few, "p0.png", "flat.npy", 1, ""), (30, 40))


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
    with pytest.raises(InputError, match=r"m.npy has shape \(30, 90\), p0.png \(30, 40\); expected the same shape"):
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
