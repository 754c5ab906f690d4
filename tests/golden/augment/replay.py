"""Replays a stream of `twist-augment --trace` with Pillow and torchvision: prints the share of values that are equal and that
are within one level, over all views. Exit status 1 where the bounds of the project (97 %, 99.9 %) are missed.

usage: twist-decode PHOTOS | twist-augment --trace ... | replay.py PHOTOS [bilinear|bicubic]
PHOTOS: the folder that was decoded (keys are paths), or - where the keys are to be opened as they stand.
"""
import os
import sys

import msgpack
import msgpack_numpy
import numpy as np
from PIL import Image, ImageEnhance, ImageFilter, ImageOps
from torchvision.transforms import functional as F

FILL = (124, 116, 104)  # ImageNet's mean, as timm fills with


def affine(image, *matrix):
    return image.transform(image.size, Image.AFFINE, matrix, resample=Image.BICUBIC, fillcolor=FILL)


def solarize_add(image, add):
    return image.point([min(255, i + int(add)) if i < 128 else i for i in range(256)] * 3)


STEPS = {
    "brightness": F.adjust_brightness, "contrast": F.adjust_contrast, "saturation": F.adjust_saturation, "hue": F.adjust_hue,
    # RandAugment's, as timm's auto_augment.py has them
    "autocontrast": lambda image, _: ImageOps.autocontrast(image),
    "equalize": lambda image, _: ImageOps.equalize(image),
    "invert": lambda image, _: ImageOps.invert(image),
    # ImageOps.posterize; since Pillow 13 that refuses 0 bits, which timm's levels reach
    "posterize": lambda image, bits: image.point([i & ~(2 ** (8 - int(bits)) - 1) for i in range(256)] * 3),
    "solarize": lambda image, threshold: ImageOps.solarize(image, int(threshold)),
    "solarize_add": solarize_add,
    "sharpness": lambda image, factor: ImageEnhance.Sharpness(image).enhance(factor),
    "rotate": lambda image, degrees: image.rotate(degrees, resample=Image.BICUBIC, fillcolor=FILL),
    "shear_x": lambda image, factor: affine(image, 1, factor, 0, 0, 1, 0),
    "shear_y": lambda image, factor: affine(image, 1, 0, 0, factor, 1, 0),
    "translate_x": lambda image, part: affine(image, 1, 0, part * image.size[0], 0, 1, 0),
    "translate_y": lambda image, part: affine(image, 1, 0, 0, 0, 1, part * image.size[1]),
}


def make(image, t, size, resample):
    top, left, height, width = t["crop"]
    if "resize" in t:
        image = F.center_crop(image.resize(t["resize"][::-1], resample), [height, width])
    else:
        image = image.crop((left, top, left + width, top + height)).resize(size, resample)
    if t["flip"]:
        image = F.hflip(image)
    for op, value in t["jitter"]:
        image = STEPS[op](image, value)
    if t["grey"]:
        image = F.to_grayscale(image, 3)
    if t["blur"] is not None:
        image = image.filter(ImageFilter.GaussianBlur(t["blur"]))
    if t["solarize"]:
        image = ImageOps.solarize(image)
    return np.asarray(image)


def main():
    root = sys.argv[1]
    resample = Image.BILINEAR if sys.argv[2:] == ["bilinear"] else Image.BICUBIC
    values = equal = near = views = worst = 0
    for record in msgpack.Unpacker(sys.stdin.buffer, object_hook=msgpack_numpy.decode, max_buffer_size=1 << 30):
        if "views" not in record:
            continue
        path = record["key"] if root == "-" else os.path.join(root, record["key"])
        image = Image.open(path if os.path.exists(path) else record["key"]).convert("RGB")
        for view, t in zip(record["views"], record["trace"], strict=True):
            off = np.abs(view.astype(int) - make(image, t, (view.shape[1], view.shape[0]), resample))
            if "erase" in t:  # what noise is there cannot be replayed
                top, left, height, width = t["erase"]
                off[top:top + height, left:left + width] = 0
            values += off.size
            equal += int((off == 0).sum())
            near += int((off <= 1).sum())
            worst = max(worst, int(off.max()))
            views += 1
    print(f"{views} views, {values} values: {100 * equal / values:.4f} % equal, {100 * near / values:.4f} % within 1, "
          f"largest difference {worst}")
    sys.exit(not (equal >= 0.97 * values and near >= 0.999 * values))


if __name__ == "__main__":
    main()
