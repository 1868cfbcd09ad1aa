"""Makes clips of an object that is there in some of the frames, for clips_frames.toml: more of them than there were.

    python benchmarks/frames_clips.py OUT IMAGES PICTURES

IMAGES is a folder with a labels.csv of images with masks (columns `file`, `class_index`, `label`, `mask`, `kind`): of
each class the object of the first composite is cut out by its mask and moved along a line over one of the pictures of
the folder PICTURES, in all 16 frames, in the first half or in the last five eighths, in turn. OUT gets the clips (mp4),
their masks by frame (npz) and videos.csv, whose column `top1` says whether EfficientNet-Lite0, averaged over 8 frames,
takes the clip for the object's class. No clip is chosen by what an explanation makes of it.
"""

from __future__ import annotations

import argparse
import csv
import re
from pathlib import Path

import numpy as np
from PIL import Image

from borex.layout import to_extent
from borex.media.video import read_clip, write_clip
from borex.models import frame_mean

SIDE, FRAMES, FPS = 224, 16, 8
SIZES = (0.35, 0.55)  # of the object's longer side, in sides of the frame
INTERVALS = ((0, FRAMES), (0, FRAMES // 2), (3 * FRAMES // 8, FRAMES))  # the frames in which it is there
LEAST_SIDE = 500  # of a picture
SUFFIXES = (".jpg", ".jpeg", ".png")


def cut_out(picture: Path, mask: Path) -> Image.Image:
    """The object alone, RGBA, within its bounds."""
    image = Image.open(picture).convert("RGB")
    alpha = Image.open(mask).convert("L").resize(image.size, Image.Resampling.NEAREST).point(lambda v: 255 * (v > 127))
    image.putalpha(alpha)
    return image.crop(alpha.getbbox())


def background(path: Path) -> Image.Image:
    """The middle square of a picture."""
    picture = Image.open(path).convert("RGB")
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    return picture.crop((left, top, left + side, top + side)).resize((SIDE, SIDE), Image.Resampling.LANCZOS)


def moved(
    thing: Image.Image, behind: Image.Image, interval: tuple[int, int], rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """The clip `(T, H, W, 3)` uint8 and the mask of its object `(T, H, W)`: from one place at random to another."""
    scale = rng.uniform(*SIZES) * SIDE / max(thing.size)
    width, height = (max(1, round(scale * size)) for size in thing.size)
    thing = thing.resize((width, height), Image.Resampling.LANCZOS)
    ends = rng.uniform(0, 1, (2, 2)) * (SIDE - width, SIDE - height)
    frames, masks = [], []
    for t in range(FRAMES):
        frame, mask = behind.copy(), Image.new("L", behind.size)
        if interval[0] <= t < interval[1]:
            at = tuple(np.rint(ends[0] + (ends[1] - ends[0]) * t / (FRAMES - 1)).astype(int).tolist())
            frame.paste(thing, at, thing)
            mask.paste(thing.getchannel("A"), at)
        frames.append(np.asarray(frame))
        masks.append(np.asarray(mask) > 127)
    return np.stack(frames), np.stack(masks)


def large(folder: Path) -> list[Path]:
    """The pictures of a folder, in the order of their paths, that are large enough."""
    found = [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in SUFFIXES and not path.is_symlink()]
    return [path for path in found if min(Image.open(path).size) >= LEAST_SIDE]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("pictures", type=Path)
    options = parser.parse_args()
    rng, model, behind = np.random.default_rng(0), frame_mean(None, frames=8), large(options.pictures)
    with (options.images / "labels.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["kind"] == "composite" and row["top1"] == "1"]
    options.out.mkdir(parents=True, exist_ok=True)
    columns = ["file", "masks", "class_index", "label", "top1", "interval", "picture"]
    known: set[str] = set()
    with (options.out / "videos.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(columns)
        for row in rows:
            if row["class_index"] in known:
                continue
            known.add(row["class_index"])
            picture, interval = behind[rng.integers(len(behind))], INTERVALS[len(known) % len(INTERVALS)]
            thing = cut_out(options.images / row["file"], options.images / row["mask"])
            clip, masks = moved(thing, background(picture), interval, rng)
            name = f"{len(known):02d}_{re.sub('[^a-z0-9]', '', row['label'].lower())}"
            write_clip(options.out / f"{name}.mp4", clip, FPS)
            np.savez_compressed(options.out / f"{name}.npz", masks=masks)
            shown = to_extent(read_clip(options.out / f"{name}.mp4").frames, model.extent)
            top = int(np.argmax(np.asarray(model.scores(shown[None]))[0]))
            right = int(top == int(row["class_index"]))
            at = f"{interval[0]}..{interval[1] - 1}"
            table.writerow([f"{name}.mp4", f"{name}.npz", row["class_index"], row["label"], right, at, picture.name])
    print(f"{len(known)} clips in {options.out}")


if __name__ == "__main__":
    main()
