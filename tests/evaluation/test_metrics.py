"""All scores at once: the same as one by one, for fewer evaluations."""

import subprocess
import sys

import numpy as np
import pytest

from borex.errors import InputError
from borex.evaluation import deletion, insertion, localisation, score
from tests.evaluation import oracles


def random_case(extent, seed=0):
    rng = np.random.default_rng(seed)
    media = rng.integers(0, 256, (*extent, 3)).astype(np.uint8)
    return media, rng.normal(size=extent), rng.normal(size=media.shape) / 20


@pytest.mark.parametrize("extent", [(7, 5), (4, 7, 5)])
@pytest.mark.parametrize("steps", [1, 2, 9])
def test_all_at_once_is_one_by_one(extent, steps):
    media, saliency, weights = random_case(extent)
    model = oracles.weighted(weights)
    inside = np.zeros(extent, dtype=bool)
    inside[:2, 1:3] = True
    seen: list[int] = []
    found = score(
        oracles.weighted(weights, seen),
        media,
        saliency,
        3,
        baseline=128,
        object_mask=inside,
        steps=steps,
        batch_size=4,
        tolerance=1,
    )
    for ours, alone in (
        (found.insertion_blur, insertion(model, media, saliency, 3, steps=steps)),
        (found.insertion_baseline, insertion(model, media, saliency, 3, start=128, steps=steps)),
        (found.deletion, deletion(model, media, saliency, 3, baseline=128, steps=steps)),
    ):
        assert ours.shares.tobytes() == alone.shares.tobytes()
        np.testing.assert_allclose(ours.scores, alone.scores, rtol=1e-14)
        assert ours.auc == pytest.approx(alone.auc, rel=1e-14)
    assert found.localisation == localisation(saliency, inside, tolerance=1)
    assert found.evals == sum(seen) == 3 * steps
    assert max(seen) <= 4
    assert found.insertion_blur_minus_deletion == found.insertion_blur.auc - found.deletion.auc


def test_the_row_holds_every_score_that_applies():
    media, saliency, weights = random_case((4, 7, 5))
    inside = np.zeros((4, 7, 5), dtype=bool)
    inside[1:3, 2] = True
    curves = ["insertion_blur", "insertion_baseline", "deletion", "insertion_blur_minus_deletion"]
    places = ["pointing_game", "average_precision", "best_f1", "mean_f1", "published_product"]

    def row(object_mask, saliency=saliency, media=media, weights=weights):
        found = score(oracles.weighted(weights), media, saliency, 3, baseline=0, object_mask=object_mask, steps=3)
        return found.as_dict()

    assert list(row(None)) == curves
    assert list(row(inside)) == [*curves, *places, "time_average_precision", "time_pointing_game"]
    assert list(row(inside[1], saliency[1], media[1], weights[1])) == curves + places
    assert {type(value) for value in row(inside).values()} == {float}


@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_the_batch_size_changes_no_bit(batch_size):
    media, saliency, weights = random_case((3, 7, 5))
    found = score(oracles.weighted(weights), media, saliency, 3, baseline=0, steps=11, batch_size=batch_size)
    whole = score(oracles.weighted(weights), media, saliency, 3, baseline=0, steps=11)
    assert found.as_dict() == whole.as_dict()


def test_a_perfect_map_gets_the_best_scores_and_the_worst_map_the_worst():
    media, _, _ = random_case((9, 8))
    inside = np.zeros((9, 8), dtype=bool)
    inside[2:4, 3:6] = True
    media[inside], n, m = 255, inside.size, int(inside.sum())
    model = oracles.all_visible(media, inside)
    perfect = score(model, media, inside * 1.0, 1, baseline=0, object_mask=inside, steps=n, tolerance=0).as_dict()
    assert perfect["insertion_blur"] == pytest.approx((n - m + 0.5) / n)
    assert perfect["deletion"] == pytest.approx(0.5 / n)
    assert perfect["pointing_game"] == perfect["average_precision"] == perfect["best_f1"] == 1.0
    worst = score(model, media, -1.0 * inside, 1, baseline=0, object_mask=inside, steps=n, tolerance=0).as_dict()
    assert worst["insertion_blur"] == pytest.approx(0.5 / n)
    assert worst["deletion"] == pytest.approx((n - m + 0.5) / n)
    assert worst["pointing_game"] == 0.0


def test_a_mask_of_another_shape_is_refused_before_the_model_is_asked():
    media, saliency, weights = random_case((7, 5))
    seen: list[int] = []
    with pytest.raises(InputError, match=r"shape \(7, 5\); expected \(5, 7\), the extent of the object mask"):
        score(oracles.weighted(weights, seen), media, saliency, 3, baseline=0, object_mask=np.eye(5, 7) > 0)
    with pytest.raises(InputError, match="uint8 media holds 0 to 255"):
        score(oracles.weighted(weights, seen), media, saliency, 3, baseline=256)
    assert seen == []


FRAMEWORKS = ["scipy.stats", "scipy.ndimage", "sklearn", "skimage", "matplotlib", "torch", "onnxruntime"]


def imported_by(code):
    say = f"import sys; {code}; print([name for name in {FRAMEWORKS} if name in sys.modules])"
    return subprocess.run([sys.executable, "-c", say], capture_output=True, text=True, check=True).stdout.strip()


def test_importing_the_metrics_imports_no_framework():
    assert imported_by("import borex.evaluation") == "[]"


def test_the_test_above_can_fail():
    assert imported_by("import borex.evaluation, scipy.ndimage") == "['scipy.ndimage']"
