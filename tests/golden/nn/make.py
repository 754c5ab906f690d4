"""What PyTorch computes (in f64) for small networks whose weights and pictures both sides make by one formula: features,
logits, gradients, running statistics, eval mode. Long tensors are written as their norm, a fixed projection and their
first numbers.
"""
import os
import sys
import zlib

import numpy as np
import torch

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import nets  # noqa: E402

MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


def uniform(n, tensor):
    """n numbers of [0, 1), number k of stream `tensor`: a hash of 32 bits, the upper 24 taken."""
    x = np.arange(n, dtype=np.uint64) * 2654435761 + tensor * 40503 + 12345 & 0xFFFFFFFF
    for shift, factor in ((15, 2246822519), (13, 3266489917)):
        x = (x ^ x >> shift) * factor & 0xFFFFFFFF
    return ((x ^ x >> 16) >> 8).astype(np.float64) / 2**24


def fill(name, shape, number):
    u = uniform(int(np.prod(shape)), number).reshape(shape)
    if name.endswith("running_mean"):
        v = 0.1 * (u - 0.5)
    elif name.endswith("running_var"):
        v = 0.5 + u
    elif len(shape) == 4:
        v = (2 * u - 1) * np.sqrt(6 / (shape[0] * shape[2] * shape[3]))
    elif len(shape) == 2:
        v = (2 * u - 1) / np.sqrt(shape[1])
    elif name.endswith("weight"):
        v = 0.75 + 0.5 * u
    else:
        v = 0.2 * (u - 0.5)
    return torch.from_numpy(v.astype(np.float32).astype(np.float64))


class Head(torch.nn.Module):
    def __init__(self, feat, hid, dim, act, proj_norm="bn", lbn="bn"):
        super().__init__()
        nn = torch.nn
        norm = {"bn": nn.BatchNorm1d, "ln": nn.LayerNorm, "none": lambda _: nn.Identity()}[proj_norm]
        self.projection_head = nn.Sequential(nn.Linear(feat, hid), norm(hid), act(), nn.Dropout(0.0),
                                             nn.Linear(hid, hid), norm(hid), act())
        self.last_linear = nn.Linear(hid, dim)
        self.norm = nn.Identity() if lbn == "identity" else nn.BatchNorm1d(dim, affine=False)

    def forward(self, x):
        raw = self.last_linear(self.projection_head(x))
        return raw, self.norm(raw)


class Net(torch.nn.Module):
    def __init__(self, name, small_stem, hid, dim, act, head=None, **more):
        super().__init__()
        self.backbone, feat = nets.make(name, **more)
        if small_stem:
            self.backbone.conv1 = torch.nn.Conv2d(3, 64, 3, 1, 1, bias=False)
            self.backbone.maxpool = torch.nn.Identity()
        self.projection_heads = Head(feat, hid, dim, act, **(head or {}))

    def forward(self, groups):
        features = []
        for x in groups:
            self.backbone.first_row = sum(len(f) for f in features)
            features.append(self.backbone(x))
        features = torch.cat(features)
        return (features, *self.projection_heads(features))


def line(f, kind, name, x):
    x = x.detach().numpy().astype(np.float64).ravel()
    numbers = [np.linalg.norm(x), (x * (2 * uniform(x.size, 999) - 1)).sum(), *x[:6]]
    f.write(f"{kind} {name} {len(numbers)} " + " ".join(f"{v:.9g}" for v in numbers) + "\n")


def picture(shape, number):
    return torch.from_numpy(np.floor(256 * uniform(int(np.prod(shape)), number)).reshape(shape))


def normalise(x):
    x = (x / 255 - torch.tensor(MEAN).double()) / torch.tensor(STD).double()
    return x.permute(0, 3, 1, 2)


def case(file, name, small_stem, hid, dim, act, batch, groups, shift=0, **more):
    """shift: of the backbone's biases; 3 keeps ReLUs away from where rounding decides."""
    net = Net(name, small_stem, hid, dim, act, **more).double()
    state = net.state_dict()
    for i, (key, v) in enumerate(state.items()):
        if v.dtype.is_floating_point:
            on = shift if key.startswith("backbone.") and key.endswith(".bias") else 0
            v.copy_((fill(key, tuple(v.shape), i) + on).float().double())
    pictures = [normalise(picture((views * batch, h, w, 3), 2000 + i)) for i, (views, h, w) in enumerate(groups)]
    with open(os.path.join(HERE, file), "w") as f:
        net.train()
        features, raw, logits = net(pictures)
        dlogits = torch.from_numpy(0.02 * (uniform(logits.numel(), 3000) - 0.5)).reshape(logits.shape)
        (logits * dlogits).sum().backward()
        for kind, v in (("features", features), ("raw", raw), ("logits", logits)):
            line(f, kind, "-", v)
        for key, v in net.named_parameters():
            line(f, "grad", key, v.grad)
        for key, v in net.named_buffers():
            line(f, "buffer", key, v)
        net.eval()
        features, raw, logits = net([p[:batch] for p in pictures[:1]])
        for kind, v in (("eval_features", features), ("eval_raw", raw), ("eval_logits", logits)):
            line(f, kind, "-", v)


def names():
    with open(os.path.join(HERE, "names.txt"), "w") as f:
        for name in ("resnet18", "resnet34", "resnet50"):
            for key, v in Net(name, False, 24, 10, torch.nn.ReLU).state_dict().items():
                f.write(f"{name} {key} {' '.join(map(str, v.shape))}".rstrip() + "\n")
    # Of larger ones the number of tensors, of elements, and the CRC-32 of all those lines.
    with open(os.path.join(HERE, "names-more.txt"), "w") as f, torch.device("meta"):
        for name in (*nets.WIDE, *nets.VITS):
            state = Net(name, False, 24, 10, torch.nn.ReLU).state_dict()
            lines = "".join(f"{name} {key} {' '.join(map(str, v.shape))}".rstrip() + "\n" for key, v in state.items())
            f.write(f"{name} {len(state)} {sum(v.numel() for v in state.values())} {zlib.crc32(lines.encode()):08x}\n")


def blocks(file):
    """Evaluation: the CLS tokens of the last 4 blocks and the mean patch token."""
    net = Net("vit_t", False, 1, 1, torch.nn.ReLU, patch=16, grid=3).double().eval().backbone
    for i, (key, v) in enumerate((k, v) for k, v in net.state_dict().items()):
        v.copy_(fill(key, tuple(v.shape), i))
    x = normalise(picture((3, 48, 64, 3), 2000))
    with open(os.path.join(HERE, file), "w") as f, torch.no_grad():
        for last, mean in ((1, False), (4, False), (12, True)):
            line(f, "features", f"{last}-{int(mean)}", net(x, last, mean))


if __name__ == "__main__":
    torch.manual_seed(0)
    names()
    relu, gelu = torch.nn.ReLU, torch.nn.GELU
    case("resnet50w2.txt", "resnet50w2", False, 24, 12, relu, 4, [(2, 32, 32)], shift=3, head={"proj_norm": "ln"})
    case("vit_t.txt", "vit_t", False, 32, 12, gelu, 3, [(2, 48, 32), (2, 32, 32)])
    case("vit_s.txt", "vit_s", False, 24, 12, gelu, 3, [(2, 32, 32), (1, 24, 40)], patch=8, grid=4, head={"lbn": "identity"})
    case("vit-drop.txt", "vit_t", False, 24, 12, relu, 4, [(2, 32, 32), (2, 16, 32)], patch=16, grid=2, drop_path=0.4, seed=77,
         head={"proj_norm": "none"})
    blocks("vit-blocks.txt")
    # Sizes at which PyTorch's own f32 stays near its f64: a ReLU that goes the other way changes gradients by percents.
    case("resnet18.txt", "resnet18", False, 40, 24, torch.nn.ReLU, 4, [(2, 32, 40), (3, 24, 16)])
    case("resnet50.txt", "resnet50", False, 32, 12, torch.nn.GELU, 4, [(2, 32, 32)])
    case("small-stem.txt", "resnet18", True, 32, 16, torch.nn.ReLU, 4, [(2, 16, 16)])
