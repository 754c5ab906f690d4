"""types.safetensors: every element type, ranks 0 to 4, an empty tensor, metadata, as the Python package writes them.
written.safetensors: byte by byte what our writer is to make of its own list; that the package reads it is checked here.
views.tws: one view each of two sizes; features.tws: what PyTorch (f64) gives for them by the formula weights of ../nn/make.py, a
resnet18 in eval mode with a head of 40 and 24 units."""
import importlib.util
import json
import os
import struct
import sys

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

HERE = os.path.dirname(os.path.abspath(__file__))


def module(name, path):
    spec = importlib.util.spec_from_file_location(name, os.path.join(HERE, path))
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


stream, nets = module("stream", "../../../formats/stream.py"), module("nets", "../nn/make.py")


def types():
    count = torch.arange(6)
    tensors = {
        "u8": count.to(torch.uint8),
        "i32": (count - 3).to(torch.int32).reshape(2, 3),
        "i64": (count * 2**40 - 1).reshape(1, 6),
        "f16": (count / 4 - 0.5).to(torch.float16),
        "bf16": (count / 4 - 0.5).to(torch.bfloat16).reshape(1, 2, 1, 3),
        "f32": (count / 4 - 0.5).reshape(3, 2),
        "f64": (count.double() / 4 - 0.5),
        "scalar": torch.tensor(7),
        "empty": torch.zeros(0, 4),
        "läyer \"1\"\\": torch.ones(1),
    }
    save_file(tensors, os.path.join(HERE, "types.safetensors"), metadata={"backbone": "resnet18", "quote": 'a "b" \\ é\n'})


def written():
    """Tensors in the given order in the header, their bytes by falling element size, the header padded to a multiple of 8."""
    tensors = {"b.weight": np.arange(3, dtype=np.float32) / 2, "a.count": np.array(5, np.int64), "c.byte": np.arange(3, dtype=np.uint8),
               "a.mean": np.array([[1, 2]], np.float32)}
    names = {"float32": "F32", "int64": "I64", "uint8": "U8"}
    begin, at = {}, 0
    for size in (8, 4, 2, 1):
        for k, v in tensors.items():
            if v.itemsize == size:
                begin[k], at = at, at + v.nbytes
    header = {"__metadata__": {"epoch": "3", "args": '{"lr": 0.5}'}}
    for k, v in tensors.items():
        header[k] = {"dtype": names[v.dtype.name], "shape": list(v.shape), "data_offsets": [begin[k], begin[k] + v.nbytes]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    path = os.path.join(HERE, "written.safetensors")
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        for k in sorted(tensors, key=begin.get):
            f.write(tensors[k].tobytes())
    back = load_file(path)
    assert back.keys() == tensors.keys() and all((back[k].numpy() == v).all() and back[k].shape == v.shape for k, v in tensors.items())
    with safe_open(path, "pt") as f:
        assert f.metadata() == header["__metadata__"]


def features():
    net = nets.Net("resnet18", False, 40, 24, torch.nn.ReLU).double().eval()
    for i, (key, v) in enumerate(net.state_dict().items()):
        if v.dtype.is_floating_point:
            v.copy_(nets.fill(key, tuple(v.shape), i))
    header = {"samples": 5, "epochs": 1, "first_epoch": 0, "seed": 3, "classes": ["cat", "dog"]}
    views, out = [stream.Writer(open(os.path.join(HERE, name), "wb"), {"kind": kind, **header, "history": []})
                  for name, kind in (("views.tws", "views"), ("features.tws", "features"))]
    with views, out, torch.no_grad():
        for i, (h, w) in enumerate([(32, 40), (32, 40), (24, 24), (32, 40), (24, 24)]):
            picture = nets.picture((1, h, w, 3), 4000 + i)
            found, _, logits = net([nets.normalise(picture)])
            sample = {"key": f"picture-{i}.jpg", "index": 9 - i, "epoch": 0, "pos": i, "label": i % 2 if i < 4 else None, "note": [i]}
            views.sample({**sample, "views": [picture[0].numpy().astype(np.uint8)]})
            rows = {"features": found, "logits": logits, "probs": torch.softmax(logits, 1)}
            out.sample({**sample, **{k: v[0].numpy().astype(np.float32) for k, v in rows.items()}})


if __name__ == "__main__":
    sys.argv = ["make.py"]  # what the streams' history says
    types()
    written()
    features()
