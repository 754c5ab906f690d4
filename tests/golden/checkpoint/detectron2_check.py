"""A ResNet-50 that `twist-ckpt --to R-50.pkl` wrote, in detectron2's models by the configurations of pipelines/detection: every tensor of
the backbone is there and nothing else, and on the same views it gives twist-embed's features; where torchvision is, each stage what its
network gives with `twist-ckpt --part=backbone --to backbone.pth`.
usage: detectron2_check.py R-50.pkl backbone.pth views.tws features.tws
Also: detectron2_check.py --data FOLDER: four pictures as detectron2's VOC 2007 and 2012 and COCO 2017, for a few steps of training."""
import importlib.util
import json
import os
import random
import sys

import numpy as np
import torch
from detectron2.checkpoint import DetectionCheckpointer
from detectron2.config import get_cfg
from detectron2.data.datasets.builtin_meta import COCO_CATEGORIES
from detectron2.modeling import build_model

TREE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../..")


def module(name, path):
    spec = importlib.util.spec_from_file_location(name, os.path.join(TREE, path))
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def load(config, weights):
    """The model of a configuration in eval mode with the weights in it, and the names of those of its tensors that the file gave."""
    cfg = get_cfg()
    cfg.merge_from_file(os.path.join(TREE, "pipelines/detection", config + ".yaml"))
    cfg.MODEL.DEVICE = "cpu"
    model = build_model(cfg)
    checkpointer = DetectionCheckpointer(model)
    checkpointer.logger.setLevel("ERROR")
    found = checkpointer._load_model(checkpointer._load_file(weights))
    assert not found.unexpected_keys and not found.incorrect_shapes, (found.unexpected_keys, found.incorrect_shapes)
    return model.eval(), weights_of(model.state_dict()) - set(found.missing_keys)


def weights_of(state):
    """Without the norms' counts of batches, which PyTorch never calls missing."""
    return {k for k in state if not k.endswith("num_batches_tracked")}


def distance(a, b):
    return float((a.double() - b.double()).norm() / b.double().norm())


def stages(model, pixels):
    """res2 to res5 of both layouts; a C4 model has the last in its head, before the norm that closes it."""
    if hasattr(model.backbone, "bottom_up"):
        return model.backbone.bottom_up(pixels)
    x, out = model.backbone.stem(pixels), {}
    for name in ("res2", "res3", "res4"):
        x = out[name] = getattr(model.backbone, name)(x)
    return {**out, "res5": model.roi_heads.res5[:3](x)}


@torch.no_grad()
def check(weights, state, views, features):
    stream = module("stream", "formats/stream.py")
    module("train", "pipelines/detection/train_detectron2.py")  # registers the head of base_C4.yaml
    views = [s["views"][0] for s in stream.read(open(views, "rb"))[1]]
    ours = torch.tensor(np.stack([s["features"] for s in stream.read(open(features, "rb"))[1]]))
    state = torch.load(state, weights_only=True)
    for config in ("voc_R_50_C4_24k", "coco_R_50_C4_1x", "voc_R_50_FPN_24k", "coco_R_50_FPN_1x"):
        model, given = load(config, weights)
        resnet = {k for k in weights_of(model.state_dict()) if ".stem." in k or ".res" in k and ".res5.norm." not in k}
        assert given == resnet and len(given) == len(weights_of(state)) == 265, (config, len(given), sorted(given ^ resnet)[:4])
        pixels = (torch.tensor(np.stack(views)).permute(0, 3, 1, 2).float() - model.pixel_mean) / model.pixel_std
        found = stages(model, pixels)
        far = {"features": distance(found["res5"].mean((2, 3)), ours)}
        try:
            import torchvision
        except ImportError:
            pass
        else:
            net = torchvision.models.resnet50(weights=None).eval()
            net.load_state_dict(state, strict=False)
            x = net.maxpool(net.relu(net.bn1(net.conv1(pixels))))
            for i in range(1, 5):
                x = getattr(net, f"layer{i}")(x)
                far[f"res{i + 1}"] = distance(found[f"res{i + 1}"], x)
        print(json.dumps({"config": config, "tensors": len(given), **far}))
        assert max(far.values()) < 1e-4, far  # f32 sums in another order, 50 layers deep


def data(root):
    """Two discs and two boxes of 80 to 120 px, as detectron2 looks for its data."""
    import PIL.Image
    import PIL.ImageDraw

    random.seed(1)
    images, boxes = [], []
    for i in range(4):
        w, h = 120, 96
        m = PIL.Image.new("RGB", (w, h), (40 * i, 90, 120))
        x, y, side = random.randint(0, 40), random.randint(0, 30), random.randint(40, 60)
        draw = PIL.ImageDraw.Draw(m)
        (draw.rectangle if i % 2 else draw.ellipse)((x, y, x + side, y + side), fill=(250, 200, 30))
        images.append((m, w, h))
        boxes.append((x, y, side))
    for year in (2007, 2012):
        folder = os.path.join(root, f"VOC{year}")
        for part in ("Annotations", "JPEGImages", "ImageSets/Main"):
            os.makedirs(os.path.join(folder, part))
        for i, ((m, w, h), (x, y, side)) in enumerate(zip(images, boxes)):
            m.save(os.path.join(folder, "JPEGImages", f"{i}.jpg"))
            with open(os.path.join(folder, "Annotations", f"{i}.xml"), "w") as f:
                f.write(f"<annotation><size><width>{w}</width><height>{h}</height></size><object><name>{'tvmonitor' if i % 2 else 'bottle'}</name>"
                        f"<pose>Frontal</pose><truncated>0</truncated><difficult>0</difficult><bndbox><xmin>{x + 1}</xmin><ymin>{y + 1}</ymin>"
                        f"<xmax>{x + side + 1}</xmax><ymax>{y + side + 1}</ymax></bndbox></object></annotation>")
        for part in ("trainval", "test"):
            with open(os.path.join(folder, "ImageSets/Main", part + ".txt"), "w") as f:
                f.write("0\n1\n2\n3\n")
    os.makedirs(os.path.join(root, "coco/annotations"))
    for part in ("train2017", "val2017"):
        os.makedirs(os.path.join(root, "coco", part))
        names = [{"id": c["id"], "name": c["name"]} for c in COCO_CATEGORIES if c["isthing"]]
        found = {"categories": names, "images": [], "annotations": []}
        for i, ((m, w, h), (x, y, side)) in enumerate(zip(images, boxes)):
            m.save(os.path.join(root, "coco", part, f"{i}.jpg"))
            found["images"].append({"id": i, "file_name": f"{i}.jpg", "width": w, "height": h})
            outline = [x, y, x + side, y, x + side, y + side, x, y + side]
            found["annotations"].append({"id": i + 1, "image_id": i, "category_id": 72 if i % 2 else 44, "bbox": [x, y, side, side],
                                         "area": side * side, "iscrowd": 0, "segmentation": [outline]})
        with open(os.path.join(root, "coco/annotations", f"instances_{part}.json"), "w") as f:
            json.dump(found, f)


if __name__ == "__main__":
    if sys.argv[1] == "--data":
        data(sys.argv[2])
    else:
        check(*sys.argv[1:5])
