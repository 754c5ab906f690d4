"""The same views by NVIDIA DALI's CPU operators, one thread: prints images/s over a folder.

Drawn as in the official pipeline; operations that are not drawn are skipped (conditional execution), flip and normalisation are one operator.
usage: dali_pipeline.py eval|barlow|multicrop FOLDER
"""
import sys
import time
from pathlib import Path

from nvidia.dali import fn, pipeline_def, types

MEAN = [0.485 * 255, 0.456 * 255, 0.406 * 255]
STD = [0.229 * 255, 0.224 * 255, 0.225 * 255]
BATCH = 16


def tensor(image, mirror=0):
    return fn.crop_mirror_normalize(image, mirror=mirror, mean=MEAN, std=STD, dtype=types.FLOAT, output_layout="CHW")


def coin(p):
    return fn.random.coin_flip(probability=p, dtype=types.BOOL)


def view(image, size, scale, blur, solarize):
    out = fn.random_resized_crop(image, size=[size, size], random_area=list(scale), random_aspect_ratio=[3 / 4, 4 / 3],
                                 interp_type=types.INTERP_CUBIC, antialias=True)
    if coin(0.8):
        out = fn.color_twist(out, brightness=fn.random.uniform(range=[0.6, 1.4]), contrast=fn.random.uniform(range=[0.6, 1.4]),
                             saturation=fn.random.uniform(range=[0.8, 1.2]), hue=fn.random.uniform(range=[-36.0, 36.0]))
    if coin(0.2):
        out = fn.hsv(out, saturation=0.0)
    if coin(blur):
        out = fn.gaussian_blur(out, sigma=fn.random.uniform(range=[0.1, 2.0]))
    if solarize > 0:
        if coin(solarize):
            out = fn.cast((out < 128) * out + (out >= 128) * (255 - out), dtype=types.UINT8)
    return tensor(out, fn.random.coin_flip(probability=0.5))


@pipeline_def(batch_size=BATCH, num_threads=1, device_id=None, enable_conditionals=True, prefetch_queue_depth=1)
def pipeline(name, files):
    data, _ = fn.readers.file(files=files, random_shuffle=False, name="files")
    image = fn.decoders.image(data, device="cpu", output_type=types.RGB)
    if name == "eval":
        return (tensor(fn.crop(fn.resize(image, resize_shorter=256, interp_type=types.INTERP_LINEAR, antialias=True), crop=[224, 224])),)
    if name == "barlow":
        return view(image, 224, (0.08, 1), 1.0, 0.0), view(image, 224, (0.08, 1), 0.1, 0.2)
    return (view(image, 224, (0.4, 1), 1.0, 0.0), view(image, 224, (0.4, 1), 0.1, 0.2),
            *[view(image, 96, (0.05, 0.4), 0.5, 0.0) for _ in range(12)])


def main():
    files = [str(p) for p in sorted(Path(sys.argv[2]).rglob("*")) if p.is_file()]
    pipe = pipeline(sys.argv[1], files)
    pipe.build()
    pipe.run()
    batches = len(files) // BATCH
    start = time.time()
    for _ in range(batches):
        pipe.run()
    print(f"{batches * BATCH / (time.time() - start):.2f}")


if __name__ == "__main__":
    main()
