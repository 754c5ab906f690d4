"""Accuracies on stored features against scikit-learn's, PyTorch's and DINO's formula, all on the same two files of twist-embed, in points:
a difference of 0.3 points or more is a failure.
usage: eval_accuracy.py BIN TRAIN.emb VAL.emb   (needs torch, numpy, scikit-learn, msgpack, msgpack-numpy)

k-NN: cosines, votes of exp(cosine / 0.07). Linear by the seed's recipe: SGD, momentum 0.9, cosine by epoch, batches of 1024, 100 epochs, the
best epoch, the mean of ten seeds on each side, whose draws differ. Linear at the optimum:
scikit-learn's LogisticRegression minimises sum of losses + |w|^2 / (2 C), twist-linear their mean + wd |w|^2 / 2: the same for
C = 1 / (N wd); on standardised features, with as many epochs as it takes to be there."""
import json
import os
import subprocess
import sys

import msgpack
import msgpack_numpy
import numpy as np
import torch
from sklearn.linear_model import LogisticRegression

BIN, TRAIN, VAL = sys.argv[1:4]
SEEDS, KS, DECAY, BOUND = range(10), (10, 20, 100, 200), 0.01, 0.3


def read(path):
    with open(path, "rb") as f:
        records = [r for r in msgpack.Unpacker(f, object_hook=msgpack_numpy.decode, unicode_errors="surrogateescape", max_buffer_size=1 << 30)]
    assert records[0]["kind"] == "features" and records[-1].get("end"), path
    return np.stack([r["features"] for r in records[1:-1]]).astype(np.float32), np.array([r["label"] for r in records[1:-1]])


def ours(program, *args):
    out = subprocess.run([os.path.join(BIN, program), "-q", "--train", TRAIN, "--val", VAL, *args], check=True, stdout=subprocess.PIPE).stdout
    return json.loads(out)


def dino(x, y, xv, yv, classes):
    tx, tv = (torch.nn.functional.normalize(torch.tensor(v), dim=1) for v in (x, xv))
    ty, tw = torch.tensor(y), torch.tensor(yv)
    near, at = (tv @ tx.T).topk(max(KS), 1)
    found = {}
    for k in KS:
        votes = torch.zeros(len(tv), classes).scatter_add_(1, ty[at[:, :k]], (near[:, :k] / 0.07).exp())
        found[k] = 100 * (votes.argmax(1) == tw).float().mean().item()
    return found


def sgd(x, y, xv, yv, classes, seed, epochs=100, batch=1024, lr=0.2):
    torch.manual_seed(seed)
    tx, ty, tv, tw = (torch.tensor(v) for v in (x, y, xv, yv))
    fc = torch.nn.Linear(tx.shape[1], classes)
    fc.weight.data.normal_(0, 0.01)
    fc.bias.data.zero_()
    optimizer = torch.optim.SGD(fc.parameters(), lr, momentum=0.9)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    best = 0
    for _ in range(epochs):
        for at in torch.randperm(len(tx)).split(batch):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(fc(tx[at]), ty[at]).backward()
            optimizer.step()
        schedule.step()
        with torch.no_grad():
            best = max(best, 100 * (fc(tv).argmax(1) == tw).float().mean().item())
    return best


failed = []


def compare(what, a, b, more=""):
    print("%-44s ours %.2f  peer %.2f  %+.2f%s" % (what, a, b, a - b, more), flush=True)
    if abs(a - b) >= BOUND:
        failed.append(what)


(x, y), (xv, yv) = read(TRAIN), read(VAL)
classes = int(max(y.max(), yv.max())) + 1
print("%d and %d records of %d features, %d classes; standard error %.1f points" %
      (len(x), len(xv), x.shape[1], classes, 100 * (0.25 / len(xv)) ** 0.5))
found, peer = ours("twist-knn"), dino(x, y, xv, yv, classes)
for k in KS:
    compare("k-NN, k %d, against DINO's formula" % k, 100 * found["k%d" % k], peer[k])

mean, deviation = x.mean(0), x.std(0)
scaled = [(v - mean) / np.where(deviation > 0, deviation, 1) for v in (x, xv)]
for name, (tx, tv), options in (("as they are", (x, xv), []), ("standardised", scaled, ["--normalize"])):
    a = [100 * ours("twist-linear", f"--seed={s}", *options)["acc1"] for s in SEEDS]
    b = [sgd(tx, y, tv, yv, classes, s) for s in SEEDS]
    compare("linear, SGD, %s, against PyTorch" % name, np.mean(a), np.mean(b),
            "  (deviations over the seeds %.2f and %.2f)" % (np.std(a), np.std(b)))
model = LogisticRegression(C=1 / (len(x) * DECAY), max_iter=2000, tol=1e-6).fit(scaled[0], y)
last = ours("twist-linear", "--normalize", f"--weight-decay={DECAY}", "--epochs=300", "--lr=0.02")["acc1_last"]
compare("linear at the optimum, against scikit-learn", 100 * last, 100 * model.score(scaled[1], yv))
sys.exit("%d of them differ by %.1f points or more: %s" % (len(failed), BOUND, "; ".join(failed)) if failed else 0)
