"""method="paper" against slow oracles: scikit-learn's GP, a dense grid, sums written out window by window."""

import subprocess
import sys
from itertools import product

import numpy as np
import pytest

from borex import published as module
from borex.errors import InputError
from borex.published import Published, candidate_axes
from borex.windows import box_means
from tests.closed_form import interrupted
from tests.test_windows import at_bounds, sklearn_gp


def box_model(extent, lower, upper, seed=0):
    """A black box whose score is the share of a box that it sees, the truth, and a noisy hint of it as initial map."""
    truth = np.zeros(extent)
    truth[tuple(slice(a, b) for a, b in zip(lower, upper, strict=True))] = 1.0
    hint = truth + np.random.default_rng(seed).normal(0, 1.0, extent)
    return lambda masks: (masks * truth).reshape(len(masks), -1).sum(axis=1) / truth.sum(), truth, hint


def run(extent, initial, model, rounds, seed=0, **settings):
    published = Published(extent, initial, np.random.default_rng(seed), **settings)
    for _ in range(rounds):
        published.tell(model(published.ask()))
    return published


MODELS = {
    (20, 26): box_model((20, 26), (4, 12), (11, 22)),
    (5, 8, 11): box_model((5, 8, 11), (1, 2, 5), (4, 6, 9)),
}


@at_bounds
@pytest.mark.parametrize("extent", MODELS)
def test_whole_loop_equals_a_dense_oracle(extent):
    model, _, initial = MODELS[extent]
    early, side, axes = extent[:-2], min(extent[-2:]), len(extent)
    widths = sorted({max(1, round(side / 224 * r)) for r in (30, 45, 60, 75)})
    lengths = [sorted({max(1, round(size * share)) for share in (1 / 8, 1 / 4, 1 / 2)}) for size in early]
    windows = np.array(list(product(*map(range, extent), widths, *lengths)))
    prior_map = initial / np.abs(initial).mean() * 0.1
    prior = prior_map[tuple(windows[:, :axes].T)]

    def reach(window):
        return [*window[axes + 1 :], window[axes], window[axes]]

    def seen_through(window):
        mask = np.zeros(extent, dtype=bool)
        mask[tuple(slice(max(c - h, 0), c + h) for c, h in zip(window, reach(window), strict=False))] = True
        return mask

    unit = np.array([*early, side, side, side, *early]) / 224
    start = unit * ([12.0] * axes + [10.0] * (1 + len(early)))
    jitter = unit * ([1.0] * axes + [0.5] * (1 + len(early)))
    rng, points, residuals, asked = np.random.default_rng(3), [], [], []
    mean, std = prior, np.ones(len(windows))
    for _ in range(8):
        acquisition = mean + 10 * std
        best = np.flatnonzero(acquisition > acquisition.max() - 1e-9)[0]
        kept, hidden = model(np.stack([seen_through(windows[best]), ~seen_through(windows[best])]))
        asked.append(windows[best])
        points.append(windows[best] + rng.normal(size=len(unit)) * jitter)
        residuals.append(np.tanh(10 * (kept - hidden) / 2) - prior[best])
        gp = sklearn_gp(np.array(points), np.array(residuals), start, (unit, 20 * unit))
        mean, std = gp.predict(windows, return_std=True)
        mean = mean + prior

    published = run(extent, initial, model, 8, seed=3)
    assert published.windows.tolist() == np.array(asked).tolist()
    assert published.points == pytest.approx(np.array(points))

    # The map and its deviation, from the dense posterior, pixel by pixel.
    _, covariance = gp.predict(windows, return_cov=True)
    saliency, deviation = published.posterior()
    shapes = np.unique(windows[:, axes:], axis=0)
    for pixel in list(product(*map(range, extent)))[::17]:
        weights = np.zeros(len(windows))
        for shape in shapes:
            same = (windows[:, axes:] == shape).all(axis=1)
            radii = [*shape[1:], shape[0], shape[0]]
            near = same & (np.abs(windows[:, :axes] - pixel) <= radii).all(axis=1)
            weights += near / near.sum() / len(shapes)
        assert saliency[pixel] == pytest.approx(weights @ mean, abs=1e-6)
        assert deviation[pixel] == pytest.approx(np.sqrt(weights @ covariance @ weights), abs=1e-5)


def test_recovers_a_box():
    """All that a window does is known in closed form here, so the map of infinitely many rounds is known too."""
    extent, lower, upper = (56, 64), (12, 30), (30, 50)
    model, truth, hint = box_model(extent, lower, upper)
    (*centres, widths), _ = candidate_axes(extent)
    expected = np.zeros(extent)
    for r in widths:
        overlaps = [
            np.clip(np.minimum(at + r, end) - np.maximum(at - r, start), 0, None) / (end - start)
            for at, start, end in zip(centres, lower, upper, strict=True)
        ]
        saliency = np.tanh(5 * (2 * np.outer(*overlaps) - 1))  # the share kept less the share hidden
        rows, columns = (box_means(size, at, r) for size, at in zip(extent, centres, strict=True))
        expected += rows @ saliency @ columns.T / len(widths)

    saliency, _ = run(extent, hint - truth, model, 80).posterior()  # from nothing but noise
    assert np.corrcoef(saliency.ravel(), expected.ravel())[0, 1] > 0.9
    assert truth[np.unravel_index(saliency.argmax(), extent)] == 1


def test_candidates_are_the_published_ones_at_224():
    axes, strides = candidate_axes((224, 224))
    assert np.prod([len(values) for values in axes]) == 200_704
    assert axes[2].tolist() == [30, 45, 60, 75]
    assert axes[0].tolist() == axes[1].tolist() == list(range(224))
    assert strides.tolist() == [1, 1]


def test_first_window_is_the_smallest_at_the_peak_and_is_cut_at_the_border():
    initial = np.random.default_rng(0).uniform(0, 1, (224, 224))
    initial[3, 220] = 2.0
    published = Published((224, 224), initial, np.random.default_rng(0))
    kept, hidden = published.ask()
    expected = np.zeros((224, 224), dtype=bool)
    expected[0:33, 190:224] = True
    assert (kept == expected).all()
    assert (hidden == ~expected).all()
    assert (published.ask()[0] == kept).all()
    published.tell(np.array([0.5, 0.5]))
    assert published.windows.tolist() == [[3, 220, 30]]
    assert not np.allclose(published.points[0], [3, 220, 30])


def test_windows_in_clips_have_half_lengths():
    initial = np.random.default_rng(0).uniform(0, 1, (8, 30, 40))
    initial[6, 20, 11] = 2.0
    published = Published((8, 30, 40), initial, np.random.default_rng(0))
    kept, _ = published.ask()
    expected = np.zeros((8, 30, 40), dtype=bool)
    expected[5:7, 16:24, 7:15] = True
    assert (kept == expected).all()
    published.tell(np.array([0.9, 0.1]))
    assert published.windows.tolist() == [[6, 20, 11, 4, 1]]
    saliency, std = published.posterior()
    assert saliency.shape == std.shape == (8, 30, 40)
    assert saliency[6, 20, 11] > saliency[0, 2, 38]
    assert std[6, 20, 11] < std[0, 20, 11]


def test_a_clip_of_one_frame_equals_its_image():
    model, _, initial = MODELS[20, 26]
    image = run((20, 26), initial, model, 8)
    clip = run((1, 20, 26), initial[None], model, 8)
    assert (clip.windows[:, 1:4] == image.windows).all()
    for of_clip, of_image in zip(clip.posterior(), image.posterior(), strict=True):
        assert of_clip[0] == pytest.approx(of_image, abs=1e-12)


def test_centres_are_thinned_where_there_would_be_too_many(monkeypatch):
    model, initial, _ = MODELS[20, 26]  # the truth, which is smoother than the hint
    full = run((20, 26), initial, model, 15)
    monkeypatch.setattr(module, "MAX_CANDIDATES", 600)
    axes, strides = candidate_axes((20, 26))
    assert strides.tolist() == [2, 2]
    assert np.prod([len(values) for values in axes]) <= 600
    thinned = Published((20, 26), initial, np.random.default_rng(0))
    thinned.observe(full.windows, full.scores, full.points)
    for thin, fine in zip(thinned.posterior(), full.posterior(), strict=True):
        assert thin == pytest.approx(fine, abs=0.15)  # the smallest box holds 3 or 4 centres a side instead of 7
    thinned.tell(model(thinned.ask()))
    assert all(coordinate in values for coordinate, values in zip(thinned.windows[-1], axes, strict=True))


def test_map_does_not_depend_on_slabs(monkeypatch):
    for extent, (model, _, initial) in MODELS.items():
        published = run(extent, initial, model, 4)
        whole = published.posterior()
        monkeypatch.setattr(module, "SLAB_BYTES", 2000)
        for part, expected in zip(published.posterior(), whole, strict=True):
            assert part == pytest.approx(expected, abs=1e-12)
        monkeypatch.undo()


def test_transposed_record_gives_the_transposed_map():
    model, _, initial = MODELS[20, 26]
    published = run((20, 26), initial, model, 8)
    turned = Published((26, 20), initial.T, np.random.default_rng(0))
    swap = [1, 0, 2]
    turned.observe(published.windows[:, swap], published.scores, published.points[:, swap])
    for part, expected in zip(turned.posterior(), published.posterior(), strict=True):
        assert part == pytest.approx(expected.T, abs=1e-6)


def test_a_record_is_replayed_exactly():
    model, _, initial = MODELS[20, 26]
    published = run((20, 26), initial, model, 7)
    with_points = Published((20, 26), initial, np.random.default_rng(99))
    with_points.observe(published.windows[:4], published.scores[:4], published.points[:4])
    with_points.observe(published.windows[4:], published.scores[4:], published.points[4:])
    same_seed = Published((20, 26), initial, np.random.default_rng(0))
    same_seed.observe(published.windows, published.scores)
    again = run((20, 26), initial, model, 7)
    for other in (with_points, same_seed, again):
        assert (other.points == published.points).all()
        assert (other.ask() == published.ask()).all()
        for one, two in zip(other.posterior(), published.posterior(), strict=True):
            assert (one == two).all()
    assert (run((20, 26), initial, model, 7, seed=1).points != published.points).all()


def test_gain_shapes_the_saliency():
    initial, answer = np.zeros((20, 26)), np.array([0.6, 0.4])
    maps = {}
    for gain in (0.0, 1e-3, 10.0):
        published = run((20, 26), initial, lambda masks: answer, 1, gain=gain)
        maps[gain] = published.posterior()[0]
    assert maps[10.0] == pytest.approx(maps[0.0] * np.tanh(1.0) / 0.2)
    assert maps[1e-3] == pytest.approx(maps[0.0] * 5e-4, rel=1e-6)


def test_prior_alone_is_the_initial_map_averaged():
    initial = np.full((20, 26), 7.0)
    saliency, std = Published((20, 26), initial, np.random.default_rng(0)).posterior()
    assert saliency == pytest.approx(0.1)  # its mean absolute value, whatever the scale
    assert (std > 0).all()
    assert (std < 1).all()
    assert std[10, 13] < std[0, 0]  # the box is cut at the corner, so fewer windows are averaged


def test_flat_initial_map_is_no_prior():
    model, truth, _ = MODELS[20, 26]
    published = run((20, 26), np.zeros((20, 26)), model, 25)
    assert published.windows[0].tolist() == [0, 0, 3]  # every window is as good: the first
    saliency, std = published.posterior()
    assert np.isfinite(std).all()
    assert saliency[truth == 1].mean() > saliency[truth == 0].mean() + 0.1


def test_errors_say_what_is_expected():
    rng, initial = np.random.default_rng(0), np.zeros((20, 26))
    with pytest.raises(InputError, match=r"shape \(20, 26\); expected the extent \(26, 20\)"):
        Published((26, 20), initial, rng)
    with pytest.raises(InputError, match=r"the extent is \(26,\); expected \(H, W\)"):
        Published((26,), initial[0], rng)
    published = Published((20, 26), initial, rng)
    with pytest.raises(InputError, match="tell came before ask"):
        published.tell(np.array([0.5, 0.5]))
    published.ask()
    with pytest.raises(InputError, match=r"scores \(1, 3\); expected \(n, 3\) and \(n, 2\)"):
        published.tell(np.zeros(3))
    with pytest.raises(InputError, match="centre lies outside"):
        published.observe(np.array([[20, 3, 3]]), np.zeros((1, 2)))
    with pytest.raises(InputError, match="expected one for each"):
        published.observe(np.array([[2, 3, 3]]), np.zeros((1, 2)), np.zeros((2, 3)))
    published.tell(np.array([0.5, 0.5]))
    with pytest.raises(InputError, match="each answer is told once"):
        published.tell(np.array([0.5, 0.5]))


def test_importing_it_imports_no_scipy():
    code = "import sys, borex.published; print([name for name in sys.modules if name.startswith('scipy')])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
    code = code.replace("borex.published", "borex.published, scipy.optimize")
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout != "[]\n"


@pytest.mark.parametrize("extent", [(9, 11), (3, 5, 6)])
def test_the_profile_is_the_mean_over_space_and_its_std_has_the_covariances_in_it(extent):
    model, _, initial = box_model(extent, [1] * len(extent), [2, 4, 5][-len(extent) :])
    published = run(extent, initial, model, 5)
    mean, std = published.profile()
    saliency, cellwise = published.posterior()
    assert mean.shape == std.shape == extent[:-2]
    np.testing.assert_allclose(mean, saliency.mean(axis=(-2, -1)), atol=1e-12)
    assert (std <= cellwise.mean(axis=(-2, -1)) + 1e-12).all()
    np.testing.assert_allclose(std, dense_profile_std(published), rtol=1e-6)


def dense_profile_std(published):
    """The kernel of all windows written out: std of the mean over space of the map, window by window."""
    gp, n = published._gp(), len(published.extent)
    windows = np.array(list(product(*published._axes)), dtype=float)
    shapes = list(product(*published._axes[n:]))

    def kernel(a, b):
        r = np.sqrt(3 * (((a[:, None] - b[None]) / gp.length_scales) ** 2).sum(axis=2))
        return (1 + r) * np.exp(-r)

    early = list(product(*map(range, published.extent[:-2])))
    weights = np.zeros((len(early), len(windows)))
    for pixel in product(*map(range, published.extent)):
        row = early.index(pixel[:-2])
        for shape in shapes:
            half = [*shape[1:], shape[0], shape[0]]
            near = (windows[:, n:] == shape).all(axis=1) & (np.abs(windows[:, :n] - pixel) <= half).all(axis=1)
            weights[row, near] += 1 / (near.sum() * len(shapes) * np.prod(published.extent[-2:]))
    prior = kernel(windows, windows)
    cross = gp.whiten @ kernel(gp.points, windows)
    covariance = weights @ (prior - cross.T @ cross) @ weights.T
    return np.sqrt(np.diag(covariance)).reshape(published.extent[:-2])


@pytest.mark.parametrize("at", [1, 2, 3])
def test_an_interrupt_while_observing_leaves_all_or_nothing(at: int, monkeypatch: pytest.MonkeyPatch) -> None:
    windows = Published((20, 20), np.zeros((20, 20)), np.random.default_rng(0))
    windows.ask()
    with monkeypatch.context() as patch:
        patch.setattr(np, "concatenate", interrupted(np.concatenate, at))
        with pytest.raises(KeyboardInterrupt):
            windows.tell(np.array([0.7, 0.2]))
    assert len(windows.windows) == len(windows.points) == len(windows.scores) == 0
    windows.tell(np.array([0.7, 0.2]))
    assert len(windows.windows) == 1
