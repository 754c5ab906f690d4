"""Makes the figures (*.txt) and the feature streams (*.tws) beside it: what scikit-learn, SciPy and PyTorch say.
Needs numpy, scipy, scikit-learn, torch, msgpack, msgpack-numpy."""
import os

import msgpack
import msgpack_numpy
import numpy as np
import sklearn.metrics as m
from sklearn.cluster import KMeans
import torch
from scipy.optimize import linear_sum_assignment

here = os.path.dirname(os.path.abspath(__file__))
rng = np.random.default_rng(7)


def row(f, values, form="%.17g"):
    f.write(" ".join(form % v for v in values) + "\n")


def purity(clusters, classes):
    return m.cluster.contingency_matrix(clusters, classes).max(1).sum() / len(classes)


def partitions():
    def noisy(n, k, keep):
        a = rng.integers(0, k, n)
        return a, np.where(rng.random(n) < keep, a, rng.integers(0, k, n))

    cases = [noisy(40, 3, 0.5), noisy(500, 10, 0.7), noisy(500, 10, 0.0), noisy(2000, 100, 0.9), noisy(1000, 400, 0.3),
             (rng.integers(0, 7, 300), rng.integers(0, 31, 300)), (rng.integers(-5, 5, 100) * 1000003, rng.integers(0, 2, 100)),
             (np.zeros(20, int), np.zeros(20, int)), (np.zeros(20, int), np.arange(20)), (np.arange(20), np.arange(20)),
             (np.arange(20), np.zeros(20, int)), (np.arange(20), np.arange(20) // 2), (np.array([3]), np.array([9])),
             (np.arange(20) % 4, (np.arange(20) + 1) % 4), (np.arange(2), np.arange(2)), (np.arange(20) % 2, np.arange(20) // 10)]
    with open(os.path.join(here, "partition.txt"), "w") as f:
        for a, b in cases:
            row(f, [len(a)], "%d")
            row(f, a, "%d")
            row(f, b, "%d")
            row(f, [m.normalized_mutual_info_score(b, a), m.adjusted_mutual_info_score(b, a), m.adjusted_rand_score(b, a),
                    m.fowlkes_mallows_score(b, a), purity(a, b)])


def uniform(n, stream):
    """n numbers of [0, 1): the hash of tests/unit/formula.h, so that labels need no file."""
    x = np.arange(n, dtype=np.uint64) * 2654435761 + stream * 40503 + 12345 & 0xFFFFFFFF
    for shift, factor in ((15, 2246822519), (13, 3266489917)):
        x = (x ^ x >> shift) * factor & 0xFFFFFFFF
    return ((x ^ x >> 16) >> 8).astype(np.float64) / 2**24


def large():
    """Labels by formula: n samples, K clusters, C classes; with the share `keep` the cluster goes with the class (K or C equal to n:
    a label for each sample). Last comes how many samples agree by the best one-to-one match of clusters and classes."""
    with open(os.path.join(here, "partition-large.txt"), "w") as f:
        for n, K, C, keep in [(50000, 2, 2, 0.7), (50000, 3, 1000, 0.4), (50000, 1, 1000, 0), (50000, 1000, 1, 0), (40000, 1000, 1000, 0.5),
                              (50000, 4096, 1000, 0.6), (20000, 4096, 4096, 0.3), (60000, 32768, 1000, 0.5), (60000, 32768, 2, 0),
                              (20000, 20000, 1000, 0), (20000, 20000, 1, 0), (20000, 20000, 20000, 0)]:
            y = np.arange(n) if C == n else np.floor(C * uniform(n, 1)).astype(int)
            own = np.arange(n) if K == n else np.floor(K * uniform(n, 3)).astype(int)
            x = np.where(uniform(n, 2) < keep, y * 7919 % K, own)
            i, j = linear_sum_assignment(m.cluster.contingency_matrix(x, y), maximize=True) if K * C < 1e8 else (None, None)
            best = m.cluster.contingency_matrix(x, y)[i, j].sum() if i is not None else n
            row(f, [n, K, C, keep, m.normalized_mutual_info_score(y, x), m.adjusted_mutual_info_score(y, x), m.adjusted_rand_score(y, x),
                    m.fowlkes_mallows_score(y, x), purity(x, y) if K * C < 1e8 else 1, best])


def assignments():
    with open(os.path.join(here, "assignment.txt"), "w") as f:
        for rows, cols, kind in [(1, 1, 0), (4, 4, 0), (10, 10, 1), (7, 12, 0), (12, 7, 1), (40, 40, 1), (3, 50, 1), (50, 3, 0),
                                 (60, 60, 0)]:
            cost = rng.normal(size=(rows, cols)) if kind == 0 else -rng.integers(0, 6, (rows, cols)).astype(float)
            i, j = linear_sum_assignment(cost)
            row(f, [rows, cols], "%d")
            for r in cost:
                row(f, r)
            row(f, [cost[i, j].sum()])


def knn():
    """As DINO's eval_knn.py."""
    n, q, d, c, temperature = 120, 40, 12, 6, 0.07
    centres = rng.normal(size=(c, d))
    label, want = rng.integers(0, c, n), rng.integers(0, c, q)
    x = (centres[label] + 1.3 * rng.normal(size=(n, d))).astype(np.float32)
    y = (centres[want] + 1.3 * rng.normal(size=(q, d))).astype(np.float32)
    tx, ty = (torch.nn.functional.normalize(torch.tensor(v), dim=1) for v in (x, y))
    with open(os.path.join(here, "knn.txt"), "w") as f:
        row(f, [n, q, d, c], "%d")
        for lab, v in ((label, x), (want, y)):
            row(f, lab, "%d")
            for r in v:
                row(f, r, "%.9g")
        for k in (1, 5, 20, 100):
            near, at = (ty @ tx.T).topk(k, largest=True, sorted=True)
            votes = torch.zeros(q, c).scatter_add_(1, torch.tensor(label)[at], (near / temperature).exp())
            order = votes.argsort(1, descending=True)
            hit = (order == torch.tensor(want)[:, None]) & (votes.gather(1, order) > 0)  # unvoted classes come in any order
            row(f, [k, hit[:, :1].any(1).float().mean(), hit[:, :3].any(1).float().mean()])


def kmeans():
    """Lloyd's algorithm to convergence from given centres, one of them so far away that it starts empty."""
    n, d, k = 150, 5, 6
    x = (rng.normal(size=(k, d))[rng.integers(0, k, n)] * 2 + rng.normal(size=(n, d))).astype(np.float32)
    start = x[:k].copy()
    start[3] += 1000
    with open(os.path.join(here, "kmeans.txt"), "w") as f:
        row(f, [n, d, k], "%d")
        for r in np.concatenate([x, start]):
            row(f, r, "%.9g")
        fit = KMeans(k, init=start, n_init=1, tol=0, algorithm="lloyd").fit(x)
        row(f, fit.labels_, "%d")
        row(f, [fit.inertia_])


def read(name):
    with open(os.path.join(here, name), "rb") as f:
        records = [r for r in msgpack.Unpacker(f, object_hook=msgpack_numpy.decode) if "key" in r]
    return torch.tensor(np.stack([r["features"] for r in records])), torch.tensor([r["label"] for r in records])


def knn_stream():
    """The same for the streams train.tws and val.tws: what the program must print."""
    x, label = read("train.tws")
    y, want = read("val.tws")
    near = torch.nn.functional.normalize(y, dim=1) @ torch.nn.functional.normalize(x, dim=1).T
    with open(os.path.join(here, "knn-stream.txt"), "w") as f:
        for k in (1, 10, 50):
            cosine, at = near.topk(k)
            votes = torch.zeros(len(y), 4).scatter_add_(1, label[at], (cosine / 0.07).exp())
            row(f, [k, (votes.argmax(1) == want).float().mean()], "%.9g")


def cluster_stream():
    """The scores of the logits' argmax in val.tws."""
    with open(os.path.join(here, "val.tws"), "rb") as f:
        records = [r for r in msgpack.Unpacker(f, object_hook=msgpack_numpy.decode) if "key" in r]
    z, y = np.stack([r["logits"] for r in records]), np.array([r["label"] for r in records])
    own, k = z.argmax(1), z.shape[1]
    table = np.zeros((k, k), int)
    np.add.at(table, (own, y), 1)
    to = linear_sum_assignment(-table)[1]
    with open(os.path.join(here, "cluster-stream.txt"), "w") as f:
        for name, value in [("nmi", m.normalized_mutual_info_score(y, own)), ("ami", m.adjusted_mutual_info_score(y, own)),
                            ("ari", m.adjusted_rand_score(y, own)), ("fmi", m.fowlkes_mallows_score(y, own)),
                            ("acc", (to[own] == y).mean()), ("acc5", 1.0), ("purity", purity(own, y))]:
            f.write("%s %.17g\n" % (name, value))


def linear():
    """SGD with momentum and weight decay on batches of 8 in given orders, the last of an epoch smaller; cosine rate per epoch."""
    n, d, c, epochs, batch, lr, wd = 30, 10, 5, 8, 8, 0.3, 0.01
    x, y = torch.tensor(rng.normal(size=(n, d)).astype(np.float32)), torch.tensor(rng.integers(0, c, n))
    order = np.stack([rng.permutation(n) for _ in range(epochs)])
    fc = torch.nn.Linear(d, c)
    fc.weight.data.normal_(0, 0.01, generator=torch.Generator().manual_seed(1))
    fc.bias.data.zero_()
    start = fc.weight.data.clone()
    opt = torch.optim.SGD(fc.parameters(), lr, momentum=0.9, weight_decay=wd)
    sched = torch.optim.lr_scheduler.CosineAnnealingLR(opt, epochs, eta_min=0)
    losses = []
    for o in order:
        total = 0
        for at in torch.tensor(o).split(batch):
            loss = torch.nn.functional.cross_entropy(fc(x[at]), y[at])
            total += loss.item() * len(at)
            opt.zero_grad()
            loss.backward()
            opt.step()
        losses.append(total / n)
        sched.step()
    rank = fc(x).argsort(1, descending=True)
    hit = rank == y[:, None]
    with open(os.path.join(here, "linear.txt"), "w") as f:
        row(f, [n, d, c, epochs, batch, lr, wd])
        row(f, y, "%d")
        for r in order:
            row(f, r, "%d")
        for block in (x.numpy(), start.numpy(), fc.weight.data.numpy(), fc.bias.data.numpy()[None]):
            for r in block:
                row(f, r, "%.9g")
        row(f, losses)
        row(f, [hit[:, 0].sum()], "%d")


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def pack(record):
    """A record with its crc: over the bytes before that key, the map's count included as it will be read."""
    body = msgpack.packb({**record, "crc": 0}, default=msgpack_numpy.encode)[:-1 - 4]
    assert body[0] & 0xF0 == 0x80
    return body + b"\xa3crc" + b"\xce" + crc32c(body).to_bytes(4, "big")


def stream(name, n, d, c, seed, labels=True, nan="", end=True, odd="", epochs=1, fields=("features", "logits")):
    """nan, odd: the field that has a NaN, is one short, in sample 3.""" 
    centres = np.random.default_rng(1).normal(size=(c, d)) * 2
    with open(os.path.join(here, name), "wb") as f:
        f.write(pack({"twist": 1, "kind": "features", "samples": n, "epochs": epochs, "first_epoch": 0, "seed": 0,
                      "classes": ["class %d" % i for i in range(c)] if labels else None, "history": []}))
        for e, i in [(e, i) for e in range(epochs) for i in range(n)]:
            if i == 0:
                r = np.random.default_rng(seed)  # every epoch the same
            y = int(r.integers(c))
            x = (centres[y] + r.normal(size=d)).astype(np.float32)
            near = -((x[None] - centres) ** 2).sum(1)
            logits = near[(np.arange(c) + 2) % c].astype(np.float32)
            value = {"features": x, "logits": logits}
            if nan and i == 3:
                value[nan][1] = np.nan
            if odd and i == 3:
                value[odd] = value[odd][:-1]
            f.write(pack({"key": "class %d/%03d.png" % (y, i), "index": i, "epoch": e, "pos": i, "label": y if labels else None,
                          **{k: value[k] for k in fields}}))
        if end:
            f.write(pack({"end": True, "samples": n * epochs, "skipped": 0}))


partitions()
large()
assignments()
knn()
linear()
kmeans()
stream("train.tws", 80, 8, 4, 11)
stream("val.tws", 40, 8, 4, 12)
stream("wide.tws", 10, 9, 4, 13)
stream("unlabelled.tws", 10, 8, 4, 14, labels=False)
stream("nan.tws", 10, 8, 4, 15, nan="features")
stream("odd.tws", 10, 8, 4, 16, odd="features")
stream("cut.tws", 10, 8, 4, 17, end=False)
with open(os.path.join(here, "names.tws"), "wb") as out:  # a class and a key that tables and pages must not be broken by
    for record in ({"twist": 1, "kind": "features", "classes": ['<b>"&\t</b>']},
                   {"key": 'a\t<i>\n\\b"', "index": 0, "label": 0, "logits": np.array([1, 2], np.float32)},
                   {"end": True, "samples": 1}):
        out.write(pack(record))
stream("nan-logits.tws", 10, 8, 4, 15, nan="logits")
stream("odd-logits.tws", 10, 8, 4, 16, odd="logits")
stream("features-only.tws", 10, 8, 4, 19, fields=("features",))
stream("epochs.tws", 20, 8, 4, 18, epochs=3)
stream("epoch.tws", 20, 8, 4, 18)
knn_stream()
cluster_stream()
