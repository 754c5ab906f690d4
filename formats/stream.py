#!/usr/bin/env python3
"""Reads and writes streams (stream.md) with msgpack and msgpack-numpy. As a stage of a pipeline:

    header, samples = stream.read(sys.stdin.buffer)
    with stream.Writer(sys.stdout.buffer, {**header, "kind": "features"}) as out:
        for sample in samples:
            view, = sample.pop("views")
            out.sample({**sample, "features": network(view)})  # or, to leave it out: out.skipped += 1
        out.skipped += samples.skipped
"""
import os
import sys

import msgpack
import msgpack_numpy
import numpy as np

TABLE = []
for byte in range(256):
    for _ in range(8):
        byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
    TABLE.append(byte)


def crc32c(data):
    """Byte by byte: for small streams. Where speed matters: the packages crc32c or google-crc32c."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ TABLE[(crc ^ byte) & 255]
    return crc ^ 0xFFFFFFFF


def pack(record):
    """The record with its crc: packed with a crc of five bytes, whose value is then put in."""
    data = msgpack.packb({**record, "crc": 0xFFFFFFFF}, default=msgpack_numpy.encode, unicode_errors="surrogateescape")
    return data[:-4] + crc32c(data[:-9]).to_bytes(4, "big")


def is_crc(crc, data):
    """Of the record's bytes before the key, which is its last: the number behind it has 1, 2, 3, 5 or 9 bytes, as its writer likes."""
    return any(data[-n - 4:-n] == b"\xa3crc" and crc32c(data[:-n - 4]) == crc for n in (1, 2, 3, 5, 9))


def records(file, check=True):
    """Every record as a dict, tensors as arrays; file names that are not UTF-8 as os.fsdecode makes them."""
    unpacker = msgpack.Unpacker(object_hook=msgpack_numpy.decode, unicode_errors="surrogateescape", strict_map_key=False, max_buffer_size=1 << 30)
    begin, data = 0, bytearray()  # data: the stream from byte `begin` on, where the record in hand starts
    while chunk := file.read(1 << 16):
        unpacker.feed(chunk)
        data += chunk if check else b""
        for record in unpacker:
            size = unpacker.tell() - begin
            crc = record.pop("crc", None)
            if check and crc is not None and not is_crc(crc, data[:size]):
                raise ValueError(f"record at byte {begin}: wrong crc")
            begin += size
            del data[:size]
            yield record
    if unpacker.tell() != begin or data:
        raise ValueError(f"truncated inside the record at byte {begin}")


class Samples:
    """Gives each sample, once, and fails unless the stream is whole; then `skipped` is how many inputs were dropped on the way to it."""

    def __init__(self, every):
        self.every, self.skipped = every, 0

    def __iter__(self):
        n = 0
        for record in self.every:
            if "end" in record:
                if record["samples"] != n or next(self.every, None) is not None:
                    raise ValueError("wrong count, or data after the end record")
                self.skipped = record.get("skipped", 0)
                return
            n += 1
            yield record
        raise ValueError("no end record: the stream was cut")


def read(file, check=True):
    """The header, and the Samples."""
    every = records(file, check)
    header = next(every, {})
    if header.get("twist") != 1:
        raise ValueError("no stream of version 1")
    return header, Samples(every)


class Writer:
    """Writes the end record on leaving the with block, unless by an exception: then the stream stays cut, as it should. What has been dropped of the
    samples that the header promises is to be counted in `skipped`, or the header is to promise less."""

    def __init__(self, file, header):
        self.file, self.n, self.skipped = file, 0, 0
        file.write(pack({**header, "twist": 1, "history": [*(header.get("history") or []), " ".join(sys.argv)]}))

    def sample(self, sample):
        self.file.write(pack(sample))
        self.n += 1

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            self.file.write(pack({"end": True, "samples": self.n, "skipped": self.skipped}))
            self.file.flush()


def make(folder):
    ramp = np.add.outer(np.arange(6) * 20, np.arange(8) * 10)[..., None] + np.arange(3) * 5
    image = ramp.astype(np.uint8)
    fields = {
        "files": {"bytes": b"P6 1 1 255\nabc"},
        "images": {"image": image},
        "views": {"views": [image[:4, :4].copy(), image[1:3, 2:5].copy()], "note": {"unknown": [1, 2.5, None]}},
        "features": {"features": np.float32([1, -2, 0.5]), "probs": np.float32([0.25, 0.75])},
    }
    for kind, field in fields.items():
        header = {"kind": kind, "samples": 3, "epochs": 1, "first_epoch": 0, "seed": 7, "classes": ["cat", "dog"]}
        with open(os.path.join(folder, kind + ".tws"), "wb") as f, Writer(f, header) as out:
            for i in range(3):
                out.sample({"key": f"pet-{i}.jpg", "index": i, "epoch": 0, "pos": i, "label": i if i < 2 else None, **field})


if __name__ == "__main__":
    if sys.argv[1:2] == ["--make"]:
        make(sys.argv[2])
    else:
        with open(sys.argv[1], "rb") if len(sys.argv) > 1 else sys.stdin.buffer as f:
            head, body = read(f)
            print(head)
            for s in body:
                print({k: (v.dtype.str, v.shape) if isinstance(v, np.ndarray) else v for k, v in s.items()})
