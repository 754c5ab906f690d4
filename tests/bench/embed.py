"""twist-embed against PyTorch, eager and compiled, and OpenVINO: how far apart the features are on the same pixels from the same weights, and processor seconds
for a folder of photographs through ResNet-50 and ViT-S/16, end to end, one thread each, then seconds by the clock on two cores; in turns (the least of the rounds
counts).
usage: embed.py BIN PHOTOS FOLDER [ROUNDS]   (FOLDER: for files; LIMIT=N: so many photographs; needs torch, torchvision, timm, openvino, msgpack, msgpack-numpy, pillow)"""
import copy
import os
import resource
import subprocess
import sys
import time

import msgpack
import msgpack_numpy
import numpy as np
import timm
import torch
import torchvision
from PIL import Image

BIN, PHOTOS, FOLDER = sys.argv[1:4]
ROUNDS, LIMIT, BATCH = int(sys.argv[4]) if len(sys.argv) > 4 else 2, int(os.environ.get("LIMIT", 400)), 32
torch.set_num_threads(1)
torch.manual_seed(0)
MEAN, STD = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])


def read(path):
    with open(path, "rb") as f:
        return [r for r in msgpack.Unpacker(f, object_hook=msgpack_numpy.decode, max_buffer_size=2**31) if b"key" in r or "key" in r]


def field(record, name):
    return record.get(name, record.get(name.encode()))


def shell(command):
    """Processor seconds of all the command's processes."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(["bash", "-c", "set -o pipefail; " + command], check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def wall(command):
    start = time.monotonic()
    subprocess.run(["bash", "-c", "set -o pipefail; " + command], check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - start


def program(name, options, threads=1):
    return f"{os.path.join(BIN, name)} -q -j{threads} {options}"


def random_statistics(model):
    """Running statistics as after training, so that activations keep their size."""
    model.train()
    with torch.no_grad():
        for _ in range(3):
            model(torch.randn(8, 3, 224, 224))
    return model.eval()


def networks():
    for name in ("resnet18", "resnet50"):
        model = getattr(torchvision.models, name)()
        yield name, random_statistics(model), lambda m, x: torch.nn.Sequential(*list(m.children())[:-1])(x).flatten(1)
    yield "vit_s", timm.create_model("vit_small_patch16_224", num_classes=0).eval(), lambda m, x: m(x)


def compare():
    views = os.path.join(FOLDER, "embed-views.tws")
    shell(f"{program('twist-decode', f'--limit=16 {PHOTOS}')} | {program('twist-augment', f'--aug=eval -o {views}')}")
    pixels = torch.tensor(np.stack([field(r, "views")[0] for r in read(views)]))
    x = ((pixels.float() / 255 - MEAN) / STD).permute(0, 3, 1, 2)
    for name, model, features in networks():
        weights, out = os.path.join(FOLDER, f"{name}.pth"), os.path.join(FOLDER, f"{name}.emb")
        torch.save(model.state_dict(), weights)
        with torch.no_grad():
            want = features(model, x).double().numpy()
        for precision in ("fp32", "bf16"):
            if subprocess.run(["bash", "-c", program("twist-embed", f"--precision={precision} -i {views} -o {out} {weights}")], stderr=subprocess.PIPE).returncode:
                print(f"{name}, {precision}: this processor cannot")
                continue
            got = np.stack([field(r, "features") for r in read(out)]).astype(np.float64)
            error = np.linalg.norm(got - want) / np.linalg.norm(want)
            cosine = ((got * want).sum(1) / np.linalg.norm(got, axis=1) / np.linalg.norm(want, axis=1)).min()
            print(f"{name}, {precision}: relative error {error:.1e}, least cosine {cosine:.7f}", flush=True)


def photographs():
    found = [os.path.join(d, f) for d, _, files in os.walk(PHOTOS) for f in files]
    return sorted(found)[:LIMIT]


def peers(body, precision, threads):
    """name: function of a normalised batch."""
    fast = copy.deepcopy(body).to(memory_format=torch.channels_last)
    if precision == "bf16":
        fast = fast.bfloat16()

    def torch_run(network):
        def run(x):
            with torch.no_grad():
                return network(x.contiguous(memory_format=torch.channels_last).to(torch.bfloat16 if precision == "bf16" else torch.float32)).float()
        return run

    torch.set_num_threads(threads)
    torch._dynamo.reset()
    yield "PyTorch", torch_run(fast)
    yield "PyTorch compiled", torch_run(torch.compile(fast))
    try:
        import openvino
        core = openvino.Core()
        net = core.compile_model(openvino.convert_model(body, example_input=torch.randn(BATCH, 3, 224, 224)), "CPU",
                                 {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32"})
        yield "OpenVINO", lambda x: net(x.numpy())
    except ImportError:
        print("no OpenVINO here")


class Loader(torch.utils.data.Dataset):
    """torchvision's."""

    def __init__(self):
        t = torchvision.transforms
        self.paths = photographs()
        self.prepare = t.Compose([t.Resize(256), t.CenterCrop(224), t.ToTensor(), t.Normalize(MEAN.tolist(), STD.tolist())])

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, i):
        return self.prepare(Image.open(self.paths[i]).convert("RGB"))


def end_to_end(run, threads):
    """Loader and network: processor seconds of this process, of several threads seconds by the clock, where as many processes load; of these the network alone."""
    clock = time.process_time if threads == 1 else time.monotonic
    start, inside = clock(), 0
    for x in torch.utils.data.DataLoader(Loader(), BATCH, num_workers=0 if threads == 1 else threads):
        before = clock()
        run(x)
        inside += clock() - before
    return clock() - start, inside


def resnet50():
    """The network, and what gives its features."""
    model = random_statistics(torchvision.models.resnet50())
    return model, torch.nn.Sequential(*list(model.children())[:-1]).eval()


def vit_s():
    model = timm.create_model("vit_small_patch16_224", num_classes=0).eval()
    return model, model


def speed(network, precision, threads):
    model, body = network()
    weights, views = os.path.join(FOLDER, "speed.pth"), os.path.join(FOLDER, "speed-views.tws")
    torch.save(model.state_dict(), weights)
    decode = program("twist-decode", f"--shrink-to=256 --limit={LIMIT} {PHOTOS}", threads)
    augment, embed = program("twist-augment", "--aug=eval", threads), program("twist-embed", f"--precision={precision} {weights}", threads)
    shell(f"{decode} | {augment} > {views}")
    seconds = shell if threads == 1 else wall
    theirs, ours, alone = {}, 1e9, 1e9
    runs = list(peers(body, precision, threads))
    for name, run in runs:
        for n in (BATCH, LIMIT % BATCH or BATCH):
            run(torch.randn(n, 3, 224, 224))  # what is prepared at the first call
    for _ in range(ROUNDS):
        ours = min(ours, seconds(f"{decode} | {augment} | {embed} > /dev/null"))
        alone = min(alone, seconds(f"{embed} -i {views} > /dev/null"))
        for name, run in runs:
            theirs[name] = tuple(map(min, theirs.get(name, (1e9, 1e9)), end_to_end(run, threads)))
    how = "one thread each, processor time" if threads == 1 else f"{threads} cores, by the clock"
    print(f"{network.__name__} {precision}, {LIMIT} photographs, {how}: ours {ours:.1f} s ({LIMIT / ours:.1f} images/s), the network {alone:.1f} s")
    for name, (whole, inside) in theirs.items():
        print(f"  {name}: {whole:.1f} s, {whole / ours:.2f} x; the network {inside:.1f} s, {inside / alone:.2f} x", flush=True)


compare()
for network in (resnet50, vit_s):
    for threads in (1, 2):
        speed(network, "fp32", threads)
        if "avx512_bf16" in open("/proc/cpuinfo").read():
            speed(network, "bf16", threads)
