"""Cuts natural photos for the benchmarks out of large pictures: crops of which the embedded model is sure.

    python benchmarks/photos.py OUT FOLDER [FOLDER ...]

Reads every picture of at least 500 pixels a side under the folders (of several sizes of one wallpaper the largest), and
the photos that scikit-image, scikit-learn and matplotlib ship where they are installed. Of 48 random squares of each it
keeps at most two, of different classes, to which EfficientNet-Lite0 gives at least .35; of each class at most three.
OUT gets the crops, 224 x 224, and the labels.csv that `borex benchmark` reads. No crop is chosen by what an explanation
makes of it.

The evidence used 124 crops of the wallpapers that Debian packages: mate-backgrounds, lomiri-wallpapers,
ukui-wallpapers, gnome-backgrounds, plasma-workspace-wallpapers, plasma-wallpapers-addons, sway-backgrounds and
kdewallpapers.
"""

from __future__ import annotations

import argparse
import csv
import re
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image

from borex.blackbox import Model
from borex.models import default
from borex.scores import probabilities

SIDE, LEAST_SIDE, LARGEST_SIDE = 224, 500, 2400
CROPS, LEAST_SURE, PER_PICTURE, PER_CLASS = 48, 0.35, 2, 3
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
SHIPPED = {"skimage": "data", "sklearn": "datasets/images", "matplotlib": "mpl-data/sample_data"}


def pictures(folders: list[Path]) -> list[Path]:
    """The pictures to cut, sorted; of those that lie together in one wallpaper's folder the largest."""
    best: dict[str, tuple[int, Path]] = {}
    for path in sorted(path for folder in folders for path in folder.rglob("*")):
        if path.suffix.lower() not in SUFFIXES or path.is_symlink() or "screenshot" in path.name.lower():
            continue
        with Image.open(path) as picture:
            width, height = picture.size
        key = str(path.parents[2] if "contents" in path.parts else path.with_suffix(""))
        if min(width, height) >= LEAST_SIDE and width * height > best.get(key, (0, path))[0]:
            best[key] = width * height, path
    return [path for _, path in best.values()]


def shipped() -> list[Path]:
    """The photos of installed packages."""
    found = []
    for package, folder in SHIPPED.items():
        spec = find_spec(package)
        if spec is not None and spec.origin is not None:
            found += [path for path in sorted((Path(spec.origin).parent / folder).glob("*")) if path.suffix in SUFFIXES]
    return found


def cut(path: Path, model: Model, rng: np.random.Generator) -> list[tuple[float, int, np.ndarray]]:
    """The crops of one picture: probability, class and pixels."""
    picture = Image.open(path).convert("RGB")
    picture.thumbnail((LARGEST_SIDE, LARGEST_SIDE), Image.Resampling.LANCZOS)
    width, height = picture.size
    least = min(SIDE, width, height)
    crops = []
    for _ in range(CROPS):
        side = max(int(min(width, height) * rng.uniform(0.25, 1)), least)
        x, y = int(rng.integers(0, width - side + 1)), int(rng.integers(0, height - side + 1))
        crop = picture.crop((x, y, x + side, y + side))
        crops.append(np.asarray(crop.resize((SIDE, SIDE), Image.Resampling.LANCZOS)))
    batches = np.split(np.stack(crops), 2)
    sure = probabilities(np.concatenate([np.asarray(model.scores(batch)) for batch in batches]), model.output)
    kept: list[tuple[float, int, np.ndarray]] = []
    for at in np.argsort(-sure.max(axis=1)):
        p, index = float(sure[at].max()), int(sure[at].argmax())
        if p >= LEAST_SURE and index not in [one[1] for one in kept] and len(kept) < PER_PICTURE:
            kept.append((p, index, crops[at]))
    return kept


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("folders", type=Path, nargs="+")
    options = parser.parse_args()
    model, rng = default(), np.random.default_rng(0)
    found = [(path, *crop) for path in pictures(options.folders) + shipped() for crop in cut(path, model, rng)]
    rng.shuffle(found)  # type: ignore[arg-type]
    (options.out / "images").mkdir(parents=True, exist_ok=True)
    of_class: Counter[int] = Counter()
    with (options.out / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["file", "class_index", "label", "probability", "mask", "top1", "kind"])
        for path, p, index, crop in found:
            if of_class[index] >= PER_CLASS:
                continue
            name = f"images/{of_class.total():03d}_{re.sub('[^a-zA-Z0-9]', '', path.stem)[:20]}.png"
            of_class[index] += 1
            Image.fromarray(crop).save(options.out / name)
            label = model.labels[index] if model.labels else ""
            table.writerow([name, index, label, f"{p:.3f}", "", 1, "photo"])
    print(f"{of_class.total()} crops in {options.out}")


if __name__ == "__main__":
    main()
