"""Train MotionNet on clips made on the fly and export it to ONNX, as the embedded one was.

    python benchmarks/motionnet.py --quick --out out/motionnet             # seconds: shows that every step runs
    python benchmarks/motionnet.py --clips 4000 --out out/motionnet        # 6 minutes of a core: it begins to learn
    python benchmarks/motionnet.py --photos DIR --device cuda --out DIR    # 1.19 million clips: a GPU and many workers

Needs torch and onnx. Backgrounds: the photos of a folder; without --photos those of scikit-image, which are few. The
sprites are drawn (`examples/motion_clips.py`); the embedded weights were trained with pictures as sprites. Prints, for
clips that were not trained on, the share that is named right and the mean probability of the truth.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))
from borex.baselines import box_blur
from borex.media.read import read_image
from motion_clips import MOTIONS, SIDE, MotionClip, T, motion_clip

CLIPS, BATCH, LEARNING_RATE, WEIGHT_DECAY, SMOOTHING = 1_190_000, 128, 3e-3, 0.05, 0.03
QUICK_CLIPS, QUICK_BATCH, QUICK_TESTED = 12, 4, 9
STEPS = 250  # fewer clips than BATCH times this are learned from in smaller batches
TESTED = 1152
PHOTOS = (".jpg", ".jpeg", ".png")
# Shares of the clips in which something is hidden; see `with_parts_hidden`.
CUBOIDS, NEIGHBOURHOOD, GONE, STILL = 0.33, 0.10, 0.07, 0.03


class Block(nn.Module):
    """A convolution in space and one in space-time around a shortcut."""

    def __init__(self, width_in: int, width: int, stride: tuple[int, int, int] = (1, 1, 1)) -> None:
        super().__init__()
        time_stride, *space = stride
        self.conv1 = nn.Conv3d(width_in, width, (1, 3, 3), (1, *space), (0, 1, 1), bias=False)
        self.norm1 = nn.BatchNorm3d(width)
        self.conv2 = nn.Conv3d(width, width, 3, (time_stride, 1, 1), 1, bias=False)
        self.norm2 = nn.BatchNorm3d(width)
        self.relu1, self.relu2 = nn.ReLU(), nn.ReLU()
        self.skip: nn.Module = nn.Identity()
        if stride != (1, 1, 1) or width_in != width:
            self.skip = nn.Sequential(nn.Conv3d(width_in, width, 1, stride, bias=False), nn.BatchNorm3d(width))

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu1(self.norm1(self.conv1(x)))
        return self.relu2(self.norm2(self.conv2(y)) + self.skip(x))


class MotionNet(nn.Module):
    """Clips, float32 `(n, 3, T, H, W)` in [0, 1], to logits `(n, 9)` in the order of MOTIONS."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.full((1, 3, 1, 1, 1), 0.45))
        self.register_buffer("std", torch.full((1, 3, 1, 1, 1), 0.25))
        first = nn.Conv3d(3, 24, (3, 5, 5), (1, 2, 2), (1, 2, 2), bias=False)
        self.stem = nn.Sequential(first, nn.BatchNorm3d(24), nn.ReLU())
        self.blocks = nn.Sequential(
            Block(24, 32, (2, 2, 2)), Block(32, 64, (2, 2, 2)), Block(64, 64), Block(64, 128, (1, 2, 2))
        )
        self.pool, self.head = nn.AdaptiveAvgPool3d(1), nn.Linear(128, len(MOTIONS))

    def forward(self, clip: Tensor) -> Tensor:
        features = self.blocks(self.stem((clip - self.mean) / self.std))
        return self.head(self.pool(features).flatten(1))


# Masked inputs are part of training, so that the network knows what explanations will ask it.


def with_parts_hidden(clip: MotionClip, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The clip as float32 in [0, 1], perhaps with parts hidden, and the classes it is to be taken for, `(9,)`.

    One to four cuboids, or all but them, are hidden where enough of the actor stays; or all but a box around its path,
    or the frames around its motion; then it keeps its class. Where the actor is hidden for its whole stretch, nothing
    is left to tell: every class is as likely.
    """
    frames = clip.frames.astype(np.float32) / 255
    truth = (np.array(MOTIONS) == clip.motion).astype(np.float32)
    unknown = np.full(len(MOTIONS), 1 / len(MOTIONS), dtype=np.float32)
    if clip.motion == "still":
        return frames, unknown
    kind = rng.choice(4, p=[CUBOIDS, NEIGHBOURHOOD, GONE, 1 - CUBOIDS - NEIGHBOURHOOD - GONE])
    if kind == 3:
        return frames, truth
    around = _box_around(clip.mask, int(rng.integers(3, 9)))
    if kind == 0:
        kept = _cuboids(rng)
        if not _enough(clip.mask, kept):
            return frames, truth
    elif kind == 1:
        kept = np.ones(clip.mask.shape, np.float32)
        which = rng.integers(3)
        if which != 1:
            kept *= around.any(axis=0)
        if which != 0:
            kept[: max(0, clip.start - 2)] = kept[clip.end + 3 :] = 0
    else:
        hidden = around if rng.random() < 0.5 else np.ones_like(around)
        kept = np.ones(clip.mask.shape, np.float32)
        first = max(0, clip.start - 1)
        kept[first : clip.end + 2] *= ~(hidden.any(axis=0))
    kept = kept[..., None]
    return kept * frames + (1 - kept) * _fill(frames, rng), unknown if kind == 2 else truth


def _cuboids(rng: np.random.Generator) -> np.ndarray:
    """What is kept, float32 in [0, 1]: all but one to four cuboids, or they alone; hard or soft."""
    from scipy.ndimage import uniform_filter

    inside = np.zeros((T, SIDE, SIDE), np.float32)
    for _ in range(rng.integers(1, 5)):
        half = rng.uniform(0.08, 0.3, 3) * inside.shape
        centre = rng.uniform(0, 1, 3) * inside.shape
        lower, upper = np.maximum(centre - half, 0).astype(int), (centre + half).astype(int) + 1
        inside[tuple(slice(a, b) for a, b in zip(lower, upper, strict=True))] = 1
    if rng.random() < 0.5:
        inside = uniform_filter(inside, (3, 9, 9))
    return inside if rng.random() < 0.3 else 1 - inside


def _enough(mask: np.ndarray, kept: np.ndarray) -> bool:
    """Whether 60 % of the actor stay, and 25 % in each of its frames."""
    seen = (mask * kept).sum(axis=(1, 2))[mask.any(axis=(1, 2))]
    there = mask.sum(axis=(1, 2))[mask.any(axis=(1, 2))]
    return bool(len(there)) and seen.sum() >= 0.6 * there.sum() and bool((seen >= 0.25 * there).all())


def _box_around(mask: np.ndarray, margin: int) -> np.ndarray:
    """Bool, like the mask: in every frame the box around the actor's whole path."""
    box = np.zeros_like(mask)
    rows, columns = (np.flatnonzero(mask.any(axis=axes)) for axes in ((0, 2), (0, 1)))
    if len(rows):
        y, x = (slice(max(0, at[0] - margin), at[-1] + margin + 1) for at in (rows, columns))
        box[:, y, x] = True
    return box


def _fill(frames: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """What is seen where something is hidden: the clip's mean colour, black, grey, or its blur."""
    kind = rng.integers(4)
    return [frames.mean(axis=(0, 1, 2)), np.zeros(3), np.full(3, 0.45)][kind] if kind < 3 else box_blur(frames, 0.23)


class Clips(torch.utils.data.IterableDataset):
    """Clips without end, `(clip, classes)`, none twice; each worker has a seed of its own."""

    def __init__(self, photos: list[np.ndarray], seed: int) -> None:
        self._photos, self._seed = photos, seed

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        worker = torch.utils.data.get_worker_info()
        rng = np.random.default_rng([self._seed, 0 if worker is None else worker.id])
        while True:
            motion = "still" if rng.random() < STILL else MOTIONS[rng.integers(len(MOTIONS))]
            frames, classes = with_parts_hidden(motion_clip(motion, self._photos, rng), rng)
            clip = np.ascontiguousarray(frames.transpose(3, 0, 1, 2), dtype=np.float32)
            yield torch.from_numpy(clip), torch.from_numpy(classes)


def trained(net: MotionNet, clips: Clips, n: int, batch: int, workers: int, device: str) -> MotionNet:
    """The network after `n` clips, in eval mode on the CPU."""
    # With autocast, 2.5 times as fast on a CPU that has bfloat16.
    wide: Any = {"device": device, "memory_format": torch.channels_last_3d}
    net.to(**wide).train()
    optimiser = torch.optim.AdamW(net.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    steps = -(-n // batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, LEARNING_RATE, total_steps=steps + 1)
    begun = time.perf_counter()
    loader = torch.utils.data.DataLoader(clips, batch_size=batch, num_workers=workers)
    for step, (x, classes) in zip(range(steps), loader, strict=False):
        with torch.autocast(device, dtype=torch.bfloat16):
            loss = nn.functional.cross_entropy(net(x.to(**wide)), classes.to(device), label_smoothing=SMOOTHING)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        if step % max(1, steps // 20) == 0:
            print(f"step {step} of {steps}: loss {loss.item():.3f}, {time.perf_counter() - begun:.0f} s", flush=True)
    return net.eval().to("cpu", memory_format=torch.contiguous_format)


def tested(net: MotionNet, photos: list[np.ndarray], n: int, seed: int) -> tuple[float, float]:
    """Of `n` clips with nothing hidden: the share that is named right, the mean probability of the truth."""
    rng = np.random.default_rng(seed)
    chances = []
    for first in range(0, n, 32):
        motions = [MOTIONS[i % len(MOTIONS)] for i in range(first, min(first + 32, n))]
        clips = np.stack([motion_clip(motion, photos, rng).frames for motion in motions])
        x = torch.from_numpy(clips).permute(0, 4, 1, 2, 3).float() / 255
        with torch.inference_mode():
            chances.append(net(x).softmax(1).numpy())
    every, truth = np.concatenate(chances), np.arange(n) % len(MOTIONS)
    return float((every.argmax(axis=1) == truth).mean()), float(every[np.arange(n), truth].mean())


def export(net: MotionNet, folder: Path) -> Path:
    """Writes motionnet.onnx and labels.txt, in the interface of the embedded model; the path of the first."""
    import onnx

    path = folder / "motionnet.onnx"
    free = {"clip": {0: "batch"}, "logits": {0: "batch"}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # this exporter writes opset 17, which old runtimes read
        torch.onnx.export(
            net, (torch.zeros(1, 3, T, SIDE, SIDE),), str(path), input_names=["clip"], output_names=["logits"],
            dynamic_axes=free, opset_version=17, dynamo=False,
        )  # fmt: skip
    graph = onnx.load(path)
    graph.metadata_props.add(key="labels", value=",".join(MOTIONS))
    onnx.save(graph, path)
    (folder / "labels.txt").write_text("\n".join(MOTIONS) + "\n", encoding="utf-8")
    return path


def photos_of(folder: Path | None) -> list[np.ndarray]:
    """The photos in a folder; without one those of scikit-image with a free licence."""
    if folder is not None:
        return [
            read_image(path) for path in sorted(folder.iterdir()) if path.suffix.lower() in (".jpg", ".jpeg", ".png")
        ]
    from skimage import data

    return [data.chelsea(), data.coffee(), data.rocket(), data.astronaut(), data.hubble_deep_field()]


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, help="a folder of backgrounds")
    parser.add_argument("--out", type=Path, default=Path("motionnet"), help="the folder for motionnet.onnx")
    parser.add_argument("--clips", type=int, default=CLIPS, help="how many are learned from")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--workers", type=int, default=0, help="processes that make clips")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="a few steps, to see that everything runs")
    given = parser.parse_args(arguments)
    batch = min(BATCH, max(8, given.clips // STEPS))
    n, batch, n_tested = (
        (QUICK_CLIPS, QUICK_BATCH, QUICK_TESTED)
        if given.quick
        else (given.clips, batch, min(TESTED, max(9, given.clips // 10)))
    )
    photos = photos_of(given.photos)
    given.out.mkdir(parents=True, exist_ok=True)
    with torch.random.fork_rng():
        torch.manual_seed(given.seed)
        net = trained(MotionNet(), Clips(photos, given.seed), n, batch, given.workers, given.device)
    right, chance = tested(net, photos, n_tested, given.seed + 1)
    print(f"{n_tested} clips: {right:.1%} right, mean probability of the truth {chance:.3f}")
    print(f"wrote {export(net, given.out)}")


if __name__ == "__main__":
    main()
