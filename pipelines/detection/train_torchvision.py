"""Faster R-CNN with a feature pyramid, torchvision's, on a folder in VOC's format, from a ResNet backbone that twist-ckpt exported.

    twist-ckpt --part=backbone --to backbone.pth CHECKPOINT
    train_torchvision.py --data VOC2007 --weights backbone.pth -o detector.pth

Prints a line of JSON for each epoch: the mean loss and, on the measured part, AP (over IoU 0.5 to 0.95), AP50 and AP75, null where no
picture of it has an object that counts. A run typed again goes on after its last whole epoch."""
import argparse
import json
import os
import random
import sys
import time
import xml.etree.ElementTree as ET

import torch
import torchvision
from PIL import Image
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
from torchvision.transforms.functional import hflip, pil_to_tensor

BLOCKS = {(2, 2, 2, 2, False): "resnet18", (3, 4, 6, 3, False): "resnet34", (3, 4, 6, 3, True): "resnet50"}


def words(path):
    with open(path) as f:
        return [line.split()[0] for line in f if line.strip()]


def boxes_of(path):
    """[(name, [x0, y0, x1, y1], difficult)]; VOC counts pixels from 1."""
    found = []
    for item in ET.parse(path).getroot().iter("object"):
        box = item.find("bndbox")
        x0, y0, x1, y1 = (float(box.find(k).text) for k in ("xmin", "ymin", "xmax", "ymax"))
        found.append((item.find("name").text, [x0 - 1, y0 - 1, x1, y1], int(item.findtext("difficult") or 0)))
    return found


class Voc(torch.utils.data.Dataset):
    def __init__(self, root, part, classes=None):
        self.root, self.names = root, words(os.path.join(root, "ImageSets", "Main", part + ".txt"))
        self.boxes = [boxes_of(os.path.join(root, "Annotations", n + ".xml")) for n in self.names]
        self.classes = classes or sorted({b[0] for one in self.boxes for b in one})
        unknown = {b[0] for one in self.boxes for b in one} - set(self.classes)
        if unknown:
            sys.exit(f"{root}: {part}: classes that the training part does not have: {', '.join(sorted(unknown))}")

    def __len__(self):
        return len(self.names)

    def __getitem__(self, i):
        found = self.boxes[i]
        image = Image.open(os.path.join(self.root, "JPEGImages", self.names[i] + ".jpg")).convert("RGB")
        target = {
            "boxes": torch.tensor([b[1] for b in found], dtype=torch.float32).reshape(-1, 4),
            "labels": torch.tensor([self.classes.index(b[0]) + 1 for b in found], dtype=torch.int64),
            "difficult": torch.tensor([b[2] for b in found], dtype=torch.bool),
        }
        return pil_to_tensor(image).float() / 255, target


def training_sample(data, i):
    image, target = data[i]
    keep = ~target["difficult"]
    target = {"boxes": target["boxes"][keep], "labels": target["labels"][keep]}
    if random.random() < 0.5:
        width = image.shape[-1]
        image = hflip(image)
        target["boxes"] = torch.stack([width - target["boxes"][:, 2], target["boxes"][:, 1], width - target["boxes"][:, 0],
                                       target["boxes"][:, 3]], 1)
    return image, target


def read_backbone(path):
    """The state dict (names without a prefix) and which ResNet it is."""
    state = torch.load(path, weights_only=True, map_location="cpu")
    count = tuple(len({k.split(".")[1] for k in state if k.startswith(f"layer{s}.")}) for s in (1, 2, 3, 4))
    name = BLOCKS.get((*count, any(".conv3." in k for k in state)))
    if name is None or "conv1.weight" not in state:
        sys.exit(f"{path}: no ResNet backbone under torchvision's names (twist-ckpt --part=backbone --to {path} CHECKPOINT)")
    return {k: v for k, v in state.items() if not k.startswith("fc.")}, name


def make_model(o, classes):
    state, name = read_backbone(o.weights)
    backbone = resnet_fpn_backbone(backbone_name=name, weights=None, norm_layer=torch.nn.BatchNorm2d, trainable_layers=5)
    missing, unexpected = backbone.body.load_state_dict(state, strict=False)
    missing = [k for k in missing if not k.endswith("num_batches_tracked")]
    if missing or unexpected:
        sys.exit(f"{o.weights}: not the backbone of {name}: {', '.join((missing + unexpected)[:4])}")
    print(json.dumps({"backbone": name, "tensors": len(state), "classes": classes}), flush=True)
    return FasterRCNN(backbone, len(classes) + 1, min_size=o.min_size, max_size=o.max_size)


def average_precision(found, truth, iou):
    """VOC's area under the precision envelope, None without objects. found: [(score, picture, box)]; truth: {picture: (boxes, difficult)}."""
    total = sum(int((~d).sum()) for _, d in truth.values())
    if total == 0:
        return None
    taken, right = {k: torch.zeros(len(b), dtype=torch.bool) for k, (b, _) in truth.items()}, []
    for _, picture, box in sorted(found, key=lambda f: -f[0]):
        boxes, difficult = truth.get(picture, (torch.zeros(0, 4), torch.zeros(0, dtype=torch.bool)))
        best, at = torchvision.ops.box_iou(box[None], boxes)[0].max(0) if len(boxes) else (torch.tensor(0.0), None)
        if best >= iou and difficult[at]:
            continue
        right.append(bool(best >= iou and not taken[picture][at]))
        if right[-1]:
            taken[picture][at] = True
    hits = torch.tensor(right, dtype=torch.float64).cumsum(0)
    precision, recall = hits / torch.arange(1, len(hits) + 1), hits / total
    envelope = precision.flip(0).cummax(0).values.flip(0) if len(hits) else precision
    steps = torch.diff(torch.cat([torch.zeros(1, dtype=torch.float64), recall]))
    return float((steps * envelope).sum())


def mean(values):
    values = [v for v in values if v is not None]
    return sum(values) / len(values) if values else None


@torch.no_grad()
def measure(model, data, device, o):
    model.eval()
    found, truth = {c: [] for c in range(1, len(data.classes) + 1)}, {c: {} for c in range(1, len(data.classes) + 1)}
    for i in range(len(data) if o.max_eval == 0 else min(o.max_eval, len(data))):
        image, target = data[i]
        out = {k: v.cpu() for k, v in model([image.to(device)])[0].items()}
        for box, label, score in zip(out["boxes"], out["labels"], out["scores"]):
            found[int(label)].append((float(score), i, box))
        for c in truth:
            keep = target["labels"] == c
            if keep.any():
                truth[c][i] = (target["boxes"][keep], target["difficult"][keep])
    at = [0.5 + 0.05 * k for k in range(10)]
    over = [mean(average_precision(found[c], truth[c], iou) for c in truth) for iou in at]
    return {"AP": mean(over), "AP50": over[0], "AP75": over[5]}


def save(path, state):
    torch.save(state, path + ".tmp")
    os.replace(path + ".tmp", path)


def train(o):
    device = torch.device(o.device if o.device != "auto" else "cuda" if torch.cuda.is_available() else "cpu")
    data = Voc(o.data, o.train)
    model = make_model(o, data.classes).to(device)
    # weights and biases of norms are not decayed, as in detectron2
    norms = [p for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d) for p in m.parameters()]
    of_norms = set(norms)
    groups = [{"params": [p for p in model.parameters() if p not in of_norms], "weight_decay": o.weight_decay},
              {"params": norms, "weight_decay": 0}]
    optimizer = torch.optim.SGD(groups, lr=o.lr, momentum=0.9)
    epoch = step = 0
    if os.path.exists(o.output):
        saved = torch.load(o.output, map_location=device, weights_only=True)
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        epoch, step = saved["epoch"], saved["step"]
        print(json.dumps({"going_on_after_epoch": epoch}), flush=True)
    steps = o.epochs * (len(data) // o.batch_size)
    if steps == 0:
        sys.exit(f"{o.data}: {o.train} has {len(data)} pictures, less than a batch of {o.batch_size}")
    validation = Voc(o.data, o.val, data.classes) if o.val else None
    for epoch in range(epoch, o.epochs):
        random.seed(f"{o.seed} {epoch}")
        order, losses, start = random.sample(range(len(data)), len(data)), [], time.time()
        model.train()
        for at in range(0, len(data) // o.batch_size * o.batch_size, o.batch_size):
            if o.max_steps and step >= o.max_steps:
                break
            rate = o.lr * min(1, (step + 1) / o.warmup) * 0.1 ** ((step >= 0.75 * steps) + (step >= 0.92 * steps))
            for g in optimizer.param_groups:
                g["lr"] = rate
            batch = [training_sample(data, i) for i in order[at:at + o.batch_size]]
            terms = model([b[0].to(device) for b in batch], [{k: v.to(device) for k, v in b[1].items()} for b in batch])
            loss = sum(terms.values())
            if not torch.isfinite(loss):
                sys.exit(f"step {step}: the loss is {loss.item()}: a smaller --lr may help")
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
            step += 1
        result = {"epoch": epoch + 1, "step": step, "seconds": round(time.time() - start, 1), "loss": sum(losses) / max(1, len(losses))}
        if validation is not None:
            result.update(measure(model, validation, device, o))
        save(o.output, {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "epoch": epoch + 1, "step": step,
                        "classes": data.classes})
        print(json.dumps(result), flush=True)
        if o.max_steps and step >= o.max_steps:
            break


def options():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--data", required=True, help="folder with Annotations/, JPEGImages/, ImageSets/Main/")
    p.add_argument("--weights", required=True, help="backbone.pth of twist-ckpt --part=backbone")
    p.add_argument("-o", "--output", required=True, help="the detector's checkpoint")
    p.add_argument("--train", default="trainval", help="part to train on (ImageSets/Main/NAME.txt)")
    p.add_argument("--val", default="test", help="part to measure on; '' for none")
    p.add_argument("--epochs", type=int, default=24)
    p.add_argument("--batch-size", type=int, default=16)
    p.add_argument("--lr", type=float, default=0.02)
    p.add_argument("--weight-decay", type=float, default=1e-4)
    p.add_argument("--warmup", type=int, default=100, help="steps")
    p.add_argument("--min-size", type=int, default=800)
    p.add_argument("--max-size", type=int, default=1333)
    p.add_argument("--max-steps", type=int, default=0)
    p.add_argument("--max-eval", type=int, default=0, help="measure on so many pictures only")
    p.add_argument("--device", default="auto")
    p.add_argument("--seed", type=int, default=0)
    return p.parse_args()


if __name__ == "__main__":
    o = options()
    torch.manual_seed(o.seed)
    train(o)
