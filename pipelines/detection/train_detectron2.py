"""Trains and measures detectron2's models by the configurations beside this file.
usage: train_detectron2.py --config-file FILE.yaml [--num-gpus N] [--eval-only] [--resume] MODEL.WEIGHTS FILE [KEY VALUE...]
MODEL.WEIGHTS '' trains from random weights, which has to be said."""
from detectron2.checkpoint import DetectionCheckpointer
from detectron2.config import get_cfg
from detectron2.engine import DefaultTrainer, default_argument_parser, default_setup, launch
from detectron2.evaluation import COCOEvaluator, PascalVOCDetectionEvaluator
from detectron2.layers import get_norm
from detectron2.modeling.roi_heads import ROI_HEADS_REGISTRY, Res5ROIHeads


@ROI_HEADS_REGISTRY.register()
class Res5HeadsClosedByNorm(Res5ROIHeads):
    """The heads of base_C4.yaml: a norm behind the ResNet's fifth stage, as MoCo's recipe has it."""

    @classmethod
    def _build_res5_block(cls, cfg):
        stage, channels = super()._build_res5_block(cfg)
        stage.add_module("norm", get_norm(cfg.MODEL.RESNETS.NORM, channels))
        return stage, channels


class Trainer(DefaultTrainer):
    @classmethod
    def build_evaluator(cls, cfg, name, output_folder=None):
        if name.startswith("coco"):
            return COCOEvaluator(name, output_dir=output_folder or cfg.OUTPUT_DIR)
        return PascalVOCDetectionEvaluator(name)


def configure(args):
    cfg = get_cfg()
    cfg.merge_from_file(args.config_file)
    cfg.merge_from_list(args.opts)
    cfg.freeze()
    default_setup(cfg, args)
    return cfg


def main(args):
    cfg = configure(args)
    if args.eval_only:
        model = Trainer.build_model(cfg)
        DetectionCheckpointer(model, save_dir=cfg.OUTPUT_DIR).resume_or_load(cfg.MODEL.WEIGHTS, resume=args.resume)
        return Trainer.test(cfg, model)
    trainer = Trainer(cfg)
    trainer.resume_or_load(resume=args.resume)
    return trainer.train()


if __name__ == "__main__":
    options = default_argument_parser().parse_args()
    if "MODEL.WEIGHTS" not in options.opts:
        raise SystemExit("train_detectron2.py: MODEL.WEIGHTS: of which backbone? (MODEL.WEIGHTS FILE, as pipelines/detection/export wrote it)")
    launch(main, options.num_gpus, num_machines=options.num_machines, machine_rank=options.machine_rank, dist_url=options.dist_url,
           args=(options,))
