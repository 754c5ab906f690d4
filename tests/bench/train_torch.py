"""One training step as often as it takes in PyTorch (channels_last; bf16 by autocast): prints views/s, the best of ten steps, and the
MB that the process had resident at most.

usage: train_torch.py BACKBONE PX BATCH fp32|bf16 eager|compile
"""
import os
import resource
import sys
import time

import torch
import torchvision


def twist_loss(f, eps=1e-5):
    a, b = (x.softmax(1) for x in f.chunk(2))
    kl = sum((p * ((p + eps).log() - (q + eps).log())).sum(1).mean() for p, q in ((a, b), (b, a))) / 2
    eh = sum(-(p * (p + eps).log()).sum(1).mean() for p in (a, b)) / 2
    he = sum(-(p.mean(0) * (p.mean(0) + eps).log()).sum() for p in (a, b)) / 2
    return kl + eh - he


def vision_transformer(name):
    """timm's and DINO's, as tests/golden/nn/nets.py has it, with PyTorch's own fused attention."""
    sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "golden", "nn"))
    import nets

    def attention(self, x):
        n, t, c = x.shape
        q, k, v = self.qkv(x).reshape(n, t, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        y = torch.nn.functional.scaled_dot_product_attention(q, k, v)
        return self.proj(y.transpose(1, 2).reshape(n, t, c))

    def block(self, x, scale):
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))

    nets.Attention.forward, nets.Block.forward, nets.ViT.scale = attention, block, lambda *_: None
    return nets.ViT(name)


def main():
    name, px, batch, precision, how = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4], sys.argv[5]
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    vit = name.startswith("vit_")
    backbone = vision_transformer(name) if vit else getattr(torchvision.models, name)()
    d = backbone.fc.in_features
    backbone.fc = torch.nn.Identity()
    norm = torch.nn.BatchNorm1d
    head = torch.nn.Sequential(torch.nn.Linear(d, 512), norm(512), torch.nn.ReLU(), torch.nn.Linear(512, 512), norm(512),
                               torch.nn.ReLU(), torch.nn.Linear(512, 512), norm(512, affine=False))
    model = torch.nn.Sequential(backbone, head).to(memory_format=torch.channels_last)
    if vit:
        opt = torch.optim.AdamW(model.parameters(), lr=1e-4)
    else:
        opt = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    x = torch.randn(2 * batch, 3, px, px).to(memory_format=torch.channels_last)

    def forward(x):
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            f = model(x)
        return twist_loss(f.float())

    step = torch.compile(forward) if how == "compile" else forward
    best = float("inf")
    for _ in range(10):
        start = time.time()
        opt.zero_grad()
        step(x).backward()
        opt.step()
        best = min(best, time.time() - start)
    print(f"{2 * batch / best:.2f} {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024}")


if __name__ == "__main__":
    main()
