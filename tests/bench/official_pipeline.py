"""The official data pipeline (torchvision transforms on Pillow images), one process: prints images/s over a folder.

usage: official_pipeline.py eval|barlow|multicrop FOLDER
"""
import random
import sys
import time
from pathlib import Path

from PIL import Image, ImageFilter, ImageOps
from torchvision import transforms as T

BICUBIC = T.InterpolationMode.BICUBIC
TO_TENSOR = T.Compose([T.ToTensor(), T.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))])


class Blur:
    def __init__(self, p):
        self.p = p

    def __call__(self, img):
        if random.random() >= self.p:
            return img
        return img.filter(ImageFilter.GaussianBlur(radius=random.uniform(0.1, 2.0)))


class Solarize:
    def __init__(self, p):
        self.p = p

    def __call__(self, img):
        return ImageOps.solarize(img) if random.random() < self.p else img


def view(size, scale, blur, solarize):
    jitter = T.RandomApply([T.ColorJitter(0.4, 0.4, 0.2, 0.1)], p=0.8)
    return T.Compose([T.RandomResizedCrop(size, scale=scale, interpolation=BICUBIC), T.RandomHorizontalFlip(), jitter,
                      T.RandomGrayscale(0.2), Blur(blur), Solarize(solarize), TO_TENSOR])


def policy(name):
    if name == "eval":
        return [T.Compose([T.Resize(256), T.CenterCrop(224), TO_TENSOR])]
    if name == "barlow":
        return [view(224, (0.08, 1), 1.0, 0.0), view(224, (0.08, 1), 0.1, 0.2)]
    return [view(224, (0.4, 1), 1.0, 0.0), view(224, (0.4, 1), 0.1, 0.2)] + [view(96, (0.05, 0.4), 0.5, 0.0)] * 12


def main():
    views = policy(sys.argv[1])
    files = sorted(p for p in Path(sys.argv[2]).rglob("*") if p.is_file())
    files = files if sys.argv[1] != "multicrop" else files[:200]
    start = time.time()
    for path in files:
        with open(path, "rb") as f:
            image = Image.open(f).convert("RGB")
        for v in views:
            v(image)
    print(f"{len(files) / (time.time() - start):.2f}")


if __name__ == "__main__":
    main()
