"""Evaluation on features against scikit-learn and PyTorch: the same data, one thread each, processor seconds, as ratios.
usage: eval.py BIN FOLDER   (FOLDER: where the data may lie; needs torch, numpy, scipy, scikit-learn, faiss-cpu, msgpack, msgpack-numpy)"""
import json
import os
import resource
import subprocess
import sys
import time

import faiss
import msgpack
import msgpack_numpy
import numpy as np
import sklearn.metrics as m
import threadpoolctl
import torch
from sklearn.cluster import KMeans

BIN, FOLDER = sys.argv[1:3]
torch.set_num_threads(1)
faiss.omp_set_num_threads(1)
threadpoolctl.threadpool_limits(1)


def write(name, fields, y, classes):
    path = os.path.join(FOLDER, name)
    with open(path, "wb") as f:
        put = lambda r: f.write(msgpack.packb(r, default=msgpack_numpy.encode))
        put({"twist": 1, "kind": "features", "samples": len(y), "classes": ["c%d" % i for i in range(classes)]})
        for i in range(len(y)):
            put({"key": "p/%d.jpg" % i, "index": i, "label": int(y[i]), **{k: v[i] for k, v in fields.items()}})
        put({"end": True, "samples": len(y)})
    return path


def ours(program, *args):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    out = subprocess.run([os.path.join(BIN, program), "-q", "-j1", *args], check=True, stdout=subprocess.PIPE).stdout
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return json.loads(out), after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def theirs(f):
    t = time.process_time()
    return f(), time.process_time() - t


def report(what, a, b, quality):
    print("%s: ours %.2f s, theirs %.2f s: %.1f x; %s" % (what, a, b, b / a, quality))


def knn():
    """DINO's eval_knn.py, in its chunks of 100 queries."""
    tx, tv = (torch.nn.functional.normalize(torch.tensor(v), dim=1) for v in (x, xv))
    ty, hits = torch.tensor(y), 0
    for a in range(0, len(tv), 100):
        near, at = (tv[a:a + 100] @ tx.T).topk(200)
        for k in (10, 20, 100, 200):
            votes = torch.zeros(len(near), C).scatter_add_(1, ty[at[:, :k]], (near[:, :k] / 0.07).exp())
            right = votes.argmax(1) == torch.tensor(yv[a:a + 100])
        hits += right.sum().item()
    return hits / len(tv)


def linear():
    tx, ty, tv, tw = (torch.tensor(v) for v in (x, y, xv, yv))
    fc = torch.nn.Linear(D, C)
    fc.weight.data.normal_(0, 0.01)
    fc.bias.data.zero_()
    opt = torch.optim.SGD(fc.parameters(), 0.2, momentum=0.9)
    sched = torch.optim.lr_scheduler.CosineAnnealingLR(opt, 10)
    for _ in range(10):
        for at in torch.randperm(len(tx)).split(1024):
            opt.zero_grad()
            torch.nn.functional.cross_entropy(fc(tx[at]), ty[at]).backward()
            opt.step()
        sched.step()
        with torch.no_grad():
            acc = (fc(tv).argmax(1) == tw).float().mean().item()
    return acc


N, NV, D, C = 50000, 10000, 512, 100
rng = np.random.default_rng(0)
centre = rng.normal(size=(C, D)).astype(np.float32) * 0.25
y, yv = rng.integers(0, C, N), rng.integers(0, C, NV)
x, xv = ((centre[v] + rng.normal(size=(len(v), D))).astype(np.float32) for v in (y, yv))
train, val = write("eval-train.emb", {"features": x}, y, C), write("eval-val.emb", {"features": xv}, yv, C)
print("%d x %d features, %d classes, %d to measure on; one thread each" % (N, D, C, NV))

got, a = ours("twist-knn", "--train", train, "--val", val)
want, b = theirs(knn)
report("k-NN, k 10 20 100 200, against PyTorch", a, b, "k200 %.4f and %.4f" % (got["k200"], want))
got, a = ours("twist-linear", "--train", train, "--val", val, "--epochs", "10")
want, b = theirs(linear)
report("linear, 10 epochs, against PyTorch", a, b, "acc1 of the last epoch %.4f and %.4f" % (got["acc1_last"], want))
got, a = ours("twist-cluster", train, "--kmeans", str(C), "--restarts", "1")
fit, b = theirs(lambda: KMeans(C, n_init=1, tol=0, random_state=0).fit(x))
report("k-means, K 100, against scikit-learn", a, b,
       "inertia %.6g in %d iterations and %.6g in %d" % (got["inertia"], got["iterations"], fit.inertia_, fit.n_iter_))

n, d, k = 1000000, 128, 1000
for what, clouds, spread in ("2000 clouds of unequal size", 2000, 2), ("hardly more than noise", 1000, 0.25):
    share = np.arange(1, clouds + 1) ** (-0.7 if clouds > k else 0)
    y = rng.choice(clouds, n, p=share / share.sum())
    x = rng.normal(size=(clouds, d)).astype(np.float32)[y] * spread + rng.standard_normal((n, d), dtype=np.float32)
    path = write("eval-kmeans.emb", {"features": x}, y, clouds)
    got, a = ours("twist-cluster", path, "--kmeans", str(k), "--restarts", "1", "--iterations", "10")
    fit = faiss.Kmeans(d, k, niter=10, max_points_per_centroid=n, seed=1)
    _, b = theirs(lambda: fit.train(x))
    (far, _), c = theirs(lambda: fit.index.search(x, 1))
    report("k-means, 1 M x 128, K 1000, 10 iterations, %s, reading included, against faiss without reading or clusters" % what, a, b,
           "inertia %.6g and %.6g, where another pass for the clusters took %.2f s" % (got["inertia"], far.sum(dtype=float), c))
    os.remove(path)

n = 1281167
label = np.sort(rng.integers(0, 1000, n)).astype(np.int32)
cluster = np.where(rng.random(n) < 0.45, label, rng.integers(0, 1000, n)).astype(np.int32)
one = np.eye(1000, dtype=np.float32)
path = write("eval-clusters.emb", {"probs": one[cluster]}, label, 1000)
got, a = ours("twist-cluster", path)
scores = m.normalized_mutual_info_score, m.adjusted_rand_score, m.adjusted_mutual_info_score
want, b = theirs(lambda: [f(label, cluster) for f in scores])
report("all of twist-cluster on 1,281,167 records of 1000 probs (5 GB) against NMI, ARI and AMI alone", a, b,
       "differences %.0e %.0e %.0e" % tuple(abs(got[k] - v) for k, v in zip(("nmi", "ari", "ami"), want)))
os.remove(path)
