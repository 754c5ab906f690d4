# Goal: a backbone goes into detectron2's and torchvision's detectors: the exported pickle, configurations that are well formed, and a few
# steps of training on tiny data from our weights (skipped where Python has no detectron2, no torchvision).

setup() {
    BIN=$(cd "${BIN:-$BATS_TEST_DIRNAME/../bin}" && pwd)
    PATH=$BIN:$PATH
    export TWIST_BIN=$BIN
    TREE=$(cd "$BATS_TEST_DIRNAME/.." && pwd)
    DETECTION=$TREE/pipelines/detection
    PYTHON=${PYTHON:-python3}
    export OMP_NUM_THREADS=1 # small pictures: threads would only wait for one another
    cd "$BATS_TEST_TMPDIR"
}

@test "export writes what twist-ckpt makes for detectron2, and says how it is called" {
    "$DETECTION/export" "$TREE/tests/golden/checkpoint/backbone.safetensors" out.pkl
    cmp out.pkl "$TREE/tests/golden/checkpoint/backbone.pkl"
    run "$DETECTION/export" a b
    [ "$status" -eq 2 ]
    run "$DETECTION/export" nowhere b.pkl
    [ "$status" -eq 1 ]
    run "$DETECTION/export" --help
    [ "$status" -eq 0 ]
}

@test "detectron2's configurations are YAML whose bases exist; nothing is frozen, pictures are RGB" {
    "$PYTHON" -c 'import yaml' 2> /dev/null || skip "no Python with yaml"
    "$PYTHON" - "$DETECTION" << 'P'
import os, sys, yaml
def load(path):
    own = yaml.safe_load(open(path))
    base = load(os.path.join(os.path.dirname(path), own.pop("_BASE_"))) if "_BASE_" in own else {}
    def merge(a, b):
        for k, v in b.items():
            a[k] = merge(a.get(k, {}), v) if isinstance(v, dict) else v
        return a
    return merge(base, own)
for name in ("voc_R_50_FPN_24k", "coco_R_50_FPN_1x", "voc_R_50_C4_24k", "coco_R_50_C4_1x"):
    c = load(os.path.join(sys.argv[1], name + ".yaml"))
    assert c["MODEL"]["BACKBONE"]["FREEZE_AT"] == 0 and c["MODEL"]["RESNETS"]["NORM"].endswith("SyncBN") and not c["MODEL"]["RESNETS"]["STRIDE_IN_1X1"]
    assert c["INPUT"]["FORMAT"] == "RGB" and c["SOLVER"]["MAX_ITER"] in (24000, 90000) and c["DATASETS"]["TRAIN"]
P
    for f in "$DETECTION"/*.py; do "$PYTHON" -m py_compile "$f"; done
    rm -rf "$DETECTION/__pycache__"
}

# A ResNet-50 after two steps of training, whose running statistics are no longer those it began with.
resnet50() {
    "$PYTHON" -c 'import detectron2' 2> /dev/null || skip "no Python with detectron2"
    twist-synth -q -o pictures --count 40 --val-count 6 --size 96
    twist-decode -q --shuffle --seed=1 pictures/train | twist-augment -q --aug=barlow --size=64 |
        twist-train -q -j1 -o run --backbone=resnet50 --hid-dim=64 --dim=32 --batch-size=16 --max-steps=2
    "$DETECTION/export" run/checkpoint.safetensors R-50.pkl
}

@test "detectron2 finds every tensor of the backbone in what export wrote, and gets twist-embed's features from it" {
    resnet50
    twist-ckpt --part=backbone --to backbone.pth run/checkpoint.safetensors
    twist-decode -q pictures/val | twist-augment -q --aug=eval --size=64 -o views.tws
    twist-embed -q -j1 run/checkpoint.safetensors -i views.tws -o features.tws
    "$PYTHON" -W ignore "$TREE/tests/golden/checkpoint/detectron2_check.py" R-50.pkl backbone.pth views.tws features.tws
}

@test "detectron2 trains and measures by each configuration, a few steps on four pictures" {
    resnet50
    "$PYTHON" -W ignore "$TREE/tests/golden/checkpoint/detectron2_check.py" --data data
    for config in voc_R_50_C4_24k voc_R_50_FPN_24k coco_R_50_C4_1x coco_R_50_FPN_1x; do
        DETECTRON2_DATASETS=$PWD/data "$PYTHON" -W ignore "$DETECTION/train_detectron2.py" --config-file "$DETECTION/$config.yaml" \
            MODEL.WEIGHTS R-50.pkl MODEL.DEVICE cpu OUTPUT_DIR "$config" SOLVER.MAX_ITER 3 SOLVER.IMS_PER_BATCH 2 SOLVER.BASE_LR 0.001 \
            INPUT.MIN_SIZE_TRAIN '(96,)' INPUT.MIN_SIZE_TEST 96 MODEL.ROI_HEADS.BATCH_SIZE_PER_IMAGE 8 MODEL.RPN.POST_NMS_TOPK_TRAIN 20 \
            MODEL.RPN.POST_NMS_TOPK_TEST 10 TEST.PRECISE_BN.NUM_ITER 2 TEST.EVAL_PERIOD 0 DATALOADER.NUM_WORKERS 0 > "$config.log" 2>&1 || {
            tail -n 20 "$config.log"
            false
        }
        grep -E '"iteration": 2.*"total_loss": [0-9]' "$config/metrics.json"
        [ -s "$config/model_final.pth" ]
        grep -F 'copypaste: AP,AP50,AP75' "$config.log"
    done
}

@test "a step of torchvision's Faster R-CNN from an exported backbone, measured; typed again it goes on; other weights are refused" {
    "$PYTHON" -c 'import torchvision, PIL' 2> /dev/null || skip "no Python with torchvision"
    mkdir -p voc/JPEGImages voc/Annotations voc/ImageSets/Main
    "$PYTHON" - << 'P'
import random
from PIL import Image, ImageDraw
random.seed(1)
for i in range(4):
    m = Image.new("RGB", (96, 80), (i * 20, 90, 90)); d = ImageDraw.Draw(m); x, y = random.randint(1, 40), random.randint(1, 30)
    (d.rectangle if i % 2 else d.ellipse)((x, y, x + 40, y + 40), fill=(250, 200, 30)); m.save(f"voc/JPEGImages/{i}.jpg")
    open(f"voc/Annotations/{i}.xml", "w").write(f"<annotation><object><name>{'box' if i % 2 else 'disc'}</name><difficult>0</difficult><bndbox>"
        f"<xmin>{x + 1}</xmin><ymin>{y + 1}</ymin><xmax>{x + 41}</xmax><ymax>{y + 41}</ymax></bndbox></object></annotation>")
P
    seq 0 3 > voc/ImageSets/Main/trainval.txt
    seq 0 1 > voc/ImageSets/Main/test.txt
    (cd "$TREE" && "${B:-build}/unit/checkpoint_embed_test" --make "$BATS_TEST_TMPDIR/weights.safetensors")
    twist-ckpt --part=backbone --to backbone.pth weights.safetensors
    run "$PYTHON" "$DETECTION/train_torchvision.py" --data voc --weights backbone.pth -o d.pth --epochs 2 --batch-size 4 --max-steps 1 --min-size 96 --lr 1e-4
    echo "$output"
    [ "$status" -eq 0 ]
    [[ "${lines[0]}" == '{"backbone": "resnet18", "tensors": 120, "classes": ["box", "disc"]}' ]]
    [[ "${lines[1]}" == '{"epoch": 1, "step": 1, '*'"loss": '[0-9]*'"AP": '*'"AP50": '* ]]
    # the detector's first layers are ours, a step of 1e-6 away
    "$PYTHON" -c "
import torch
a, b = torch.load('d.pth', weights_only=True)['model'], torch.load('backbone.pth', weights_only=True)
w = b['layer4.1.conv2.weight']
d = (a['backbone.body.layer4.1.conv2.weight'] - w).abs().max()
assert 0 < d < 1e-3 * w.abs().max(), d"
    run "$PYTHON" "$DETECTION/train_torchvision.py" --data voc --weights backbone.pth -o d.pth --epochs 2 --batch-size 4 --max-steps 2 --min-size 96 --lr 1e-4 --val ''
    echo "$output"
    [ "$status" -eq 0 ]
    [[ "$output" == *'{"going_on_after_epoch": 1}'*'{"epoch": 2, "step": 2, '* ]]
    # a part without objects, or with difficult ones only, has no AP
    printf '2\n3\n' > voc/ImageSets/Main/none.txt
    echo '<annotation></annotation>' > voc/Annotations/2.xml
    sed -i 's,<difficult>0,<difficult>1,' voc/Annotations/3.xml
    run "$PYTHON" "$DETECTION/train_torchvision.py" --data voc --weights backbone.pth -o d.pth --epochs 3 --batch-size 4 --max-steps 3 --min-size 96 --lr 1e-4 --val none
    [ "$status" -eq 0 ]
    [[ "$output" == *'"AP": null, "AP50": null, "AP75": null}' ]]
    twist-ckpt --part=model --to model.pth weights.safetensors
    run "$PYTHON" "$DETECTION/train_torchvision.py" --data voc --weights model.pth -o e.pth
    [ "$status" -eq 1 ]
    [[ "$output" == *"model.pth: no ResNet backbone"* ]]
}
