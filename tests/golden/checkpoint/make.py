"""types.safetensors: every element type, ranks 0 to 4, an empty tensor, metadata, as the Python package writes them.
written.safetensors: byte by byte what our writer is to make of its own list; that the package reads it is checked here, as it is for
the other files of ours. full.pth, legacy.pth: see pytorch().
views.tws: one view each of two sizes; features.tws: what PyTorch (f64) gives for them by the formula weights of ../nn/make.py, a
resnet18 in eval mode with a head of 40 and 24 units."""
import argparse
import importlib.util
import json
import os
import pathlib
import pickle
import struct
import subprocess
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


def as_we_write(name, tensors, metadata):
    """Tensors in the given order in the header, their bytes by falling element size, the header padded to a multiple of 8; "format" added."""
    names = {torch.float32: "F32", torch.float64: "F64", torch.float16: "F16", torch.bfloat16: "BF16", torch.int64: "I64",
             torch.int32: "I32", torch.uint8: "U8", torch.bool: "BOOL"}
    begin, at = {}, 0
    for size in (8, 4, 2, 1):
        for k, v in tensors.items():
            if v.itemsize == size:
                begin[k], at = at, at + v.nbytes
    metadata = {"format": "pt", **metadata}
    header = {"__metadata__": metadata}
    for k, v in tensors.items():
        header[k] = {"dtype": names[v.dtype], "shape": list(v.shape), "data_offsets": [begin[k], begin[k] + v.nbytes]}
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    path = os.path.join(HERE, name)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        for k in sorted(tensors, key=lambda k: (begin[k], tensors[k].nbytes)):
            f.write(tensors[k].detach().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    same(load_file(path), tensors)
    with safe_open(path, "pt") as f:
        assert f.metadata() == metadata


def same(a, b):
    assert a.keys() == b.keys()
    for k, v in b.items():
        assert a[k].dtype == v.dtype and a[k].shape == v.shape and torch.equal(a[k], v), k


def written():
    """What unit/safetensors_test and ckpt.bats write; the files of the other formats were written by twist-ckpt from the first."""
    tensors = {"b.weight": torch.arange(3) / 2, "a.count": torch.tensor(5), "c.byte": torch.arange(3).to(torch.uint8),
               "a.mean": torch.tensor([[1.0, 2]])}
    as_we_write("written.safetensors", tensors, {"epoch": "3", "args": '{"lr": 0.5}'})
    backbone = {"conv1.weight": torch.ones(1, 3, 1, 1).bfloat16(), "bn1.bias": torch.tensor([0.5]), "bn1.num_batches_tracked": torch.tensor(2),
                "layer3.1.bn2.weight": torch.tensor([2.0]), "layer1.0.downsample.0.weight": torch.ones(1, 1, 1, 1),
                "layer1.0.downsample.1.running_var": torch.tensor([3.0])}
    as_we_write("backbone.safetensors", backbone, {})
    ckpt = os.path.join(HERE, "../../../bin/twist-ckpt")
    for name, of in (("written.pth", "written"), ("written.npz", "written"), ("backbone.pkl", "backbone")):
        subprocess.run([ckpt, "--to", os.path.join(HERE, name), os.path.join(HERE, of + ".safetensors")], check=True)
    same(torch.load(os.path.join(HERE, "written.pth"), weights_only=True), tensors)
    with np.load(os.path.join(HERE, "written.npz")) as f:
        same({k: torch.from_numpy(np.array(f[k])) for k in f.files}, tensors)
    with open(os.path.join(HERE, "backbone.pkl"), "rb") as f:
        found = pickle.load(f, encoding="latin1")
    assert found["matching_heuristics"] is True and found["__author__"]
    names = ["stem.conv1.weight", "stem.conv1.norm.bias", "stem.conv1.norm.num_batches_tracked", "res4.1.conv2.norm.weight",
             "res2.0.shortcut.weight", "res2.0.shortcut.norm.running_var"]
    want = {k: v.float() if v.dtype == torch.bfloat16 else v for k, v in zip(names, backbone.values())}
    same({k: torch.from_numpy(v) for k, v in found["model"].items()}, want)


class Attack:
    def __reduce__(self):
        return os.system, ("touch attacked",)


def pytorch():
    """A checkpoint as trainers write them, by both of torch.save's formats, and what is to be found in it; arrays of numpy; pickles
    that are more than data."""
    matrix = torch.arange(12.0).reshape(3, 4)
    layer = torch.nn.Linear(2, 1)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[1.0, -2]]))
        layer.bias.copy_(torch.tensor([0.5]))
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1, momentum=0.9)
    layer(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    model = layer.state_dict()
    model.update({"transposed": matrix.t(), "slice": matrix[1:, 1:3], "row": matrix[1], "scalar": torch.tensor(3), "empty": torch.zeros(0, 4),
                  "u8": torch.arange(3).to(torch.uint8), "i32": torch.arange(3).to(torch.int32), "f16": torch.arange(3).half(),
                  "bf16": torch.arange(3).bfloat16(), "f64": torch.arange(3).double(), "bool": torch.tensor([True, False]),
                  "parameter": torch.nn.Parameter(torch.ones(2))})
    args = argparse.Namespace(arch="resnet50", lr=0.5, epochs=800, fp16=True, resume=None, crops=[2, 12], name="é", at=pathlib.PosixPath("/x"))
    whole = {"model": model, "optimizer": optimizer.state_dict(), "epoch": 3, "args": args, "best": np.float64(1), "big": 2**70,
             "history": [{"loss": 0.1}, {"loss": 1e-30}]}
    torch.save(whole, os.path.join(HERE, "full.pth"))
    torch.save(whole, os.path.join(HERE, "legacy.pth"), _use_new_zipfile_serialization=False)
    tensors = {f"model.{k}": v.detach() for k, v in model.items()}
    for i, s in optimizer.state_dict()["state"].items():
        tensors[f"optimizer.state.{i}.momentum_buffer"] = s["momentum_buffer"]
    groups = {k: json.dumps(v) for k, v in optimizer.state_dict()["param_groups"][0].items()}
    metadata = {f"optimizer.param_groups.0.{k}": v for k, v in groups.items()}
    metadata |= {"epoch": "3", "args.arch": "resnet50", "args.lr": "0.5", "args.epochs": "800", "args.fp16": "true",
                 "args.resume": "null", "args.crops": "[2, 12]", "args.name": "é", "args.at": "?",
                 "best": "1", "big": "?", "history.0.loss": "0.1", "history.1.loss": "1e-30"}
    as_we_write("full.safetensors", tensors, metadata)
    arrays = {"x": matrix.numpy(), "layer.count": np.int64(4), "half": np.ones((2, 1), np.float16), "vector": np.arange(3, dtype=np.int32),
              "flag": np.array([True])}
    np.savez(os.path.join(HERE, "arrays.npz"), **arrays)
    as_we_write("arrays.safetensors", {k: torch.from_numpy(np.array(v)) for k, v in arrays.items()}, {})
    np.savez_compressed(os.path.join(HERE, "compressed.npz"), x=np.zeros(100))
    torch.save(torch.nn.Linear(1, 1), os.path.join(HERE, "module.pth"))
    scaled = argparse.Namespace(backbone="resnet50", batch_size=128, world_size=16, lr=4.0, lr_sl=0.4, optim="lars_oss")
    torch.save({"model": {"x": torch.zeros(1)}, "args": scaled}, os.path.join(HERE, "scaled.pth"))
    torch.save({"x": Attack()}, os.path.join(HERE, "attack.pth"))


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
    pytorch()
    features()
