"""Three training steps as tests/golden/train/make.py makes them, of vision transformers and a wide ResNet. Of the latter tensors of
more than a million numbers are left out of the file.
"""
import importlib.util
import os

import torch

HERE = os.path.dirname(os.path.abspath(__file__))
spec = importlib.util.spec_from_file_location("train_make", os.path.join(HERE, "..", "train", "make.py"))
train_make = importlib.util.module_from_spec(spec)
spec.loader.exec_module(train_make)
nn_make, first_value, write, Net = train_make.nn_make, train_make.first_value, train_make.write, train_make.nn_make.Net

GELU, DECAY, RATE = torch.nn.GELU, (0.04, 0.07, 0.12), (1e-4, 2e-4, 1.5e-4)
CROPS = [(2, 48, 48), (2, 32, 32)]
CASES = [
    ("vit_t-drop.txt", "vit_t", "admw", CROPS, 6, RATE, DECAY, {"clip": 1.0, "act": GELU}, {"patch": 16, "drop_path": 0.3, "seed": 9}),
    ("vit_s.txt", "vit_s", "admw", [(2, 32, 32)], 6, RATE, DECAY, {"clip": 1.0, "act": GELU}, {"patch": 8, "grid": 4}),
    ("vit_t-lars.txt", "vit_t", "lars", [(2, 32, 32)], 6, (0.2, 0.3, 0.25), 1e-4, {"act": GELU}, {"patch": 16}),
    ("resnet50w2.txt", "resnet50w2", "lars", [(2, 32, 32)], 6, (0.2, 0.3, 0.25), 1.5e-6, {}, {}),
]


class Counting(Net):
    """Numbers the steps for stochastic depth."""
    steps = 0

    def forward(self, groups):
        self.backbone.step = self.steps
        self.steps += 1
        return super().forward(groups)


def small(file, losses, norms, change, other):
    change = {k: v for k, v in change.items() if v.numel() <= 1 << 20}
    write(file, losses, norms, change, other)


if __name__ == "__main__":
    train_make.HERE, train_make.write = HERE, small
    for file, name, optim, groups, batch, lr, wd, how, more in CASES:
        nn_make.Net = lambda *a, more=more: Counting(*a, **more)
        train_make.first_value = first_value if name.startswith("resnet") else lambda *a: nn_make.fill(*a)
        train_make.run(file, name, optim, groups, batch, lr, wd, **how)
