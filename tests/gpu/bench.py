"""The same step in PyTorch, as fast as it goes there: bf16 autocast, channels_last, torch.compile, fused SGD or (vision transformers)
AdamW, views already on the GPU. bench.py BACKBONE BATCH DIM VIEWS:SIZE [VIEWS:SIZE...]   Prints as bench.c does.
Embedding: bench.py eval|eval-frozen BACKBONE BATCH SIZE   bf16 weights, compiled, without or with what folds BatchNorm ("freezing")."""
import os
import sys
import time

import torch
from torch import nn
from torch.nn import functional as F


def block(c, width, stride, down):
    k = 4 * width
    main = nn.Sequential(nn.Conv2d(c, width, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(True),
                         nn.Conv2d(width, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(True),
                         nn.Conv2d(width, k, 1, bias=False), nn.BatchNorm2d(k))
    side = nn.Sequential(nn.Conv2d(c, k, 1, stride, bias=False), nn.BatchNorm2d(k)) if down else nn.Identity()
    return Sum(main, side)


def basic(c, width, stride, down):
    main = nn.Sequential(nn.Conv2d(c, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(True),
                         nn.Conv2d(width, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width))
    side = nn.Sequential(nn.Conv2d(c, width, 1, stride, bias=False), nn.BatchNorm2d(width)) if down else nn.Identity()
    return Sum(main, side)


class Sum(nn.Module):
    def __init__(self, main, side):
        super().__init__()
        self.main, self.side = main, side

    def forward(self, x):
        return torch.relu(self.main(x) + self.side(x))


class Block(nn.Module):
    def __init__(self, c, heads):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(c, 1e-6), nn.LayerNorm(c, 1e-6)
        self.qkv, self.proj = nn.Linear(c, 3 * c), nn.Linear(c, c)
        self.mlp = nn.Sequential(nn.Linear(c, 4 * c), nn.GELU(), nn.Linear(4 * c, c))

    def forward(self, x):
        n, t, c = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(n, t, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        x = x + self.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(n, t, c))
        return x + self.mlp(self.norm2(x))


class ViT(nn.Module):
    """16 px patches, positions of 14 x 14 resized where views are of another size, the CLS token in the end."""
    def __init__(self, c, heads):
        super().__init__()
        self.patches = nn.Conv2d(3, c, 16, 16)
        self.cls = nn.Parameter(torch.randn(1, 1, c) * 0.02)
        self.first, self.pos = nn.Parameter(torch.randn(1, 1, c) * 0.02), nn.Parameter(torch.randn(1, c, 14, 14) * 0.02)
        self.blocks = nn.Sequential(*[Block(c, heads) for _ in range(12)])
        self.norm = nn.LayerNorm(c, 1e-6)

    def forward(self, x):
        x = self.patches(x)
        pos = self.pos if x.shape[2] == 14 else F.interpolate(self.pos, size=x.shape[2:], mode="bicubic")
        x = torch.cat([(self.cls + self.first).expand(x.shape[0], -1, -1).to(x.dtype), (x + pos.to(x.dtype)).flatten(2).transpose(1, 2)], 1)
        return self.norm(self.blocks(x)[:, 0])


def backbone(name):
    if name.startswith("vit"):
        c, heads = {"vit_t": (192, 3), "vit_s": (384, 6), "vit_b": (768, 12)}[name]
        return ViT(c, heads), c
    name, _, wide = name.partition("w")
    wide = int(wide or 1)
    bottleneck, depths = {"resnet18": (False, (2, 2, 2, 2)), "resnet50": (True, (3, 4, 6, 3))}[name]
    c = 64 * wide
    layers = [nn.Conv2d(3, c, 7, 2, 3, bias=False), nn.BatchNorm2d(c), nn.ReLU(True), nn.MaxPool2d(3, 2, 1)]
    for stage, depth in enumerate(depths):
        width = 64 * wide << stage
        for i in range(depth):
            stride = 2 if stage and not i else 1
            k = 4 * width if bottleneck else width
            layers.append((block if bottleneck else basic)(c, width, stride, stride != 1 or c != k))
            c = k
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten()), c


class Net(nn.Module):
    def __init__(self, name, dim):
        super().__init__()
        self.backbone, c = backbone(name)
        self.head = nn.Sequential(nn.Linear(c, 4096), nn.BatchNorm1d(4096), nn.ReLU(True), nn.Linear(4096, 4096), nn.BatchNorm1d(4096),
                                  nn.ReLU(True), nn.Linear(4096, dim), nn.BatchNorm1d(dim, affine=False))
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1) * 255)
        self.register_buffer("std", torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1) * 255)

    def forward(self, groups):
        return self.head(torch.cat([self.backbone((x.float() - self.mean) / self.std) for x in groups]))


def loss(logits, views):
    """All pairs (0, j), (1, j): consistency, sharpness, diversity."""
    p = logits.float().softmax(1).view(views, -1, logits.shape[1])
    log = (p + 1e-5).log()
    pairs = [(0, j) for j in range(1, views)] + [(1, j) for j in range(2, views)]
    kl = sum(((p[a] - p[b]) * (log[a] - log[b])).sum(1).mean() for a, b in pairs) / (2 * len(pairs))
    weight = torch.tensor([views - 1 if v < 2 else 2 for v in range(views)], device=p.device) / (2 * len(pairs))
    mean = p.mean(1)
    return kl - (weight * (p * log).sum(2).mean(1)).sum() + (weight * (mean * (mean + 1e-5).log()).sum(1)).sum()


def milliseconds(step, warm=8, steps=30):
    for _ in range(warm):
        step()
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()  # what was tried while plans were chosen is not in use
    start = time.perf_counter()
    for _ in range(steps):
        step()
    torch.cuda.synchronize()
    return 1e3 * (time.perf_counter() - start) / steps


def in_use():
    """MB of the card, as bench.c says it: the most that tensors had, and what is there beside them; not what the allocator keeps in reserve."""
    left, whole = torch.cuda.mem_get_info()
    return (whole - left - torch.cuda.memory_reserved() + torch.cuda.max_memory_allocated()) / 1e6


def embed(name, batch, size, freezing):
    net = Net(name, 8).cuda().eval()
    x = torch.randint(0, 256, (batch, 3, size, size), dtype=torch.uint8, device="cuda").to(memory_format=torch.channels_last)
    body = net.backbone.to(torch.bfloat16, memory_format=torch.channels_last)
    mean, std = net.mean, net.std
    torch._inductor.config.freezing = freezing
    with torch.inference_mode(not freezing), torch.no_grad():
        compiled = torch.compile(lambda u: body(((u.float() - mean) / std).to(torch.bfloat16)))
        ms = milliseconds(lambda: compiled(x))
    print(f"{1e3 * batch / ms:.1f} views/s, {ms:.2f} ms a batch, {in_use():.0f} MB in use")


def main():
    torch.backends.cudnn.benchmark = True
    torch.set_float32_matmul_precision("high")
    if sys.argv[1] in ("eval", "eval-frozen"):
        return embed(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[1] == "eval-frozen")
    name, batch, dim = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    groups = [tuple(map(int, a.split(":"))) for a in sys.argv[4:]]
    net = Net(name, dim).cuda().to(memory_format=torch.channels_last)
    optimizer = (torch.optim.AdamW(net.parameters(), 1e-4, weight_decay=0.05, fused=True) if name.startswith("vit")
                 else torch.optim.SGD(net.parameters(), 0.1, momentum=0.9, weight_decay=1.5e-6, fused=True))
    pictures = [torch.randint(0, 256, (v * batch, 3, s, s), dtype=torch.uint8, device="cuda").to(memory_format=torch.channels_last)
                for v, s in groups]
    views = sum(v for v, _ in groups)

    def forward():
        with torch.autocast("cuda", torch.bfloat16):
            return loss(net(pictures), views)

    compiled = torch.compile(forward)

    def step():
        optimizer.zero_grad(set_to_none=True)
        compiled().backward()
        optimizer.step()

    ms = milliseconds(step)
    print(f"{1e3 * views * batch / ms:.1f} views/s, {ms:.2f} ms a step, {in_use():.0f} MB in use")


main()
