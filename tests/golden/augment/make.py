"""Makes views.txt (views of synthetic pictures by Pillow and torchvision, as checksums) and crops.txt (quantiles of the crops that
torchvision draws). Needs torch, torchvision, pillow, numpy.

A line of views.txt, which tests/unit/augment_test.c reads: picture W H, resize W H (0 0: none), crop TOP LEFT HEIGHT WIDTH, SIZE
bilinear|bicubic, flip, N jitter steps (name value), grey, blur sigma (0: none), solarize, then the FNV-1a of the bytes.
A line of crops.txt: W H low high, then 99 percentiles of the area's share, of log(width / height), of top / free height and of
left / free width.
"""
import os
import random
import sys

import numpy as np
import torch
from PIL import Image
from torchvision.transforms import RandomResizedCrop

here = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, here)
from replay import make  # noqa: E402  the judge of real photographs is the maker here

FILTER = {"bilinear": Image.BILINEAR, "bicubic": Image.BICUBIC}
JITTER = ["brightness", "contrast", "saturation", "hue"]


def picture(w, h):
    """Noise and gradients in squares of 8 x 8, the same in augment_test.c."""
    y, x, c = np.meshgrid(np.arange(h, dtype=np.uint32), np.arange(w, dtype=np.uint32), np.arange(3, dtype=np.uint32),
                          indexing="ij")
    n = x * np.uint32(374761393) + y * np.uint32(668265263) + c * np.uint32(2246822519)
    n = (n ^ (n >> np.uint32(13))) * np.uint32(1274126177)
    noise = (n >> np.uint32(16)) & np.uint32(255)
    smooth = (x * 3 + y * 2 + c * 40) & np.uint32(255)
    return Image.fromarray(np.where(((x >> 3) + (y >> 3)) & 1, noise, smooth).astype(np.uint8))


def fnv(data):
    h = 0xCBF29CE484222325
    for b in data:
        h = (h ^ b) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return h


def case(f, w, h, size, filter, crop=None, resize=(0, 0), flip=0, jitter=(), grey=0, blur=0.0, solarize=0):
    crop = crop or [0, 0, h, w]
    t = {"crop": crop, "flip": flip, "jitter": jitter, "grey": grey, "blur": blur or None, "solarize": solarize}
    if resize[0]:
        t["resize"] = [resize[1], resize[0]]
    out = make(picture(w, h), t, (size, size), FILTER[filter])
    steps = " ".join(f"{op} {value!r}" for op, value in jitter)
    f.write(f"{w} {h} {resize[0]} {resize[1]} {' '.join(map(str, crop))} {size} {filter} {flip} {len(jitter)} {steps}"
            f"{' ' if steps else ''}{grey} {blur!r} {solarize} {fnv(out.tobytes()):016x}\n")


def sizes(f):
    r = random.Random(1)
    for i in range(90):
        w, h = [(r.randint(1, 40), r.randint(1, 40)), (r.randint(20, 300), r.randint(20, 300)), (r.randint(100, 700), r.randint(60, 500))][i % 3]
        height, width = r.randint(1, h), r.randint(1, w)
        if i % 5 == 0:
            height, width = h, w
        crop = [r.randint(0, h - height), r.randint(0, w - width), height, width]
        size = r.choice([1, 7, 16, 31, 32, 33, 48, 64, 96, 100, 130])
        case(f, w, h, size, ["bicubic", "bilinear"][i // 3 % 2], crop, flip=i // 2 % 2)
    for w, h, size in [(600, 600, 224), (300, 40, 224), (40, 300, 224), (512, 512, 512), (97, 161, 512), (1200, 9, 64), (9, 1200, 64),
                       (6000, 4, 64), (4, 6000, 47), (5100, 3, 40), (2, 7000, 16), (3000, 2000, 24)]:
        for filter in FILTER:
            case(f, w, h, size, filter)


def evaluation(f):
    for w, h, short, size in [(300, 200, 73, 64), (200, 300, 73, 64), (64, 64, 64, 64), (77, 77, 36, 32), (50, 120, 40, 64), (120, 50, 33, 64),
                              (90, 61, 20, 48), (333, 250, 256, 224), (640, 11, 12, 11)]:
        for filter in FILTER:
            long = int(short * max(w, h) / min(w, h))
            resize = (short, long) if w <= h else (long, short)
            pad = [max(0, size - resize[1]) // 2, max(0, size - resize[0]) // 2]
            top = -pad[0] if size > resize[1] else round((resize[1] - size) / 2)
            left = -pad[1] if size > resize[0] else round((resize[0] - size) / 2)
            case(f, w, h, size, filter, [top, left, size, size], resize)


def colours(f):
    r = random.Random(2)
    for op in JITTER[:3]:
        for value in [0.0, 0.25, 0.6, 0.8000000119209290, 1.0, 1.25, 1.4, 2.0, 7.5]:
            case(f, 96, 96, 96, "bicubic", jitter=[(op, value)])
    for value in [-0.5, -0.1, -0.004, 0.0, 0.003, 0.05, 0.1, 0.25, 0.5]:
        case(f, 96, 96, 96, "bicubic", jitter=[("hue", value)])
    for i in range(48):
        order = r.sample(JITTER, 4)
        strong = i % 4 == 0
        jitter = [(op, float(np.float32(r.uniform(-0.1, 0.1) if op == "hue" else r.uniform(*((0, 2) if strong else (0.6, 1.4)))))) for op in order]
        size = r.choice([13, 37, 64, 96])
        case(f, 120, 90, size, "bicubic", jitter=jitter, grey=int(i % 5 == 1), solarize=int(i % 5 == 2))
    case(f, 96, 96, 96, "bicubic", grey=1)
    case(f, 96, 96, 95, "bicubic", grey=1, solarize=1)
    case(f, 96, 96, 96, "bicubic", solarize=1)


def layers(f):
    r = random.Random(4)
    values = {"autocontrast": [0.0], "equalize": [0.0], "invert": [0.0], "posterize": [0.0, 1.0, 3.0, 4.0, 8.0],
              "solarize": [0.0, 26.0, 128.0, 256.0], "solarize_add": [0.0, 99.0, 110.0], "sharpness": [0.0, 0.1, 0.19, 1.0, 1.81, 1.9, 3.0],
              "rotate": [-30.0, -27.13, 0.0, 5.5, 30.0, 90.0, 123.4], "shear_x": [-0.3, 0.0, 0.27], "shear_y": [-0.27, 0.1, 0.3],
              "translate_x": [-0.45, 0.0, 0.401], "translate_y": [-0.4, 0.123, 0.45]}
    for op, some in values.items():
        for value in some:
            case(f, 120, 90, r.choice([64, 95, 96]), "bicubic", jitter=[(op, value)])
        case(f, 40, 50, 3, "bicubic", jitter=[(op, some[-1])])
    case(f, 9, 9, 8, "bicubic", crop=[0, 0, 7, 7], jitter=[("equalize", 0.0), ("autocontrast", 0.0)])
    every = [*values, *JITTER[:3]]
    for i in range(60):
        jitter = [(op, r.choice(values[op]) if op in values else r.uniform(0.1, 1.9)) for op in (r.choice(every), r.choice(every))]
        jitter = [(op, r.uniform(-30, 30) if op == "rotate" else r.uniform(-0.4, 0.4) if "_" in op and op != "solarize_add" else v)
                  for op, v in jitter]
        case(f, 100, 110, r.choice([33, 64, 96]), "bicubic", flip=i % 2, jitter=jitter)


def blurs(f):
    r = random.Random(3)
    for sigma in [0.01, 0.1, 0.25, 0.5, 0.9, 1.0, 1.3, 1.7, 2.0, 2.5, 3.0, 5.5, 12.0, 33.3, 60.0]:
        for size in [1, 3, 40, 96]:
            case(f, 96, 96, size, "bicubic", blur=sigma)
    for i in range(24):
        case(f, 140, 130, r.choice([96, 96, 64, 31]), "bicubic", flip=i % 2, jitter=[("contrast", 1.3), ("saturation", 0.7)][:i % 3], grey=i // 2 % 2,
             blur=r.uniform(0.1, 2), solarize=int(i % 7 == 0))


def crops(f):
    for w, h, low, high in [(500, 375, 0.08, 1), (500, 375, 0.4, 1), (500, 375, 0.05, 0.4), (300, 100, 0.4, 1), (60, 400, 0.05, 0.14), (32, 32, 0.3, 1)]:
        torch.manual_seed(w + h)
        image = torch.empty(3, h, w)
        d = np.array([RandomResizedCrop.get_params(image, [low, high], [3 / 4, 4 / 3]) for _ in range(60000)], float)
        share = d[:, 2] * d[:, 3] / (w * h)
        columns = [share, np.log(d[:, 3] / d[:, 2])]
        columns += [d[:, 0] / np.maximum(h - d[:, 2], 1), d[:, 1] / np.maximum(w - d[:, 3], 1)]
        percent = [np.quantile(c, np.arange(1, 100) / 100) for c in columns]
        f.write(f"{w} {h} {low} {high} " + " ".join("%.6g" % v for v in np.concatenate(percent)) + "\n")


def main():
    with open(os.path.join(here, "views.txt"), "w") as f:
        sizes(f)
        evaluation(f)
        colours(f)
        layers(f)
        blurs(f)
    with open(os.path.join(here, "crops.txt"), "w") as f:
        crops(f)


if __name__ == "__main__":
    main()
