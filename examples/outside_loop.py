"""The loop in your own hands: a model behind an API, asked through `Refiner.ask` and `Refiner.tell`.

    python examples/outside_loop.py [--max-evals 60] [--out outside_loop.png]

Nothing of the model is here but a function from the bytes of a picture to probabilities. That each answer comes alone,
late, from elsewhere or never is the loop's business, and this loop is yours.
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path

import numpy as np
from PIL import Image

import borex
from borex.baselines import baseline_of
from borex.layout import resize_media
from borex.masks import masked
from borex.media.read import read_image
from borex.media.write import png, save_png
from borex.models import default

PHOTO = Path(__file__).with_name("coffee.jpg")
SERVICE = default()  # stands for a computer far away


def classify(picture: bytes) -> list[float]:
    """What the API answers to a PNG file: the probability of every class. Replace it by your own request."""
    image = np.array(Image.open(io.BytesIO(picture)))
    return SERVICE(resize_media(image, (224, 224))[None])[0].tolist()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--max-evals", type=int, default=60, help="requests to spend")
    parser.add_argument("--out", default="outside_loop.png", help="where to write the picture")
    options = parser.parse_args()

    photo = resize_media(read_image(PHOTO), (160, 240))  # small pictures travel faster
    blurred = baseline_of("blur", photo)
    refiner = borex.Refiner(photo.shape[:2], max_evals=options.max_evals, labels=SERVICE.labels)
    while len(masks := refiner.ask()):
        copies = masked(photo, blurred, np.asarray(masks))
        answers = [classify(png(copy)) for copy in copies]
        refiner.tell(masks, answers)  # from here on they are safe: refiner.result() works at any time
        print(f"{refiner.evals} of {options.max_evals} requests answered")

    explanation = refiner.result()
    print(explanation.summary())
    save_png(options.out, explanation.overlay(photo))
    print(f"wrote {options.out}")


if __name__ == "__main__":
    main()
