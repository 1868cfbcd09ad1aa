"""What `refine` returns: other targets from the same evaluations, files, pictures."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

import borex
from borex import Explanation, Refiner
from borex.blackbox import Model
from borex.errors import FileError, InputError, TargetError
from borex.explanation import Check
from borex.masks import spread
from borex.targets import Target
from tests.closed_form import box, bumps, linear, ones, same, share_seen
from tests.test_refine import IMAGE, hint, refined
from tests.test_refiner import driven, scores_of


@pytest.fixture(scope="module", params=["field", "paper", "field from rise", "paper from a hint", "field from a hint"])
def found(request: pytest.FixtureRequest) -> Explanation:
    method, *more = request.param.split(" from ")
    initial = {"": None, "rise": "rise", "a hint": hint(IMAGE)}["".join(more)]
    return refined(linear(bumps(IMAGE)), IMAGE, initial, method=method, max_evals=60)


# Other targets


def test_the_same_target_is_the_same_map(found: Explanation) -> None:
    again = found.for_target(1)
    assert np.array_equal(again.saliency, found.saliency)
    assert np.array_equal(again.std, found.std)
    assert np.array_equal(again.initial, found.initial)
    for name in ("target", "score", "evals", "trust", "check", "stop_reason"):
        assert getattr(again, name) == getattr(found, name)


def test_another_target_is_a_fresh_run_told_the_same(found: Explanation) -> None:
    settings = found.record.settings
    if settings.method != "field":
        return
    fresh = Refiner(IMAGE, found.record.initial, target=2, output=settings.output, grid=settings.grid)
    masks = spread(found.record.coverage, IMAGE)
    fresh.tell(masks, found.record.scores)
    other, expected = found.for_target(2), fresh.result()
    np.testing.assert_allclose(other.saliency, expected.saliency, atol=1e-6)
    np.testing.assert_allclose(other.std, expected.std, atol=1e-6)
    assert other.target.index == 2
    assert other.evals == found.evals
    assert other.score == pytest.approx(expected.score)
    # The check measured the top shares of the first target's map.
    assert other.check is None


def test_a_class_against_another(found: Explanation) -> None:
    if found.record.settings.method == "field" and found.check is None:
        against, mirrored = found.for_target((1, 0)), found.for_target((0, 1))
        np.testing.assert_allclose(against.saliency, -mirrored.saliency, atol=1e-4)
        assert against.score == pytest.approx(-mirrored.score)
        assert against.target.label == "class 1 against class 0"


def test_a_function_of_the_scores(found: Explanation) -> None:
    def logit(scores: np.ndarray) -> np.ndarray:
        return scores[:, 1]

    other = found.for_target(logit)
    assert other.target.label == "logit"
    assert other.score == pytest.approx(3)
    assert other.for_target(1).score == pytest.approx(found.score)


def test_two_functions_of_one_name_are_two_targets() -> None:
    first, second = (lambda scores, sign=sign: sign * scores[:, 1] for sign in (1, -1))
    found = refined(linear(bumps(IMAGE)), IMAGE, hint(IMAGE), target=first, max_evals=60)
    assert found.for_target(first).check == found.check is not None
    assert found.for_target(second).check is None


def test_what_is_no_target_of_the_model(found: Explanation) -> None:
    with pytest.raises(TargetError, match="classes 0 to 2"):
        found.for_target(3)


def test_logits_that_all_start_in_the_unit_interval_stay_logits() -> None:
    refiner = Refiner(IMAGE, max_evals=40)
    masks = refiner.ask()
    refiner.tell(masks, np.array([[0.4, 0.1], [-3.0, 2.0]]))
    other = driven(refiner, linear_of_two).result().for_target(1)
    assert other.record.settings.output == "logits"
    assert other.score == pytest.approx(1 / (1 + np.exp(0.3)))


def linear_of_two(batch: np.ndarray) -> np.ndarray:
    share = (batch != 0).reshape(len(batch), -1).mean(axis=1)
    return np.stack([share, 0.5 - share], axis=1)


# Files


def test_saving_and_loading_is_the_identity(found: Explanation, tmp_path: Path) -> None:
    path = found.save(tmp_path / "explanation.npz")
    loaded = Explanation.load(path)
    assert same(loaded, found)
    assert loaded.record.settings == found.record.settings
    assert np.array_equal(loaded.media, found.media)
    assert same(loaded.for_target(2), found.for_target(2))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_is_in_it_comes_back(tmp_path: Path, data: st.DataObject) -> None:
    number = st.floats(allow_nan=False, width=32)
    maps = st_numpy.arrays(np.float32, IMAGE, elements=number, fill=number)
    trust = st.none() | st.tuples(number, number)
    check = st.none() | st.builds(Check, st.just((0.05, 0.4)), number, number, st.sampled_from(["initial", "refined"]))
    text = st.text(st.characters(codec="utf-8"), max_size=8)
    history = st.lists(st.dictionaries(st.sampled_from(["evals", "change"]), number), max_size=3).map(tuple)
    found = replace(
        refined_once(), saliency=data.draw(maps), trust=data.draw(trust), check=data.draw(check),
        labels=data.draw(st.none() | st.lists(text).map(tuple)), history=data.draw(history),
        stop_reason=data.draw(text), score=data.draw(st.floats(0, 1)),
    )  # fmt: skip
    loaded = Explanation.load(found.save(tmp_path / "it.npz"))
    assert same(loaded, found)
    assert loaded.labels == found.labels


def refined_once(kept: list[Explanation] = []) -> Explanation:  # noqa: B006
    if not kept:
        kept.append(refined(linear(bumps(IMAGE)), IMAGE, max_evals=20))
    return kept[0]


def test_threads_that_save_beside_each_other_spoil_nothing(tmp_path: Path) -> None:
    found = [replace(refined_once(), score=float(number)) for number in range(4)]

    def saved(one: Explanation) -> list[float]:
        path = tmp_path / f"{one.score:.0f}.npz"
        return [Explanation.load(one.save(path)).score for _ in range(20)]

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(saved, found)) == [[one.score] * 20 for one in found]


def test_a_function_is_saved_by_name_only(tmp_path: Path) -> None:
    def margin(scores: np.ndarray) -> np.ndarray:
        return scores[:, 1] - scores[:, 0]

    found = refined(linear(bumps(IMAGE)), IMAGE, target=margin, max_evals=40)
    loaded = Explanation.load(found.save(tmp_path / "it.npz"))
    assert loaded.target.label == "margin"
    assert same(loaded.for_target(1), found.for_target(1))
    with pytest.raises(TargetError, match="'margin' was a function, and a file keeps only its name"):
        loaded.for_target(loaded.target)


def test_no_pickle_is_written_or_read(tmp_path: Path) -> None:
    path = refined_once().save(tmp_path / "it.npz")
    with np.load(path, allow_pickle=False) as stored:
        assert all(stored[name].dtype != object for name in stored.files)
    np.savez(tmp_path / "evil.npz", json=np.array({"a": 1}, dtype=object))
    with pytest.raises(FileError, match="is not an explanation"):
        Explanation.load(tmp_path / "evil.npz")


def spoiled(path: Path, how: str) -> Path:
    content = path.read_bytes()
    if how == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif how == "another file":
        path.write_bytes(b"\x89PNG\r\n" + bytes(100))
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "one byte":
        path.write_bytes(content[:200] + bytes([content[200] ^ 255]) + content[201:])
    elif how == "an array":
        with path.open("wb") as file:
            np.save(file, np.zeros(3))
    else:
        np.savez(path, saliency=np.zeros((2, 3)))
    return path


@pytest.mark.parametrize("how", ["cut", "another file", "empty", "one byte", "an array", "other arrays"])
def test_a_file_that_is_none(tmp_path: Path, how: str) -> None:
    path = spoiled(refined_once().save(tmp_path / "it.npz"), how)
    with pytest.raises(FileError, match=r"it\.npz is not an explanation saved by borex") as caught:
        Explanation.load(path)
    for advice in ("unsafely", "context manager", "KeyError"):
        assert advice not in str(caught.value)


def test_files_that_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"there is no file .*gone\.npz"):
        Explanation.load(tmp_path / "gone.npz")
    with pytest.raises(FileError, match=r"cannot write .*No such file.*choose a folder you may write to"):
        refined_once().save(tmp_path / "no folder" / "it.npz")
    with pytest.raises(FileError, match=r"'it\.jpg'; expected a name ending in \.npz or \.png, or of a"):
        refined_once().save(tmp_path / "it.jpg")
    path = refined_once().save(tmp_path / "it.npz")
    with np.load(path) as stored:
        arrays = dict(stored)
    text = json.loads(str(arrays.pop("json")))
    for number, says in ((99, r"Update borex"), (1, r"It is of an earlier borex: explain the media again")):
        np.savez(path, json=np.array(json.dumps({**text, "format": number})), **arrays)
        with pytest.raises(FileError, match=rf"has format {number}; this version reads 4\. {says}"):
            Explanation.load(path)


# Pictures


def test_pictures(found: Explanation, tmp_path: Path) -> None:
    assert found.save(tmp_path / "it.png").read_bytes().startswith(b"\x89PNG")
    assert found.overlay().shape == (*IMAGE, 3)
    assert found._repr_html_().count("data:image/png;base64,") == 1
    assert "class 1" in found.title()
    assert f"{found.evals} evaluations" in found.summary()


def test_a_title_has_the_first_name_of_both_classes() -> None:
    found = refined(
        Model(share_seen(box(IMAGE)), labels=["tench, Tinca tinca", "goldfish, Carassius auratus"]), IMAGE, max_evals=20
    )
    assert found.title().startswith("goldfish: ")
    assert found.for_target((0, 1)).title().startswith("tench against goldfish: ")


def test_an_ending_in_capitals(found: Explanation, tmp_path: Path) -> None:
    assert found.save(tmp_path / "it.PNG").read_bytes().startswith(b"\x89PNG")
    assert Explanation.load(found.save(tmp_path / "it.NPZ")).evals == found.evals


def test_an_explanation_is_itself_alone(found: Explanation) -> None:
    assert found == found
    assert found != replace(found)
    assert {found}


def test_another_target_does_not_stop_for_the_reason_of_the_first() -> None:
    model = share_seen(box(IMAGE))
    found = refined(model, IMAGE, None, max_evals=60)
    assert found.for_target(0).stop_reason == f"asked about {found.target.label}"

    def unmoved(batch: np.ndarray) -> np.ndarray:
        p = model(batch)
        return np.concatenate([0 * p[:, :1] + 0.5, 0.5 * p], axis=1)

    never = refined(unmoved, IMAGE, max_evals=60)
    assert "does not depend on what is hidden" in never.for_target(0).stop_reason


def test_what_the_scores_are_may_be_said_for_another_target() -> None:
    model = share_seen(box(IMAGE))

    def gates(batch: np.ndarray) -> np.ndarray:  # in [0, 1], and no probabilities of one class among several
        return np.clip(2 * model(batch), 0, 1)

    found = refined(gates, IMAGE, None, target=lambda scores: scores[:, 1], max_evals=60)
    with pytest.raises(InputError, match="Say which: output="):
        found.for_target(1)
    assert found.for_target(1, output="probabilities").target.index == 1


def test_a_map_that_was_kept_is_not_called_refined(monkeypatch: pytest.MonkeyPatch) -> None:
    found = refined(linear(bumps(IMAGE)), IMAGE, hint(IMAGE), max_evals=60)
    titles: list[list[str]] = []
    monkeypatch.setattr("borex.media.write.panel", lambda pictures, names: titles.append(list(names)))
    assert found.check is not None
    for chosen in ("refined", "initial"):
        replace(found, check=replace(found.check, chosen=chosen)).panel()
    initial, refined_map, std = (
        f"{values.min():.2g} to {values.max():.2g}"
        for values in (found.initial, found.smooth(found.saliency), found.smooth(found.std))
    )
    assert titles[0] == ["input", f"initial map, {initial}", f"refined map, {refined_map}", f"std, {std}"]
    assert titles[1][2].startswith("initial map, kept, ")


def test_pictures_say_that_nothing_stands_out(monkeypatch: pytest.MonkeyPatch) -> None:
    found = refined(linear(bumps(IMAGE)), IMAGE, None, max_evals=60)
    titles: list[list[str]] = []
    monkeypatch.setattr("borex.media.write.panel", lambda pictures, names: titles.append(list(names)))
    for shown in (found, replace(found, std=found.std + 10 * np.abs(found.saliency).max())):
        assert ("nothing stands out" in shown.summary()) == shown.nothing_stands_out == (shown is not found)
        shown.panel()
        assert shown.title().endswith("; nothing stands out") == (shown is not found)
        assert shown.plot().get_suptitle() == shown.title()
    assert titles[0][1].startswith("refined map, ")
    assert titles[1][1].startswith("refined map: nothing stands out, ")


def test_the_first_round_has_no_change_to_be_drawn() -> None:
    found = refined(linear(bumps(IMAGE)), IMAGE, None, max_evals=100)
    (axis,) = [axis for axis in found.plot().axes if axis.get_title(loc="left") == "change of ranking"]
    drawn = axis.get_lines()[0].get_xydata()
    known = [(entry["evals"], entry["change"]) for entry in found.history if "change" in entry]
    np.testing.assert_allclose(drawn, known[1:])
    assert drawn[:, 1].max() < 1


def test_without_media_it_asks_for_it() -> None:
    model = share_seen(box(IMAGE))
    refiner = Refiner(IMAGE, target=1, max_evals=20)
    masks = refiner.ask()
    refiner.tell(masks, scores_of(model, masks))
    found = refiner.result()
    with pytest.raises(InputError, match=r"holds no media; give it: overlay\(media\)"):
        found.overlay()
    shown = np.zeros((*IMAGE, 3), dtype=np.uint8)
    assert found.overlay(shown).shape == (*IMAGE, 3)
    assert found.panel(shown).ndim == 3
    assert len(found.plot(shown).axes) > 2
    assert "not finished" in found._repr_html_()
    assert isinstance(found, borex.Explanation)
    unused: Any = found.at(np.zeros((21, 28, 3), dtype=np.uint8), None)
    assert unused.saliency.shape == (21, 28)


def test_a_small_picture_has_a_panel_that_can_be_seen() -> None:
    found = borex.refine(share_seen(box((20, 30))), ones((20, 30), 3), target=1, max_evals=24, layout="HWC", baseline=0)
    height, width = found.panel().shape[:2]
    assert height > 100
    assert width > 3 * 160


def test_an_explanation_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = borex.refine(share_seen(box((20, 30))), ones((20, 30)), target=1, max_evals=24, layout="HWC", baseline=0)
    found.save(tmp_path / "a.npz")
    before = (tmp_path / "a.npz").read_bytes()

    def interrupted(file: Any, **_: Any) -> None:
        file.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "savez_compressed", interrupted)
    with pytest.raises(KeyboardInterrupt):
        found.save(tmp_path / "a.npz")
    assert (tmp_path / "a.npz").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]


def test_a_name_may_be_as_long_as_the_file_system_has_it(tmp_path: Path) -> None:
    found = borex.refine(share_seen(box((20, 30))), ones((20, 30)), target=1, max_evals=24, layout="HWC", baseline=0)
    found.save(tmp_path / ("y" * 251 + ".npz"))
    with pytest.raises(FileError, match="File name too long"):
        found.save(tmp_path / ("y" * 300 + ".npz"))


def test_a_target_of_numpys_integers_is_saved(tmp_path: Path) -> None:
    target = Target(np.int64(1), "x", against=np.int64(0))  # type: ignore[arg-type]
    found = borex.refine(share_seen(box((9, 9))), ones((9, 9)), target=target, max_evals=24, layout="HWC", baseline=0)
    found.save(tmp_path / "a.npz")
    assert Explanation.load(tmp_path / "a.npz").target == Target(1, "x", against=0)


def test_media_is_shown_in_whatever_layout_it_comes(tmp_path: Path) -> None:
    media = np.random.default_rng(0).integers(0, 255, (*IMAGE, 3)).astype(np.uint8)
    found = driven(Refiner(IMAGE, target=1, max_evals=20), linear(bumps(IMAGE))).result()
    assert np.array_equal(found.overlay(media.transpose(2, 0, 1)), found.overlay(media))
    assert np.array_equal(found.panel(media[..., 0]), found.panel(media[..., :1]))
    with pytest.raises(InputError, match=r"extent \(7, .*expected the media that was explained"):
        found.overlay(np.stack([media] * 7))


def test_it_is_brought_to_media_in_whatever_layout_it_comes() -> None:
    media = np.random.default_rng(0).integers(0, 255, (31, 44, 3)).astype(np.uint8)
    found = driven(Refiner(IMAGE, target=1, max_evals=20), linear(bumps(IMAGE))).result()
    expected = found.at(media, None)
    assert expected.saliency.shape == (31, 44)
    assert expected.media is not None
    for shown, layout in ((media.transpose(2, 0, 1), "auto"), (media.transpose(2, 0, 1)[None], "NCHW")):
        same = found.at(shown, None, layout=layout)
        assert np.array_equal(same.saliency, expected.saliency)
        assert np.array_equal(same.media, expected.media)  # type: ignore[arg-type]
    grey = found.at(media[..., 0], None)
    assert grey.saliency.shape == (31, 44)
    assert grey.media is not None
    assert grey.media.shape == (31, 44, 1)
    many = np.zeros((31, 44, 7))
    assert found.at(many, None, layout="HWC").media is many
    with pytest.raises(InputError, match=r"extent \(7, .*expected the media that was explained"):
        found.at(np.stack([media] * 7), None)
