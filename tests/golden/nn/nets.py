"""The backbones that torchvision lacks, written down anew from their definitions: wide and deep ResNets, and the vision
transformers of timm and DINO (checked against timm's own where that is installed: `python nets.py`).
"""
import math

import torch
import torch.nn.functional as F
import torchvision
from torch import nn

VITS = {"vit_t": (192, 3), "vit_s": (384, 6), "vit_b": (768, 12)}
WIDE = {"resnet200": ([3, 24, 36, 3], 1), "resnet50w2": ([3, 4, 6, 3], 2), "resnet50w4": ([3, 4, 6, 3], 4),
        "resnet50w5": ([3, 4, 6, 3], 5), "resnet200w2": ([3, 24, 36, 3], 2)}


class WideResNet(torchvision.models.ResNet):
    def __init__(self, blocks, widen):
        super().__init__(torchvision.models.resnet.Bottleneck, [1, 1, 1, 1])
        w = 64 * widen
        self.inplanes = w
        self.conv1, self.bn1 = nn.Conv2d(3, w, 7, 2, 3, bias=False), nn.BatchNorm2d(w)
        for i, n in enumerate(blocks):
            setattr(self, f"layer{i + 1}", self._make_layer(torchvision.models.resnet.Bottleneck, w << i, n, stride=1 if i == 0 else 2))
        self.fc = nn.Linear(32 * w, 1)


def philox(key, counter):
    """Philox4x32-10 (Salmon et al. 2011)."""
    k, c = list(key), list(counter)
    for i in range(10):
        a, b = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [b >> 32 ^ c[1] ^ k[0], b & 0xFFFFFFFF, a >> 32 ^ c[3] ^ k[1], a & 0xFFFFFFFF]
        k = [(k[0] + 0x9E3779B9) & 0xFFFFFFFF, (k[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return c


def kept(seed, step, row, layer, p):
    """Whether the branch of that row (among all ranks) is kept: number 0 of the stream for dropping (4)."""
    counter = [0, step & 0xFFFFFFFF, row << 8, 4 << 16 | layer]
    return philox([seed & 0xFFFFFFFF, seed >> 32], counter)[0] >= p * 2**32


class Attention(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.heads, self.qkv, self.proj = heads, nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)

    def forward(self, x):
        n, t, c = x.shape
        q, k, v = self.qkv(x).reshape(n, t, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        p = (q @ k.transpose(-2, -1) / math.sqrt(c // self.heads)).softmax(-1)
        return self.proj((p @ v).transpose(1, 2).reshape(n, t, c))


class Mlp(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(dim, 4 * dim), nn.Linear(4 * dim, dim)

    def forward(self, x):
        return self.fc2(F.gelu(self.fc1(x)))


class Block(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.norm1, self.attn = nn.LayerNorm(dim, eps=1e-6), Attention(dim, heads)
        self.norm2, self.mlp = nn.LayerNorm(dim, eps=1e-6), Mlp(dim)

    def forward(self, x, scale):
        x = x + scale[0] * self.attn(self.norm1(x))
        return x + scale[1] * self.mlp(self.norm2(x))


class Patches(nn.Module):
    def __init__(self, dim, patch):
        super().__init__()
        self.proj = nn.Conv2d(3, dim, patch, patch)

    def forward(self, x):
        return self.proj(x)


class ViT(nn.Module):
    """step, first_row: of the pass, for stochastic depth."""

    def __init__(self, name, patch=16, grid=None, drop_path=0.0, seed=0):
        super().__init__()
        dim, heads = VITS[name]
        self.grid, self.patch, self.drop_path, self.seed = grid or 224 // patch, patch, drop_path, seed
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + self.grid**2, dim))
        self.patch_embed = Patches(dim, patch)
        self.blocks = nn.ModuleList(Block(dim, heads) for _ in range(12))
        self.norm = nn.LayerNorm(dim, eps=1e-6)
        self.fc = nn.Linear(dim, 1)  # for its in_features, as ResNets have it
        self.step = self.first_row = 0

    def positions(self, h, w):
        if h == self.grid and w == self.grid:
            return self.pos_embed
        pos = self.pos_embed[:, 1:].reshape(1, self.grid, self.grid, -1).permute(0, 3, 1, 2)
        pos = F.interpolate(pos, scale_factor=((h + 0.1) / self.grid, (w + 0.1) / self.grid), mode="bicubic")
        assert pos.shape[2:] == (h, w)
        return torch.cat([self.pos_embed[:, :1], pos.permute(0, 2, 3, 1).flatten(1, 2)], 1)

    def scale(self, n, block, branch):
        p = self.drop_path * block / 11 if self.training else 0
        s = [kept(self.seed, self.step, self.first_row + i, 4096 + 2 * block + branch, p) / (1 - p) for i in range(n)]
        return torch.tensor(s, dtype=self.norm.weight.dtype).reshape(n, 1, 1)

    def forward(self, x, last_blocks=1, patch_mean=False):
        n = len(x)
        x = self.patch_embed(x)
        h, w = x.shape[2:]
        x = torch.cat([self.cls_token.expand(n, -1, -1), x.flatten(2).transpose(1, 2)], 1) + self.positions(h, w)
        out = []
        for i, block in enumerate(self.blocks):
            x = block(x, (self.scale(n, i, 0), self.scale(n, i, 1)))
            out.append(self.norm(x))
        features = [o[:, 0] for o in out[-last_blocks:]]
        return torch.cat(features + ([out[-1][:, 1:].mean(1)] if patch_mean else []), 1)


def make(name, **more):
    """Every backbone without its classifier; `more` for vision transformers."""
    net = ViT(name, **more) if name in VITS else WideResNet(*WIDE[name]) if name in WIDE else getattr(torchvision.models, name)()
    features, net.fc = net.fc.in_features, nn.Identity()
    return net, features


def same_as_timm():
    import timm
    torch.manual_seed(0)
    for name, theirs in (("vit_t", "vit_tiny_patch16_224"), ("vit_s", "vit_small_patch16_224")):
        ours, other = ViT(name), timm.create_model(theirs, num_classes=0)
        other.load_state_dict({k: v for k, v in ours.state_dict().items() if not k.startswith("fc.")}, strict=True)
        nn.init.normal_(ours.pos_embed)
        other.pos_embed.data.copy_(ours.pos_embed.data)
        x = torch.randn(2, 3, 224, 224)
        ours.eval(), other.eval()
        print(name, "differs from timm's by", (ours(x) - other(x)).abs().max().item())


if __name__ == "__main__":
    same_as_timm()
