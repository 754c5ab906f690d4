# Goal: twist-ckpt shows what a checkpoint holds, says where training goes on, and converts without changing a bit.

setup_file() {
    export WEIGHTS=$BATS_FILE_TMPDIR/weights.safetensors
    (cd "$BATS_TEST_DIRNAME/.." && "${B:-build}/unit/checkpoint_embed_test" --make "$WEIGHTS")
}

setup() {
    export TWIST_BIN=${BIN:-$BATS_TEST_DIRNAME/../bin}
    PATH=$TWIST_BIN:$PATH
    GOLDEN=$(cd "$BATS_TEST_DIRNAME/golden/checkpoint" && pwd)
    cd "$BATS_TEST_TMPDIR"
}

# safetensors JSON DATA: such a file on standard output
safetensors() {
    local n=${#1}
    printf "\\$(printf %o $((n % 256)))\\$(printf %o $((n / 256)))\\0\\0\\0\\0\\0\\0"
    printf '%s%s' "$1" "$2"
}

refused() { # STATUS MESSAGE ARGUMENT...
    local want=$1 message=$2
    shift 2
    run twist-ckpt "$@"
    echo "$output"
    [ "$status" -eq "$want" ]
    [[ "${lines[0]}" == "twist-ckpt: $message"* ]]
}

@test "an activation that a format has no place for is warned of" {
    safetensors '{"__metadata__":{"act":"gelu"},"projection_head.0.weight":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}' abcd > head.safetensors
    for to in pth npz safetensors; do twist-ckpt --to out.$to head.safetensors 2> said.$to; done
    grep -q 'out.pth: this format cannot record act=gelu' said.pth
    grep -q 'out.npz: this format cannot record act=gelu' said.npz
    [ ! -s said.safetensors ]
}

@test "the list has every tensor, the metadata, the network and the sizes" {
    twist-ckpt "$GOLDEN/types.safetensors" > out
    head -n 1 out | grep -F "types.safetensors: safetensors, 10 tensors, 44 numbers, 186 bytes"
    sed -n 2p out | grep -Fx 'network: none known here'
    grep -Fx 'backbone = resnet18' out
    grep -Fx 'quote = a "b" \ é?' out # the line break of the value does not break the line
    grep -Fx $'bf16\tbf16 [1, 2, 1, 3]' out
    grep -Fx $'scalar\ti64 []' out
    grep -Fx $'empty\tf32 [0, 4]' out
    twist-ckpt "$WEIGHTS" > out
    sed -n 2p out | grep -Fx 'network: resnet18 with a head of 40 and 24 units'
    [ "$(grep -c $'\t' out)" -eq 139 ]
    grep -Fx $'backbone.layer4.0.downsample.0.weight\tf32 [512, 256, 1, 1]' out
}

@test "--stats are right for every type, and NaN is pointed out" {
    twist-ckpt --stats "$GOLDEN/types.safetensors" > out
    grep -Fx $'u8\tu8 [6]\tmin 0 max 5 mean 2.5 deviation 1.70783' out
    grep -Fx $'i32\ti32 [2, 3]\tmin -3 max 2 mean -0.5 deviation 1.70783' out
    for type in 'f16 [6]' 'bf16 [1, 2, 1, 3]' 'f32 [3, 2]' 'f64 [6]'; do
        grep -Fx "${type%% *}"$'\t'"$type"$'\tmin -0.5 max 0.75 mean 0.125 deviation 0.426956' out
    done
    safetensors '{"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}' "" > nan.safetensors
    printf '\0\0\300\177' >> nan.safetensors
    twist-ckpt --stats nan.safetensors | grep -F 'NOT FINITE'
}

@test "--position is twist-decode's options, and only training checkpoints have one" {
    safetensors '{"__metadata__":{"epoch":"12","sample":"3456"}}' "" > run.safetensors
    [ "$(twist-ckpt --position run.safetensors)" = "--start-epoch=12 --skip=3456" ]
    refused 1 "$WEIGHTS: no position in it: 'epoch' is not in its metadata" --position "$WEIGHTS"
    safetensors '{"__metadata__":{"epoch":"12"}}' "" > half.safetensors
    refused 1 "half.safetensors: no position in it: 'sample' is" --position half.safetensors
    safetensors '{"__metadata__":{"epoch":"-1; rm","sample":"0"}}' "" > bad.safetensors
    refused 1 "bad.safetensors: epoch: '-1; rm' is not a whole number" --position bad.safetensors
}

@test "parts and names: official, torchvision, detectron2" {
    twist-ckpt --part=model "$WEIGHTS" | grep $'\t' > model
    twist-ckpt "$WEIGHTS" | grep $'\t' > all
    cmp model all
    twist-ckpt --part=backbone "$WEIGHTS" | grep $'\t' > backbone
    diff backbone <(grep '^backbone\.' all | sed 's/^backbone\.//')
    twist-ckpt --keys=torchvision "$WEIGHTS" | grep $'\t' | cmp - backbone
    # the official conversion, as sed
    twist-ckpt --keys=detectron2 "$WEIGHTS" | grep $'\t' > detectron2
    sed -e '/^layer/!s/^/stem./' -e 's/^layer4/res5/;s/^layer3/res4/;s/^layer2/res3/;s/^layer1/res2/' \
        -e 's/bn\([123]\)/conv\1.norm/' -e 's/downsample\.0/shortcut/;s/downsample\.1/shortcut.norm/' backbone | diff - detectron2
    # a file of a teacher, a classifier and an optimizer, its names behind "module."
    named() { # NAME...: the header of tensors of one byte each
        local json="" i=0
        for name in "$@"; do
            json=$json${json:+,}$(printf '"%s":{"dtype":"U8","shape":[1],"data_offsets":[%d,%d]}' "$name" $i $((i + 1)))
            i=$((i + 1))
        done
        echo "{$json}"
    }
    safetensors "$(named module.backbone.conv1.weight module.backbone.layer1.0.bn1.weight module.backbone.fc.weight optimizer.mu.conv1.weight \
        teacher.backbone.conv1.weight teacher.projection_heads.last_linear.bias)" abcdef > mixed.safetensors
    [ "$(twist-ckpt --part=model mixed.safetensors | grep $'\t' | cut -f 1 | tr '\n' ' ')" = "backbone.conv1.weight backbone.layer1.0.bn1.weight " ]
    [ "$(twist-ckpt --part=teacher mixed.safetensors | grep $'\t' | cut -f 1 | tr '\n' ' ')" = "backbone.conv1.weight projection_heads.last_linear.bias " ]
    twist-ckpt --part=teacher --to teacher.safetensors mixed.safetensors
    [ "$(tail -c 2 teacher.safetensors)" = ef ]
    # an older official file's head gets today's names
    safetensors "$(named backbone.conv1.weight projection_heads.projection_head.0.bias projection_heads.cls_heads.0.0.weight \
        projection_heads.cls_heads.0.1.running_mean)" abcd > older.safetensors
    [ "$(twist-ckpt --keys=official older.safetensors | grep $'\t' | cut -f 1 | tail -n 3 | tr '\n' ' ')" = \
        "projection_heads.projection_head.0.bias projection_heads.last_linear.weight projection_heads.norm.running_mean " ]
    refused 1 "$WEIGHTS: no network found under the prefix 'teacher.' (the first tensor is backbone." --part=teacher "$WEIGHTS"
    # DINO's: the backbone is the teacher's
    safetensors "$(named student.module.backbone.conv1.weight student.module.backbone.layer1.0.bn1.weight teacher.backbone.conv1.weight \
        teacher.backbone.layer1.0.bn1.weight)" abcd > dino.safetensors
    for part in backbone:cd teacher:cd model:cd student:ab; do
        twist-ckpt --part=${part%:*} --keys=torchvision --to part.safetensors dino.safetensors
        [ "$(tail -c 2 part.safetensors)" = ${part#*:} ]
    done
    # of several networks, the one behind "backbone", then the one behind the fewest words; any by --prefix
    safetensors "$(named model.conv1.weight model.module.backbone.conv1.weight state_dict.backbone.conv1.weight ema.net.conv1.weight)" abcd > several.safetensors
    for prefix in :c model.:b state_dict.:c ema.:d ema.net.:d; do
        twist-ckpt --part=backbone --prefix=${prefix%:*} --to part.safetensors several.safetensors
        [ "$(tail -c 1 part.safetensors)" = ${prefix#*:} ]
    done
    twist-ckpt --prefix=ema. several.safetensors | tail -n 1 | grep -Fx $'conv1.weight\tu8 [1]'
    refused 1 "several.safetensors: no network found under the prefix 'ema' (" --prefix=ema several.safetensors
    refused 2 "--prefix: of --part=model and --part=backbone only" --prefix=ema. --part=teacher several.safetensors
    twist-ckpt dino.safetensors | grep -q '^network: .*, its teacher$'
}

@test "a small stem is not given to detectron2, which would train without it" {
    safetensors '{"conv1.weight":{"dtype":"U8","shape":[1,1,3,3],"data_offsets":[0,9]},"layer1.0.conv1.weight":{"dtype":"U8","shape":[1,1,1,1],"data_offsets":[9,10]}}' 0123456789 > small
    refused 1 "small: a small stem, where detectron2's ResNet has a convolution of 7 x 7" --to x.pkl small
    [ ! -e x.pkl ]
    twist-ckpt --part=backbone --to x.npz small
}

@test "conversion to safetensors keeps tensors and metadata to the bit; the old file stays where it fails" {
    twist-ckpt --to copy.safetensors "$WEIGHTS"
    cmp copy.safetensors "$WEIGHTS"
    twist-ckpt --to types.safetensors "$GOLDEN/types.safetensors"
    diff <(twist-ckpt --stats "$GOLDEN/types.safetensors" | sed 1d) <(twist-ckpt --stats types.safetensors | sed '1d; /^format = pt$/d')
    refused 1 "absent.safetensors: No such file" --to copy.safetensors absent.safetensors
    cmp copy.safetensors "$WEIGHTS"
    refused 1 "nowhere/x.safetensors: No such file" --to nowhere/x.safetensors "$WEIGHTS"
    run bash -c "twist-ckpt '$WEIGHTS' > /dev/full"
    [ "$status" -eq 1 ]
    [[ "$output" == *"standard output: cannot be written: No space left on device"* ]]
}

@test "PyTorch's, numpy's and detectron2's files have the very bytes that those were shown to read" {
    twist-ckpt --to written.pth "$GOLDEN/written.safetensors"
    cmp written.pth "$GOLDEN/written.pth"
    twist-ckpt --to written.npz "$GOLDEN/written.safetensors"
    cmp written.npz "$GOLDEN/written.npz"
    twist-ckpt --to backbone.pkl "$GOLDEN/backbone.safetensors"
    cmp backbone.pkl "$GOLDEN/backbone.pkl"
    # and back, through each format that is read
    for file in written.pth written.npz; do
        twist-ckpt --to back.safetensors "$file"
        diff <(twist-ckpt --stats back.safetensors | sed 1d) <(twist-ckpt --stats "$GOLDEN/written.safetensors" | sed 1d | grep -v '^[ea].* = ')
    done
    twist-ckpt --to types.npz "$GOLDEN/types.safetensors"
    diff <(twist-ckpt --stats types.npz | sed 1,2d) \
        <(twist-ckpt --stats "$GOLDEN/types.safetensors" | sed 1,2d | grep $'\t' | sed 's/\tbf16/\tf32/')
    for file in x.pth x.npz x.pkl; do
        refused 1 "nowhere/$file: No such file" --to "nowhere/$file" "$GOLDEN/backbone.safetensors"
        ln -s /dev/full "full-$file"
        refused 1 "full-$file: No space left" --to "full-$file" "$GOLDEN/backbone.safetensors"
    done
    refused 1 "$GOLDEN/types.safetensors: no known network" --to types.pkl "$GOLDEN/types.safetensors"
}

@test "PyTorch's checkpoints are read, with the trainer's arguments; code in them is refused and not run" {
    twist-ckpt "$GOLDEN/full.pth" > out
    head -n 1 out | grep -F "full.pth: PyTorch, 16 tensors, 46 numbers, 173 bytes"
    grep -Fx 'args.arch = resnet50' out
    grep -Fx $'model.transposed\tf32 [4, 3]' out
    for file in full.pth legacy.pth; do
        twist-ckpt --to out.safetensors "$GOLDEN/$file"
        cmp out.safetensors "$GOLDEN/full.safetensors"
    done
    # with the heads that pickle's protocols 3 and 4 give it, the second framed
    magic() { head -c 15 "$GOLDEN/legacy.pth" | tail -c 13; }
    { printf '\200\3'; magic; printf '\200\3M\351\3.'; tail -c +22 "$GOLDEN/legacy.pth"; } > legacy3.pth
    { printf '\200\4\225\15\0\0\0\0\0\0\0'; magic; printf '\200\4\225\4\0\0\0\0\0\0\0M\351\3.'; tail -c +22 "$GOLDEN/legacy.pth"; } > legacy4.pth
    for file in legacy3.pth legacy4.pth; do
        twist-ckpt --to out.safetensors "$file"
        cmp out.safetensors "$GOLDEN/full.safetensors"
    done
    { printf '\200\2'; magic; printf '\200\2M\352\3.'; tail -c +22 "$GOLDEN/legacy.pth"; } > legacy.pth
    refused 1 "legacy.pth: not of PyTorch's protocol 1001" legacy.pth
    refused 1 "$GOLDEN/attack.pth: pickle, byte 27: refused: it uses posix.system, which no state dict needs" "$GOLDEN/attack.pth"
    [ ! -e attacked ]
    refused 1 "$GOLDEN/module.pth: pickle, byte 34: refused: it uses torch.nn.modules.linear.Linear, which no state dict needs: save one with \
torch.save(model.state_dict(), FILE)" "$GOLDEN/module.pth"
    LC_ALL=C sed 's,full/data/0,full/code/__torch__,' "$GOLDEN/full.pth" > script.pt
    refused 1 "script.pt: a TorchScript archive, which holds code: save the weights with torch.save(model.state_dict(), FILE)" script.pt
    head -c 3000 "$GOLDEN/full.pth" > cut.pth
    refused 1 "cut.pth: truncated: no directory at its end" cut.pth
}

@test "types that nothing here computes with are listed, compared and passed on, or refused by name where a format lacks them" {
    safetensors '{"mask":{"dtype":"BOOL","shape":[3],"data_offsets":[0,3]},"index":{"dtype":"I16","shape":[2],"data_offsets":[4,8]},
        "scale":{"dtype":"F8_E4M3","shape":[1],"data_offsets":[3,4]},"wave":{"dtype":"C64","shape":[1],"data_offsets":[8,16]}}' "" > types
    printf '\1\0\1\x38\xff\xff\2\0\0\0\200\77\0\0\0\0' >> types
    twist-ckpt --stats types > out
    grep -Fx $'mask\tbool [3]\tmin 0 max 1 mean 0.666667 deviation 0.471405' out
    grep -Fx $'index\ti16 [2]\tmin -1 max 2 mean 0.5 deviation 1.5' out
    grep -Fx $'scale\tf8_e4m3 [1]\tmin 1 max 1 mean 1 deviation 0' out
    grep -Fx $'wave\tc64 [1]' out
    twist-ckpt --to copy.safetensors types
    twist-ckpt --diff types copy.safetensors
    refused 1 "x.npz: tensor scale: type f8_e4m3" --to x.npz types
    # PyTorch's newer types: 8 bytes of each
    for type in F8_E4M3:8 F8_E5M2:8 U16:4 U32:2 U64:1; do
        safetensors '{"x":{"dtype":"'${type%:*}'","shape":['${type#*:}'],"data_offsets":[0,8]}}' $'8\x07@\x12AbCd' > newer.safetensors
        twist-ckpt --to newer.pth newer.safetensors
        twist-ckpt --diff newer.safetensors newer.pth
    done
    twist-ckpt --to copy.pth types
    twist-ckpt --diff types copy.pth
    LC_ALL=C sed 's/"F8_E4M3"/     "I8"/' types > types.others
    for to in pth npz; do
        twist-ckpt --to copy.$to types.others
        twist-ckpt --diff types.others copy.$to
        twist-ckpt copy.$to | grep -Fx $'mask\tbool [3]'
        twist-ckpt copy.$to | grep -Fx $'wave\tc64 [1]'
    done
    LC_ALL=C sed 's/\x38\xff/\x38\xfe/; s/\x80\x3f/\x80\x40/' types > other
    run twist-ckpt --diff types other
    [ "$status" -eq 1 ]
    [[ "$output" == *$'index\t1 of 2 differ'*$'wave\tcomplex numbers that differ'*"2 tensors are the same, 2 differ"* ]]
}

@test "usage errors" {
    refused 2 "no FILE"
    refused 2 "one FILE" a b
    refused 2 "--to x.tar: the name must end in" --to x.tar "$WEIGHTS"
    refused 2 "--part: 'head' is none of" --part=head "$WEIGHTS"
    refused 2 "--to x.pkl: .pkl is for detectron2" --to x.pkl --keys=official "$WEIGHTS"
    refused 2 "--position stands alone" --position --stats "$WEIGHTS"
    refused 1 "$BATS_TEST_TMPDIR: not a regular file" "$BATS_TEST_TMPDIR"
}

@test "--recipe: an official checkpoint's arguments, and ours, as options that pipelines/pretrain takes" {
    twist-ckpt --recipe "$GOLDEN/full.pth" > out
    [ "$(grep '^--' out | tr '\n' ' ')" = "--lr 0.5 --epochs 800 " ]
    grep -qx '# arch resnet50' out
    grep -qx '# lr: as saved; the official trainer multiplies it by .*, which the file does not give' out
    twist-ckpt --recipe "$GOLDEN/scaled.pth" > scaled # lr and lr_sl as they were given, not as they were saved
    [ "$(grep '^--' scaled | tr '\n' ' ')" = "--backbone resnet50 --batch_size 128 --lr 0.5 --lr_sl 0.05 --optim lars " ]
    grep -qx '# world_size 16' scaled
    grep -qx '# lr: the saved value divided by batch_size x world_size / 256 = 8, by which the official trainer multiplies it' scaled
    safetensors '{"__metadata__":{"args":"{\"output\":\"run dir\",\"lr\":0.3,\"backbone\":\"resnet18\",\"small_stem\":true,\"use_momentum_encoder\":false,\"init\":null}"}}' "" > run.safetensors
    twist-ckpt --recipe run.safetensors > recipe
    [ "$(grep '^--' recipe | tr '\n' ' ')" = "--lr 0.3 --backbone resnet18 --small_stem --use_momentum_encoder 0 " ]
    grep -qx '# output run?dir' recipe
    tail -n 1 recipe | grep -qx '# the file does not record the views: --aug and the other options of twist-augment'
    ! grep 'the views' out || false
    grep -qx '# at: cannot be read' out
    # numpy's numbers are options too: 3.2 of f8
    printf '\200\2}U\4argscargparse\nNamespace\n)\201}(U\2lrcnumpy.core.multiarray\nscalar\n(cnumpy\ndtype\n(U\2f8\211\210tR(K\3U\1<' > numpy.pkl
    printf 'NNNJ\377\377\377\377J\377\377\377\377K\0tbU\10\232\231\231\231\231\231\t@tRU\6epochscpathlib\nPosixPath\n(U\1/tRubs.' >> numpy.pkl
    twist-ckpt --recipe numpy.pkl > out
    [ "$(grep -v 'official trainer' out)" = $'--lr 3.2\n# epochs: cannot be read' ]
    # the official trainer reads min1 and local_crops_number, 0 after a barlow epoch, for multicrop only; img_size for barlow and moco only
    namespace() {
        printf '\200\2}U\4argscargparse\nNamespace\n)\201}(U\3augU%b' "$1"
        printf 'U\4min1G\77\331\231\231\231\231\231\232U\22local_crops_numberK%bU\10img_sizeK\200ubs.' "$2"
    }
    namespace '\06barlow' '\00' > barlow.pkl
    [ "$(twist-ckpt --recipe barlow.pkl)" = $'--aug barlow\n--img_size 128\n# min1 0.4\n# local_crops_number 0' ]
    namespace '\011multicrop' '\06' > multicrop.pkl
    [ "$(twist-ckpt --recipe multicrop.pkl)" = $'--aug multicrop\n--min1 0.4\n--local_crops_number 6\n# img_size 128' ]
    namespace '\04rand' '\00' > rand.pkl
    [ "$(twist-ckpt --recipe rand.pkl)" = $'--aug rand\n# min1 0.4\n# local_crops_number 0\n# img_size 128' ]
    run "$BATS_TEST_DIRNAME/../pipelines/pretrain" --recipe recipe --data-path photos --output_dir o --dry-run
    [ "$status" -eq 0 ]
    [[ "$output" == *"twist-train -o o "*"--lr=0.3 --backbone=resnet18 --small-stem --use-momentum-encoder=0"* ]]
    refused 1 "$WEIGHTS: contains no training options" --recipe "$WEIGHTS"
    safetensors '{"__metadata__":{"args":"{\"epochs\":3,\"lr_classifier\":0.1}"}}' "" > tuned.safetensors
    refused 1 "tuned.safetensors: written by twist-finetune, whose options are not" --recipe tuned.safetensors
    refused 2 "--part=all: not all of a checkpoint has names in --keys=torchvision" --part=all --keys=torchvision "$WEIGHTS"
    refused 2 "--recipe stands alone" --recipe --stats "$WEIGHTS"
}

@test "--diff: what is the same across formats and names, and how far apart the rest is" {
    twist-ckpt --to copy.pth "$WEIGHTS"
    twist-ckpt --diff copy.pth "$WEIGHTS" > out
    [ "$(cat out)" = "139 tensors are the same, 0 differ, 0 in shape; 0 only in A, 0 only in B" ]
    twist-ckpt --part=backbone --to backbone.npz "$WEIGHTS"
    twist-ckpt --part=backbone --diff backbone.npz "$WEIGHTS" | grep -q ' 0 differ, 0 in shape; 0 only in A, 0 only in B$'
    run twist-ckpt --diff backbone.npz "$WEIGHTS"
    [ "$status" -eq 1 ]
    [[ "$output" == *$'backbone.conv1.weight\tonly in A: f32 [64, 3, 7, 7]'*$'\nconv1.weight\tonly in B: f32 [64, 3, 7, 7]'* ]]
    [[ "$output" == *"twist-ckpt: no tensor name is in both: try --part=backbone or --part=model, which unify the names"* ]]
    tensors() { safetensors '{"x":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"y":{"dtype":"U8","shape":['$1'],"data_offsets":[4,8]}}' "$2"; }
    tensors 4 abcdABCD > a
    tensors 2,2 abcfABCD > b
    run twist-ckpt --diff b a
    [ "$status" -eq 1 ]
    [ "${lines[0]}" = $'x\t1 of 4 differ, by 2 at most, 0.01015 of the norm' ] # 2 / sqrt(97^2 + 98^2 + 99^2 + 100^2)
    [ "${lines[1]}" = $'y\tu8 [4], u8 [2, 2]' ]
    [ "${lines[2]}" = "0 tensors are the same, 1 differ, 1 in shape; 0 only in A, 0 only in B" ]
    refused 1 "nowhere: No such file" --diff nowhere a
}

@test "detectron2's pickle is read: back to torchvision's names and to the same bytes; one cut short is refused" {
    twist-ckpt --diff "$GOLDEN/backbone.safetensors" "$GOLDEN/backbone.pkl" | grep -q '^6 tensors are the same, 0 differ'
    twist-ckpt --part=backbone --to own.pkl --keys=detectron2 "$WEIGHTS"
    twist-ckpt --part=backbone --to back.safetensors own.pkl
    twist-ckpt --part=backbone --to backbone.safetensors "$WEIGHTS"
    twist-ckpt --diff back.safetensors backbone.safetensors | grep -q '^120 tensors are the same, 0 differ'
    twist-ckpt --to again.pkl own.pkl
    cmp own.pkl again.pkl
    twist-ckpt own.pkl | sed -n 2p | grep -Fx 'network: resnet18'
    head -c 100000 own.pkl > cut.pkl
    refused 1 "cut.pkl: pickle, byte " cut.pkl
    printf '\200\4cposix\nsystem\n(U\17touch attacked!tR.' > attack.pkl
    refused 1 "attack.pkl: pickle, byte 16: refused: it uses posix.system" attack.pkl
}
