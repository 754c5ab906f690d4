"""Three training steps in PyTorch (f64), from the weights and pictures that tests/golden/nn/make.py makes by formula: the
losses, and what the steps changed in every tensor, as its norm and eight projections on random signs, from which the distance
of another computation can be told: the mean square of the projections of a difference is its squared norm.

Also the schedules' values, and the loss alone for many views.
"""
import copy
import importlib.util
import math
import os
import sys

import numpy as np
import torch

HERE = os.path.dirname(os.path.abspath(__file__))
spec = importlib.util.spec_from_file_location("nn_make", os.path.join(HERE, "..", "nn", "make.py"))
nn_make = importlib.util.module_from_spec(spec)
spec.loader.exec_module(nn_make)
EPS, PROJECTIONS, HIDDEN, CLASSES = 1e-5, 8, 128, 12
LARGE = 1 << 22  # of a tensor with more elements every n-th is looked at


def taught_loss(logits, teacher, views, lam1, lam2, tau):
    """The loss with a momentum encoder, whose logits are of the two global views."""
    s, t = [(x / tau).softmax(1) for x in logits.chunk(views)], [(x / tau).softmax(1) for x in teacher.chunk(2)]
    pairs = [(i, v) for i in range(2) for v in range(views) if i != v]
    kl = sum((t[i] * ((t[i] + EPS).log() - (s[v] + EPS).log())).sum(1).mean() for i, v in pairs) / len(pairs)
    eh = sum(-(x * (x + EPS).log()).sum(1).mean() for x in s) / views
    he = sum(-(x.mean(0) * (x.mean(0) + EPS).log()).sum() for x in s) / views
    return kl + (1 + lam1) * eh - lam2 * he, kl, eh, he


def twist_loss(logits, views, lam1, lam2, tau):
    """The official loss (arXiv 2110.07402), pair by pair."""
    f = logits.chunk(views)
    p, s = [x.softmax(1) for x in f], [(x / tau).softmax(1) for x in f]
    kl = eh = he = 0
    pairs = [(0, j) for j in range(1, views)] + [(1, j) for j in range(2, views)]

    def divergence(a, b):
        return (a * ((a + EPS).log() - (b + EPS).log())).sum(1).mean()

    for a, b in pairs:
        kl = kl + (divergence(p[a], p[b]) + divergence(p[b], p[a])) / 2
        for x in (s[a], s[b]):
            eh = eh - (x * (x + EPS).log()).sum(1).mean() / 2
            m = x.mean(0)
            he = he - (m * (m + EPS).log()).sum() / 2
    kl, eh, he = kl / len(pairs), eh / len(pairs), he / len(pairs)
    return kl + (1 + lam1) * eh - lam2 * he, kl, eh, he


def selflabel_loss(logits, views, quantile, teacher=None):
    f = logits.chunk(views)
    p0, p1 = [x.softmax(1) for x in (f if teacher is None else teacher.chunk(2))[:2]]
    (c0, k0), (c1, k1) = p0.max(1), p1.max(1)
    weak_is_1 = c1 > c0
    label, confidence = torch.where(weak_is_1, k1, k0), torch.maximum(c0, c1)
    threshold = confidence.sort(descending=True).values[int(math.floor(quantile * len(confidence)))]
    keep = confidence > threshold
    if not keep.any():
        return 0 * logits.sum()
    strong = torch.where(weak_is_1[:, None], f[0], f[1])
    losses = [torch.nn.functional.cross_entropy(x[keep], label[keep]) for x in (strong, *f[2:])]
    return sum(losses) / len(losses)


def picture(n, h, w, number):
    """Noise on tiles of 8 x 8 in a colour each: pictures that differ, so that BatchNorm does not blow up rounding."""
    noise = nn_make.uniform(n * h * w * 3, number).reshape(n, h, w, 3)
    tiles = nn_make.uniform(n * (h // 8) * (w // 8) * 3, number + 500).reshape(n, h // 8, w // 8, 3)
    tiles = tiles.repeat(8, axis=1).repeat(8, axis=2)
    return torch.from_numpy(np.floor(256 * (0.7 * tiles + 0.3 * noise)))


def first_value(key, shape, i):
    """As nn/make.py, but norms before a ReLU shift by 3: a unit near the kink falls on either side by rounding alone, and each that
    does changes the gradient by a percent. Vision transformers have no ReLU."""
    linear = ("last_linear", "head.0.", "head.4.", "fc.", "backbone.blocks", "backbone.norm", "patch_embed")
    shift = 3 if key.endswith("bias") and not any(name in key for name in linear) else 0
    return (nn_make.fill(key, shape, i) + shift).float().double()


class Lars:
    def __init__(self, groups):
        self.groups, self.v = groups, {}

    def step(self):
        for decayed, params in self.groups:
            for w in params:
                d, lr, wd = w.grad, self.lr, self.wd if decayed else 0
                if decayed:
                    lr = lr * 0.001 * w.data.norm() / (d.norm() + wd * w.data.norm())
                self.v[w] = 0.9 * self.v.get(w, 0) + (d + wd * w.data) * lr
                w.data -= self.v[w]


def run(file, name, optim, groups, batch, lr, wd, clip=0, lam1=0.0, tau=1.0, quantile=None, small_stem=False, act=torch.nn.ReLU, momentum=None,
        dtype=torch.float64):
    net = nn_make.Net(name, small_stem, HIDDEN, CLASSES, act)
    state = net.state_dict()
    for i, (key, v) in enumerate(state.items()):
        if v.dtype.is_floating_point:
            v.copy_(first_value(key, tuple(v.shape), i))
    net = net.to(dtype).train()
    before = {k: v.detach().clone().double() for k, v in net.named_parameters()}
    teacher = copy.deepcopy(net) if momentum else None
    decays = wd if isinstance(wd, tuple) else (wd,) * 3
    skip = ("pos_embed", "cls_token")
    decayed = [p for k, p in net.named_parameters() if p.ndim > 1 and not k.endswith(skip)]
    rest = [p for k, p in net.named_parameters() if p.ndim <= 1 or k.endswith(skip)]
    split = [{"params": decayed, "weight_decay": decays[0]}, {"params": rest, "weight_decay": 0}]
    opt = {"lars": lambda: Lars([(True, decayed), (False, rest)]), "sgd": lambda: torch.optim.SGD(split, lr=lr[0], momentum=0.9),
           "admw": lambda: torch.optim.AdamW(split, lr=lr[0])}[optim]()
    views = sum(g[0] for g in groups)
    losses, norms = [], []
    for step in range(3):
        pictures = [nn_make.normalise(picture(v * batch, h, w, 2000 + 10 * step + i)).to(dtype)
                    for i, (v, h, w) in enumerate(groups)]
        taught = None
        if teacher is not None:
            with torch.no_grad():
                taught = teacher([pictures[0][:2 * batch]])[2]
        _, _, logits = net(pictures)
        if quantile is not None:
            loss = selflabel_loss(logits, views, quantile, taught)
        elif taught is not None:
            loss = taught_loss(logits, taught, views, lam1, 1.0, tau)[0]
        else:
            loss = twist_loss(logits, views, lam1, 1.0, tau)[0]
        net.zero_grad()
        loss.backward()
        norms.append(torch.nn.utils.clip_grad_norm_(net.parameters(), clip if clip > 0 else 1e30).item())
        if optim == "lars":
            opt.lr, opt.wd = lr[step], decays[step]
        else:
            for g in opt.param_groups:
                g["lr"] = lr[step]
            opt.param_groups[0]["weight_decay"] = decays[step]
        opt.step()
        if teacher is not None:
            with torch.no_grad():
                for t, s in zip(teacher.parameters(), net.parameters()):
                    t.copy_(momentum[step] * t + (1 - momentum[step]) * s)
        losses.append(loss.item())
    change = {k: v.detach().double() - before[k] for k, v in net.named_parameters()}
    if teacher is not None:
        change.update({"teacher." + k: v.detach().double() - before[k] for k, v in teacher.named_parameters()})
    if file is None:
        return change
    write(file, losses, norms, change, run(None, name, optim, groups, batch, lr, wd, clip, lam1, tau, quantile, small_stem, act,
                                          momentum, torch.float32))
    return change


def write(file, losses, norms, change, other):
    # A gradient that is zero but for rounding (a bias before a norm) has AdamW step by its sign: no two computations agree.
    off = {k: ((change[k] - other[k]).norm() / change[k].norm()).item() for k in change}
    kept = [k for k in change if off[k] < 0.5]
    own = [k for k in kept if not k.startswith("teacher.")]
    total = sum((change[k] ** 2).sum() for k in own).sqrt().item()
    distance = sum(((change[k] - other[k]) ** 2).sum() for k in own).sqrt().item()
    print(f"{file}: PyTorch's f32 is off by {distance / total:.2e} of the update; left out: {', '.join(sorted(set(change) - set(kept)))}")
    with open(os.path.join(HERE, file), "w") as f:
        f.write("losses - 3 " + " ".join(f"{v:.9g}" for v in losses) + "\n")
        f.write("norms - 3 " + " ".join(f"{v:.9g}" for v in norms) + "\n")
        for key in kept:
            d = change[key].numpy().ravel()
            stride = -(-d.size // LARGE)
            d = d[::stride]
            numbers = [np.linalg.norm(d)]
            numbers += [(d * np.where(nn_make.uniform(d.size, 5000 + j) < 0.5, -1, 1)).sum() for j in range(PROJECTIONS)]
            f.write(f"{'change' if stride == 1 else f'every{stride}'} {key} {len(numbers)} " + " ".join(f"{v:.9g}" for v in numbers) + "\n")


class Classifier(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone, features = nn_make.nets.make("resnet18")
        self.fc = torch.nn.Linear(features, CLASSES)

    def forward(self, x):
        return self.fc(self.backbone(x))


def finetune(file, dtype=torch.float64):
    """Fine-tuning with labels: SGD with a learning rate for the backbone, another for the classifier, decay on all tensors."""
    net = Classifier()
    for i, (key, v) in enumerate(net.state_dict().items()):
        if v.dtype.is_floating_point:
            v.copy_(first_value(key, tuple(v.shape), i))
    net = net.to(dtype).train()
    before = {k: v.detach().clone().double() for k, v in net.named_parameters()}
    opt = torch.optim.SGD([{"params": net.backbone.parameters()}, {"params": net.fc.parameters()}], lr=1, momentum=0.9, weight_decay=1e-3)
    losses, norms = [], []
    for step, lr in enumerate((1e-3, 2e-3, 1.5e-3)):
        label = torch.tensor([(7 * i + step) % CLASSES for i in range(8)])
        loss = torch.nn.functional.cross_entropy(net(nn_make.normalise(picture(8, 32, 32, 2000 + 10 * step)).to(dtype)), label)
        net.zero_grad()
        loss.backward()
        norms.append(torch.nn.utils.clip_grad_norm_(net.parameters(), 1e30).item())
        opt.param_groups[0]["lr"], opt.param_groups[1]["lr"] = lr, 20 * lr
        opt.step()
        losses.append(loss.item())
    change = {k: v.detach().double() - before[k] for k, v in net.named_parameters()}
    if file is not None:
        write(file, losses, norms, change, finetune(None, torch.float32))
    return change


TAUGHT = {"momentum": (0.6, 0.8, 0.9), "lam1": -0.6}
TWO, CROPS, PATCHES = [(2, 32, 32)], [(2, 32, 32), (3, 24, 24)], [(2, 48, 48), (3, 32, 32)]
CASES = [
    ("lars-two.txt", "resnet18", "lars", TWO, 8, (0.2, 0.3, 0.25), 1.5e-6, {}),
    ("lars-crops.txt", "resnet18", "lars", CROPS, 6, (0.2, 0.3, 0.25), 1.5e-6, {}),
    ("sgd-two.txt", "resnet18", "sgd", TWO, 8, (1e-3, 2e-3, 1.5e-3), 1e-3, {}),
    ("sgd-crops.txt", "resnet18", "sgd", CROPS, 6, (1e-3, 2e-3, 1.5e-3), 1e-3, {"lam1": -0.6, "tau": 0.5, "clip": 0.5, "act": torch.nn.GELU}),
    ("admw-two.txt", "resnet18", "admw", TWO, 8, (1e-5, 2e-5, 1.5e-5), 0.05, {}),
    ("admw-crops.txt", "resnet18", "admw", CROPS, 8, (1e-5, 2e-5, 1.5e-5), 0.05, {"clip": 3.0}),
    ("selflabel.txt", "resnet18", "sgd", CROPS, 6, (1e-3, 2e-3, 1.5e-3), 1e-3, {"quantile": 0.5}),
    ("lars-clip.txt", "resnet18", "lars", CROPS, 6, (0.2, 0.3, 0.25), (1.5e-6, 1e-4, 3e-4), {"clip": 0.3}),
    ("taught-admw.txt", "resnet18", "admw", CROPS, 8, (1e-5, 2e-5, 1.5e-5), (0.04, 0.07, 0.12), {**TAUGHT, "clip": 0.5}),
    ("taught-lars.txt", "resnet18", "lars", TWO, 8, (0.2, 0.3, 0.25), 1.5e-6, {**TAUGHT, "tau": 0.5}),
    ("taught-selflabel.txt", "resnet18", "sgd", CROPS, 6, (1e-3, 2e-3, 1.5e-3), 1e-3, {**TAUGHT, "quantile": 0.5}),
    ("resnet50.txt", "resnet50", "lars", CROPS, 6, (0.2, 0.3, 0.25), (1.5e-6, 1e-4, 3e-4), {"clip": 0.3}),
    ("resnet50w2.txt", "resnet50w2", "lars", TWO, 6, (0.2, 0.3, 0.25), 1.5e-6, {}),
    ("vit_t.txt", "vit_t", "admw", PATCHES, 6, (1e-4, 2e-4, 1.5e-4), (0.04, 0.07, 0.12), {"clip": 0.5, "act": torch.nn.GELU}),
    ("vit_t-taught.txt", "vit_t", "admw", PATCHES, 6, (1e-4, 2e-4, 1.5e-4), 0.06, {**TAUGHT, "clip": 3.0}),
    ("vit_t-selflabel.txt", "vit_t", "admw", PATCHES, 6, (1e-4, 2e-4, 1.5e-4), 0.06, {**TAUGHT, "quantile": 0.5, "act": torch.nn.GELU}),
    ("vit_s-taught.txt", "vit_s", "lars", PATCHES, 6, (0.2, 0.3, 0.25), 1.5e-6, {**TAUGHT, "clip": 0.5, "act": torch.nn.GELU}),
    ("small-stem.txt", "resnet18", "sgd", [(2, 16, 16)], 6, (1e-3, 2e-3, 1.5e-3), 1e-3, {"small_stem": True}),
]


def losses():
    """The loss and its gradient for logits made by formula: views, batch, classes, lam1, lam2, tau."""
    with open(os.path.join(HERE, "losses.txt"), "w") as f:
        for views, batch, classes, lam1, lam2, tau in [(2, 3, 5, 0, 1, 1), (2, 4, 7, -0.6, 1, 0.5), (14, 3, 9, 0, 1, 1),
                                                       (8, 5, 6, 0.3, 2, 2), (2, 1, 3, 0, 1, 1)]:
            u = nn_make.uniform(views * batch * classes, 42).reshape(views * batch, classes)
            logits = torch.from_numpy(np.float32(8 * u - 4).astype(np.float64)).requires_grad_()
            terms = twist_loss(logits, views, lam1, lam2, tau)
            terms[0].backward()
            f.write(f"{views} {batch} {classes} {lam1} {lam2} {tau} " + " ".join(f"{t.item():.12g}" for t in terms) + "\n")
            f.write(" ".join(f"{v:.9g}" for v in logits.grad.numpy().ravel()) + "\n")
        for views, batch, classes, lam1, lam2, tau in [(2, 3, 5, -0.6, 1, 1), (8, 4, 6, -0.6, 1.5, 0.5)]:
            u = nn_make.uniform(views * batch * classes, 42).reshape(views * batch, classes)
            t = nn_make.uniform(2 * batch * classes, 44).reshape(2 * batch, classes)
            logits = torch.from_numpy(np.float32(8 * u - 4).astype(np.float64)).requires_grad_()
            teacher = torch.from_numpy(np.float32(8 * t - 4).astype(np.float64))
            terms = taught_loss(logits, teacher, views, lam1, lam2, tau)
            terms[0].backward()
            f.write(f"{views} {batch} {classes} {lam1} {lam2} {-10 - tau} " + " ".join(f"{t.item():.12g}" for t in terms) + "\n")
            f.write(" ".join(f"{v:.9g}" for v in logits.grad.numpy().ravel()) + "\n")
        for views, batch, classes, quantile in [(2, 5, 4, 0.5), (4, 6, 5, 0.6), (3, 4, 3, 1.0), (2, 3, 4, 0.1)]:
            u = nn_make.uniform(views * batch * classes, 43).reshape(views * batch, classes)
            logits = torch.from_numpy(np.float32(8 * u - 4).astype(np.float64)).requires_grad_()
            q = min(quantile, (batch - 0.5) / batch)
            loss = selflabel_loss(logits, views, q)
            loss.backward()
            f.write(f"{views} {batch} {classes} {quantile} 0 -1 {loss.item():.12g} 0 0 0\n")
            f.write(" ".join(f"{v:.9g}" for v in logits.grad.numpy().ravel()) + "\n")


if __name__ == "__main__":
    losses()
    wanted = [a for a in sys.argv[1:] if not a.startswith("-")]
    for file, name, optim, groups, batch, lr, wd, more in CASES:
        if wanted and file not in wanted:
            continue
        run(file, name, optim, groups, batch, lr, wd, **more)
    if not wanted or "labels.txt" in wanted:
        finetune("labels.txt")
