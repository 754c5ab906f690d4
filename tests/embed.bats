# Goal: twist-embed gives each picture its features, the same bits for any batch size and any -j, and names what is wrong with a
# checkpoint or a stream. (That the numbers are PyTorch's is the matter of unit/checkpoint_embed_test.)

. "$BATS_TEST_DIRNAME/noise.sh"

setup_file() {
    local tests=$BATS_TEST_DIRNAME
    export WEIGHTS=$BATS_FILE_TMPDIR/weights.safetensors VIEWS=$BATS_FILE_TMPDIR/views.tws ONE=$tests/golden/checkpoint/views.tws
    (cd "$tests/.." && "${B:-build}/unit/checkpoint_embed_test" --make "$WEIGHTS")
    "${BIN:-$tests/../bin}/twist-cat" --no-history "$ONE" "$ONE" "$ONE" -o "$VIEWS" # 15 samples of two sizes
}

setup() {
    PATH=${BIN:-$BATS_TEST_DIRNAME/../bin}:$PATH
    FORMATS=$(cd "$BATS_TEST_DIRNAME/../formats" && pwd)
    GOLDEN=$(cd "$BATS_TEST_DIRNAME/golden/checkpoint" && pwd)
    cd "$BATS_TEST_TMPDIR"
}

renamed() { # FILE EXPRESSION: the safetensors file, its header changed by sed, on standard output
    local n header
    n=$(od -An -tu8 -N8 "$1")
    header=$(tail -c +9 "$1" | head -c $n | sed "$2")
    printf "\\$(printf %o $((${#header} % 256)))\\$(printf %o $((${#header} / 256)))\\0\\0\\0\\0\\0\\0%s" "$header"
    tail -c +$((9 + n)) "$1"
}

refused() { # MESSAGE ARGUMENT...
    local message=$1
    shift
    run twist-embed -o out.emb "$@"
    echo "$output"
    [ "$status" -eq 1 ]
    [ "${#lines[@]}" -eq 1 ]
    [[ "$output" == "twist-embed: $message"* ]]
    [ ! -e out.emb ]
}

@test "the same bytes for any batch size, any -j and any cut of the stream" {
    local options="--no-history --output=features,logits --output=probs"
    twist-embed $options -i "$VIEWS" "$WEIGHTS" -o want.emb
    for more in "--batch-size=1 -j1" "--batch-size=2 -j2" "--batch-size=7 -j1" "--batch-size=64 -j2"; do
        twist-embed $options $more "$WEIGHTS" < "$VIEWS" > out.emb
        cmp want.emb out.emb
    done
    twist-cat --no-history --skip 4 --head 3 want.emb -o want-part.emb
    twist-cat --no-history --skip 4 --head 3 "$VIEWS" | twist-embed $options "$WEIGHTS" -o part.emb
    cmp <(twist-cat --json want-part.emb | grep key) <(twist-cat --json part.emb | grep key)
}

@test "pictures so large that they go through the first layers one by one: the same bytes alone and together" {
    twist-synth -q -o pictures --count=3 --val-count=0 --classes=2 --size=160
    twist-decode -q pictures/train | twist-augment -q --aug=eval -o large.tws
    local precisions=fp32
    grep -qm 1 avx512_bf16 /proc/cpuinfo && precisions="fp32 bf16"
    for net in "--random-init=resnet18 --batch-size=4 -j2" "--random-init=resnet50 --batch-size=6 -j1"; do
        for precision in $precisions; do
            twist-embed -q --no-history --precision=$precision -i large.tws $net -o together.emb
            twist-embed -q --no-history --precision=$precision -i large.tws ${net%%--batch*} --batch-size=1 -j1 -o alone.emb
            cmp together.emb alone.emb
        done
    done
}

@test "PyTorch's files give the same features as safetensors" {
    local options="--no-history --output=features,probs -i $ONE"
    twist-embed $options "$WEIGHTS" -o want.emb
    twist-ckpt --to weights.pth "$WEIGHTS"
    twist-embed $options weights.pth -o out.emb
    cmp want.emb out.emb
    twist-embed --no-history -i "$ONE" "$WEIGHTS" -o want.emb
    twist-ckpt --part=backbone --to backbone.npz "$WEIGHTS"
    twist-embed --no-history -i "$ONE" backbone.npz -o out.emb
    cmp want.emb out.emb
    rm out.emb
    refused "$GOLDEN/attack.pth: pickle, byte 27: refused: it uses posix.system" -i "$ONE" "$GOLDEN/attack.pth"
}

@test "samples keep their order and places, the header its classes; only what was asked for is written" {
    twist-embed "$WEIGHTS" -i "$VIEWS" -o out.emb
    for stream in out.emb "$VIEWS"; do
        twist-cat --json "$stream" | sed -n 's/^\({"key".*"label": [a-z0-9]*\).*\("note": \[[0-9]*\]\).*/\1 \2/p' > "places.$(basename "$stream")"
    done
    mv places.out.emb got
    mv places.views.tws want
    diff want got
    [ "$(wc -l < got)" -eq 15 ]
    twist-cat --header out.emb | grep -F '"kind": "features"' | grep -F '"classes": ["cat", "dog"]' | grep -F "twist-embed $WEIGHTS"
    ! twist-cat --json out.emb | grep -q '"logits"\|"probs"\|"views"' || false
    twist-embed --output=probs "$WEIGHTS" -i "$VIEWS" | twist-cat --json > json
    ! grep -q '"features": \|"logits"' json || false
    # probabilities add up to 1
    sed -n 's/.*"probs": \[\([^]]*\)\].*/\1/p' json | awk -F', ' '{s = 0; for (i = 1; i <= NF; i++) s += $i; if (NF != 24 || s < 0.99999 || s > 1.00001) exit 1}'
}

@test "--pixels are the values / 255; --random-init is a network that depends on its seed" {
    twist-embed --pixels -i "$ONE" -o x.emb 2> err || true
    grep -F 'sample 2 (picture-2.jpg): 24 x 24 pixels, of another size than the views before it' err
    [ ! -e x.emb ]
    twist-cat --head 2 "$ONE" | twist-embed --pixels | twist-cat --npy features=x.npy
    twist-cat --head 2 "$ONE" | twist-cat --npy views=v.npy
    tail -c $((2 * 32 * 40 * 3)) v.npy | od -An -v -tu1 -w1 | awk '{print $1 / 255}' > want
    tail -c $((2 * 32 * 40 * 3 * 4)) x.npy | od -An -v -tf4 -w4 | paste - want | awk '{d = $1 - $2; if (d < -1e-6 || d > 1e-6) exit 1; n++} END {exit n != 2 * 32 * 40 * 3}'
    for i in 1 2; do twist-embed --no-history --random-init=resnet18 --small-stem --seed=5 -i "$ONE" -o "r$i.emb"; done
    cmp r1.emb r2.emb
    twist-embed --no-history --random-init=resnet18 --small-stem --seed=6 -i "$ONE" -o r3.emb
    ! cmp -s r1.emb r3.emb || false
    [ "$(twist-cat --json --head 1 r1.emb | sed -n 's/.*"features": \[\([^]]*\)\].*/\1/p' | tr , '\n' | wc -l)" -eq 512 ]
}

@test "vision transformers: CLS tokens of several blocks, the last one last, then the mean patch; checkpoints of twist-train" {
    local options="--no-history -i $ONE" row=$((192 * 4))
    twist-embed $options --random-init=vit_t --seed=5 | twist-cat --head 1 --npy features=one.npy
    twist-embed $options --random-init=vit_t --seed=5 --n-last-blocks=3 | twist-cat --head 1 --npy features=three.npy
    twist-embed $options --random-init=vit_t --seed=5 --n-last-blocks=3 --avgpool-patchtokens -j1 | twist-cat --head 1 --npy features=four.npy
    cmp <(tail -c $row one.npy) <(tail -c $row three.npy)
    cmp <(tail -c $((3 * row)) three.npy) <(tail -c $((4 * row)) four.npy | head -c $((3 * row)))
    ! cmp -s <(tail -c $row four.npy) <(tail -c $row three.npy) || false
    twist-synth -q -o pictures --count=4 --val-count=0 --classes=2 --size=32
    twist-decode -q pictures/train | twist-augment -q --aug=barlow --size=32 > train.tws
    twist-train -q -i train.tws -o run --backbone=vit_t --patch-size=8 --hid-dim=16 --dim=8 --batch-size=2 --epochs=1 --precision=fp32 \
        --optim=admw --lbn-type=identity --proj-norm=none --drop-path=0.2 -j1
    twist-embed $options --output=features,probs run/checkpoint.safetensors -o want.emb
    run twist-embed $options --output=probs --n-last-blocks=2 run/checkpoint.safetensors
    [ "$status" -eq 2 ]
    twist-ckpt --to run.pth --part=model run/checkpoint.safetensors
    twist-embed $options --output=features run.pth -o got.emb
    twist-embed $options run/backbone.safetensors -o want.emb
    cmp want.emb got.emb
    twist-ckpt run/checkpoint.safetensors | grep -F "vit_t (patches of 8 px, positions for 28 x 28) with a head of 16 and 8 units, no norm inside, no last norm"
}

@test "a checkpoint that is missing, cut, of another network, or not finite is refused by name" {
    refused "absent.safetensors: No such file" -i "$ONE" absent.safetensors
    head -c 10000000 "$WEIGHTS" > cut.safetensors
    refused "cut.safetensors: tensor " -i "$ONE" cut.safetensors
    head -c 3000 "$WEIGHTS" > header.safetensors
    refused "header.safetensors: truncated: a header of " -i "$ONE" header.safetensors
    refused "$GOLDEN/types.safetensors: no known network" -i "$ONE" "$GOLDEN/types.safetensors"
    cp "$WEIGHTS" nan.safetensors
    printf '\0\0\300\177' | dd of=nan.safetensors bs=1 seek=$(($(wc -c < nan.safetensors) - 4)) conv=notrunc 2> err
    refused "nan.safetensors: tensor projection_heads.norm.running_var: element 23 is NaN" -i "$ONE" --output=probs nan.safetensors
    twist-embed -i "$ONE" nan.safetensors > features.emb # the head is not used
    sed 's/"resnet18"/"resnet34"/' "$WEIGHTS" > lying.safetensors
    refused "lying.safetensors: its metadata says backbone=resnet34, its tensors are those of resnet18" -i "$ONE" lying.safetensors
}

@test "a stream of another kind, of several views, cut, or empty is refused by name" {
    refused "$FORMATS/images.tws: a stream of images, want views" -i "$FORMATS/images.tws" "$WEIGHTS"
    refused "$FORMATS/views.tws: sample 0 (pet-0.jpg): 2 views, want one per picture" -i "$FORMATS/views.tws" "$WEIGHTS"
    head -c 9000 "$ONE" > cut.tws
    refused "cut.tws: truncated at byte 9000, inside record" -i cut.tws "$WEIGHTS"
    refused "/dev/null: empty: no header" -i /dev/null "$WEIGHTS"
    # what came before the cut is there, without an end record
    run bash -c "twist-embed '$WEIGHTS' < cut.tws > part.emb"
    [ "$status" -eq 1 ]
    run twist-cat --check part.emb
    [ "$status" -eq 1 ]
    [[ "$output" == *"without its end record, after 2 samples"* ]]
    run bash -c "twist-embed '$WEIGHTS' -i 'pipe:head -c 9000 $ONE; exit 3' > part.emb"
    [ "$status" -eq 1 ]
    [[ "$output" == *"exit"*3* ]]
}

@test "an empty stream gives an empty stream; a full disk and a reader that leaves" {
    twist-cat --skip 5 "$ONE" | twist-embed "$WEIGHTS" | twist-cat --json > out
    grep -Fx '{"end": true, "samples": 0, "skipped": 0}' out
    run bash -c "twist-embed '$WEIGHTS' < '$VIEWS' > /dev/full"
    [ "$status" -eq 1 ]
    [[ "$output" == "twist-embed: "*"No space left"* ]]
    run twist-embed "$WEIGHTS" -i "$VIEWS" -o /dev/full
    [ "$status" -eq 1 ]
    [[ "$output" == *"/dev/full: No space left"* ]]
    run bash -c "set -o pipefail; cat '$VIEWS' '$VIEWS' | twist-embed -j1 --pixels 2>&1 | head -c 100 > start"
    [ "$status" -ne 0 ]
}

@test "usage: exit 2 for what does not go together, 1 for a device that is not there" {
    for wrong in "" "$WEIGHTS more" "--pixels $WEIGHTS" "--random-init=resnet18 --pixels" "--output=feature $WEIGHTS" "--output=probs --pixels" \
        "--small-stem $WEIGHTS" "--output= $WEIGHTS" "--precision=fp8 $WEIGHTS" "--n-last-blocks=4 $WEIGHTS" "--avgpool-patchtokens --pixels" \
        "--random-init=vit_t --n-last-blocks=13" "--n-last-blocks=2 --random-init=resnet18" "--avgpool-patchtokens --output=probs $WEIGHTS" \
        "--pixels --part=teacher" "--random-init=resnet18 --part=model"; do
        run bash -c "twist-embed $wrong < '$ONE' > out.emb"
        echo "$wrong: $output"
        [ "$status" -eq 2 ]
        [[ "$output" == *"try 'twist-embed -h'"* ]]
    done
    run twist-embed --pixels --part=teacher -i "$ONE"
    [[ "${lines[0]}" == "twist-embed: --part: only with a CHECKPOINT, not with --pixels" ]]
    run twist-embed --device=cuda "$WEIGHTS"
    [ "$status" -eq 1 ]
    [[ "$output" == "twist-embed: --device=cuda: "* ]]
    run twist-embed --random-init=resnet19 -i "$ONE" -o out.emb
    [ "$status" -eq 2 ]
    [[ "$output" == "twist-embed: --random-init=resnet19: unknown backbone: there are resnet18, "* ]]
    run twist-embed --random-init=vit_t --small-stem -i "$ONE" -o out.emb
    [ "$status" -eq 2 ]
    [[ "$output" == "twist-embed: --random-init=vit_t: the small stem is for ResNets"* ]]
}

@test "--append: what an interrupted run left, cut anywhere, becomes byte for byte the file of a run never interrupted" {
    local options="--no-history --output=features,logits --batch-size=4"
    twist-embed $options -i "$VIEWS" "$WEIGHTS" -o want.emb
    size=$(stat -c %s want.emb)
    for cut in 3000 $((size / 2)) $((size - 20)) $size; do
        head -c $cut want.emb > out.emb
        twist-embed -q $options -i "$VIEWS" "$WEIGHTS" -o out.emb --append
        cmp want.emb out.emb
    done
    rm out.emb # nothing there: a new file
    twist-embed -q $options -i "$VIEWS" "$WEIGHTS" -o out.emb --append
    cmp want.emb out.emb
    run twist-embed -i "$VIEWS" "$WEIGHTS" $options -o out.emb --append
    [ "$status" -eq 0 ]
    [[ "$output" == *"out.emb: complete: 15 samples"* ]]
    cmp want.emb out.emb
    run twist-embed -i "$VIEWS" "$WEIGHTS" $options --precision=fp32 -o out.emb --append # the default, in words
    [ "$status" -eq 0 ]
    run twist-embed -i nowhere "$WEIGHTS" $options -o out.emb --append
    [ "$status" -eq 1 ]
    [[ "$output" == "twist-embed: nowhere: "* ]]
    for cut in 1 5 9 100; do # inside the header
        head -c $cut want.emb > out.emb
        run twist-embed $options -i "$VIEWS" "$WEIGHTS" -o out.emb --append
        [ "$status" -eq 0 ]
        [ "$output" = "twist-embed: out.emb: truncated inside its header: starting it again" ]
        cmp want.emb out.emb
    done
    for other in "a line of text" $'\x83' $'\x83\xa5other'; do # the first byte of a header alone may be one
        printf %s "$other" > out.emb
        run twist-embed $options -i "$VIEWS" "$WEIGHTS" -o out.emb --append
        [ "$other" = $'\x83' ] || [[ "$status" -eq 1 && "$(cat out.emb)" = "$other" ]]
    done
}

@test "--append: a complete file of other data is refused, by both numbers; of the same data it is complete" {
    mkdir photos
    for i in 0 1 2; do noisy 32 $i > photos/$i.ppm; done
    embed() { twist-embed "$WEIGHTS" -o out.emb --append -i "pipe:twist-decode -q $* | twist-augment -q --aug=eval --resize=32 --size=32"; }
    embed photos --skip=%s
    cp out.emb keep.emb
    for skip in "" --skip=%s; do
        run embed photos $skip
        [ "$status" -eq 0 ]
        [ "$output" = "twist-embed: out.emb: complete: 3 samples" ]
    done
    for other in "--seed=5:the seed is 0, but now it is 5" "--epochs=2:the number of epochs is 1, but now it is 2" \
        "--limit=2:the number of samples in an epoch is 3, but now it is 2" "--shard=0/2:the number of samples in an epoch is 3, but now it is 2"; do
        run embed photos "${other%%:*}"
        echo "$output"
        [ "$status" -eq 1 ]
        [[ "$output" == "twist-embed: out.emb: of other data: ${other#*:}"* ]]
    done
    run twist-embed "$WEIGHTS" -o out.emb --append -i "$ONE"
    [ "$status" -eq 1 ]
    [[ "$output" == "twist-embed: out.emb: of other data: the number of samples in an epoch is 3, but now it is 5" ]]
    twist-decode -q --epochs=2 photos | twist-cat --head=3 | twist-augment -q --aug=eval --resize=32 --size=32 -o cut.tws
    run twist-embed "$WEIGHTS" -o out.emb --append -i cut.tws
    [ "$status" -eq 1 ]
    [[ "$output" == "twist-embed: out.emb: of other data: the number of samples in an epoch is 3, but now it is unknown" ]]
    cp photos/2.ppm photos/3.ppm
    run embed photos --skip=%s
    [ "$status" -eq 1 ]
    [[ "$output" == "twist-embed: out.emb: of other data: the number of samples in an epoch is 3, but now it is 4" ]]
    cmp keep.emb out.emb
    # a picture that was bad when the file was written, and no longer is
    echo broken > photos/3.ppm
    rm out.emb
    embed photos --skip=%s
    cp photos/2.ppm photos/3.ppm
    run embed photos --skip=%s
    [ "$status" -eq 1 ]
    [[ "$output" == "twist-embed: out.emb: complete with 3 samples, but "*" has more: photos/3.ppm" ]]
}

@test "--append after kill -9; the data follow by %s" {
    mkdir photos
    for i in 0 1 2 3 4 5 6 7 8 9; do noisy 32 $i > photos/$i.ppm; done
    echo broken > photos/55.ppm
    local input="pipe:twist-decode -q --skip=%s photos | twist-augment -q --aug=eval --resize=32 --size=32"
    twist-embed -q --no-history -i "${input/--skip=%s/}" "$WEIGHTS" -o want.emb
    twist-embed -q --no-history -i "pipe:(twist-decode -q photos | twist-augment -q --aug=eval --resize=32 --size=32; sleep 60)" --batch-size=1 "$WEIGHTS" -o out.emb --append &
    for _ in $(seq 600); do
        [ "$(stat -c %s out.emb 2> /dev/null || echo 0)" -gt 6000 ] && break
        sleep 0.05
    done
    kill -9 $! && wait $! || true
    head -c 14000 out.emb > cut.emb && mv cut.emb out.emb
    twist-embed -q --no-history -i "$input" "$WEIGHTS" -o out.emb --append
    cmp <(twist-cat --json want.emb) <(twist-cat --json out.emb)
    twist-cat --json out.emb | tail -n 1 | grep -q '"samples": 10, "skipped": 1'
}

@test "a share of the data: cut and gone on with, and by a head that was killed, nothing is lost or repeated" {
    mkdir photos
    for i in $(seq 40); do noisy 32 $i > photos/$i.ppm; done
    printf '%s\n' '#!/bin/bash' 'shift; views() { twist-decode -q "$@" | twist-augment -q --aug=eval --resize=32 --size=32; }' \
        '[ -e killed ] || { touch killed; views "$@" | head -c 40000; kill -9 $$; }' 'views "$@"' > twist-feed
    chmod +x twist-feed
    for share in 0/2/4 1/2 1/3/5; do
        local source="--shard=$share --start-epoch=%e --skip=%s photos" options="-q --no-history $WEIGHTS"
        twist-embed $options -i "pipe:twist-decode -q $source | twist-augment -q --aug=eval --resize=32 --size=32" -o want.emb
        rm -f killed
        twist-embed $options -i "pipe:./twist-feed head $source" -o out.emb
        [ -e killed ] && cmp want.emb out.emb
        head -c $(($(stat -c %s want.emb) * 2 / 3)) want.emb > out.emb
        twist-embed $options -i "pipe:twist-decode -q $source | twist-augment -q --aug=eval --resize=32 --size=32" --append -o out.emb
        cmp want.emb out.emb
    done
}

@test "--append, several epochs, cut anywhere: byte for byte, by %e and %s, by passing over, and in every header" {
    mkdir photos
    for i in 0 1 2 3 4; do noisy 32 $i > photos/$i.ppm; done
    echo broken > photos/25.ppm
    local views="twist-augment -q --aug=eval --resize=32 --size=32" all="twist-decode -q --shuffle --epochs=2 photos"
    local options="-q --no-history --batch-size=3 $WEIGHTS" size input name
    twist-decode -q photos | $views -o a.tws
    twist-decode -q --start-epoch=1 --epochs=2 photos | $views -o b.tws
    local -A input=([told]="pipe:twist-decode -q --shuffle --epochs=2 --start-epoch=%e --skip=%s photos | $views"
        [passed]="pipe:$all | $views" [epoch]="pipe:$all --start-epoch=%e | $views" [skip]="pipe:$all --skip=3 | $views"
        [joined]="pipe:twist-cat a.tws b.tws") # two epochs: a header without numbers
    if python3 -c 'import msgpack, msgpack_numpy' 2> /dev/null; then
        $all -o few.tws
        python3 -B - "$FORMATS" few.tws > wrong.tws << 'END'
import sys
sys.path.insert(0, sys.argv[1])
import stream
header, samples = stream.read(open(sys.argv[2], "rb"))
with stream.Writer(sys.stdout.buffer, {**header, "samples": 2}) as out:
    for s in samples:
        out.sample(s)
END
        input[few]="pipe:$views -i wrong.tws"
    fi
    for name in "${!input[@]}"; do
        twist-embed $options -i "${input[$name]}" -o want.emb
        size=$(stat -c %s want.emb)
        for cut in 800 $((size / 5)) $((size * 2 / 5)) $((size * 3 / 5)) $((size * 4 / 5)) $((size - 20)) $size; do
            echo "$name: $cut of $size"
            head -c $cut want.emb > out.emb
            twist-embed $options -i "${input[$name]}" -o out.emb --append
            cmp want.emb out.emb
        done
    done
    # other epochs than the file's, also where the rest of it is read
    twist-embed $options -i "${input[told]}" -o want.emb
    for cut in 3000 $((size * 4 / 5)) $(stat -c %s want.emb); do
        head -c $cut want.emb > out.emb
        run twist-embed $options -i "${input[told]/epochs=2/epochs=3}" -o out.emb --append
        [ "$status" -eq 1 ]
        [[ "$output" == *"twist-embed: out.emb: of other data: the number of epochs is 2, but now it is 3"* ]]
    done
}

@test "--append: a command that cannot be told where to go on, or does not begin there, adds no sample again" {
    mkdir photos
    for i in 0 1 2 3 4 5; do noisy 32 $i > photos/$i.ppm; done
    local views="twist-augment -q --aug=eval --resize=32 --size=32" options="-q --no-history $WEIGHTS"
    local input="pipe:twist-decode -q --epochs=2 --skip=%s photos | $views"
    refused() { # MESSAGE
        cp out.emb keep.emb
        run twist-embed $options -i "$input" -o out.emb --append
        echo "$output"
        [ "$status" -eq 1 ]
        [[ "$output" == "twist-embed: "*"$1"* ]]
        cmp out.emb <(head -c "$(stat -c %s out.emb)" keep.emb)
    }
    twist-embed $options -i "$input" -o want.emb
    local size=$(stat -c %s want.emb)
    head -c $((size / 3)) want.emb > out.emb # in epoch 0
    twist-embed $options -i "$input" -o out.emb --append
    cmp want.emb out.emb
    twist-embed $options -i "$input" -o out.emb --append # complete
    head -c $((size * 2 / 3)) want.emb > out.emb
    refused "out.emb: goes to epoch 1, but the command of --input gets a position in epoch 0: give it %e too (--start-epoch=%e)"
    twist-decode -q photos | $views -o views.tws
    input="pipe:cat views.tws # %s"
    twist-embed $options -i "$input" -o want.emb
    head -c $((size / 3)) want.emb > out.emb
    refused "photos/0.ppm: epoch 0, position 0, but the features to be continued go to epoch 0, position 2: it must begin after them"
    input="pipe:twist-cat --no-history --skip=%s views.tws views.tws"
    twist-embed $options -i "$input" -o want.emb
    head -c $((size * 5 / 6)) want.emb > out.emb
    refused "out.emb: has more samples than its last position, 3, allows"
    (cd photos && tar cf ../long.tar *.ppm && tar cf ../short.tar 0.ppm 1.ppm)
    twist-decode -q - < long.tar | $views | twist-embed $options -o want.emb
    head -c $((size / 3)) want.emb > out.emb
    input="pipe:twist-decode -q - < short.tar | $views"
    refused "ends before the last sample of the features to be continued"
}

@test "headers with absurd numbers: no time is foretold, and joined ones have no number" {
    printf '\x84\xa5twist\x01\xa4kind\xa5views\xa7samples\xcf\x40\0\0\0\0\0\0\0\xa6epochs\xcf\x40\0\0\0\0\0\0\0' > absurd.tws
    printf '\x83\xa3key\xa1k\xa5index\x00\xa5views\x91\x85\xc4\x02nd\xc3\xc4\x04type\xa3|u1\xc4\x04kind\xc4\x00\xc4\x05shape\x93\x01\x01\x03\xc4\x04data\xc4\x03abc' >> absurd.tws
    printf '\x82\xa3end\xc3\xa7samples\x01' >> absurd.tws
    twist-embed --pixels --progress -i absurd.tws -o out.emb 2> said
    tr '\r' '\n' < said | grep -F 'ETA unknown'
    twist-cat --no-history absurd.tws absurd.tws absurd.tws absurd.tws -o joined.tws
    twist-cat --header joined.tws | grep -F '"samples": null'
}

@test "--append refuses what this command would not have written: other outputs, another network, other data, another kind" {
    twist-embed -q -i "$ONE" "$WEIGHTS" -o out.emb
    head -c $(($(stat -c %s out.emb) - 20)) out.emb > cut.emb
    cp cut.emb keep.emb
    for more in --output=logits --type=f16 "-i $VIEWS"; do
        run twist-embed -q -i "$ONE" "$WEIGHTS" -o cut.emb --append $more
        [ "$status" -eq 1 ]
        [[ "$output" == *"cut.emb: "* ]]
        cmp cut.emb keep.emb
    done
    # other weights or options for them, also where all is done
    twist-embed -q -i "$ONE" --random-init=resnet18 -o whole.emb
    head -c $(($(stat -c %s whole.emb) - 20)) whole.emb > cut.emb
    for file in whole.emb cut.emb; do
        for more in "--random-init=resnet18 --seed=1" "--random-init=resnet18 --precision=bf16" "$WEIGHTS"; do
            run twist-embed -q -i "$ONE" -o $file --append $more
            [ "$status" -eq 1 ]
            [[ "$output" == *"$file: written with another network, or with other options for it"* ]]
        done
    done
    twist-embed -q -i "$ONE" --random-init=resnet18 -o cut.emb --append
    cmp cut.emb whole.emb
    # as many pictures of the same classes, one of them by another name
    mkdir names && for class in a b; do mkdir names/$class && for i in 1 2 3; do printf 'P6 8 8 255\n%192s' $i$class > names/$class/$i.ppm; done; done
    twist-decode -q names | twist-augment -q --aug=eval --size=32 --resize=32 | twist-embed -q --random-init=resnet18 -o named.emb
    mv names/b/2.ppm names/b/2b.ppm
    head -c $(($(stat -c %s named.emb) - 20)) named.emb > cut.emb
    for file in named.emb cut.emb; do
        run twist-embed -q -i "pipe:twist-decode -q names | twist-augment -q --aug=eval --size=32 --resize=32" --random-init=resnet18 -o $file --append
        [ "$status" -eq 1 ]
        [[ "$output" == *"$file: of other data: the names or labels of its data set differ"* ]]
    done
    run twist-embed -q -i "$ONE" "$WEIGHTS" -o "$ONE" --append
    [ "$status" -eq 1 ]
    [[ "$output" == *"a stream of views"* ]]
    run twist-embed -q -i "$ONE" "$WEIGHTS" --append
    [ "$status" -eq 2 ]
}

@test "--type=f16: half the bytes, the nearest numbers of 16 bits, understood by the programs that read features" {
    twist-embed -q --no-history --output=features,probs -i "$VIEWS" "$WEIGHTS" -o whole.emb
    twist-embed -q --no-history --output=features,probs -i "$VIEWS" "$WEIGHTS" --type=f16 -o half.emb
    [ $((2 * $(stat -c %s half.emb))) -lt $(($(stat -c %s whole.emb) + 15 * 400)) ]
    paste -d '\n' <(twist-cat --json whole.emb | grep key) <(twist-cat --json half.emb | grep key) |
        sed 's/.*"features": \[//; s/\].*//' | awk -F', ' 'NR % 2 { for (i = 1; i <= NF; i++) a[i] = $i; next }
            { for (i = 1; i <= NF; i++) { d = a[i] - $i; if (d < 0) d = -d; if (d > a[i] / 2048 + 1e-7) bad++; n++ } } END { exit !(n == 15 * 512 && !bad) }'
    twist-cat --npy features=half.npy half.emb > /dev/null
    head -c 100 half.npy | grep -q "'<f2'.*(15, 512"
    [ "$(twist-cluster whole.emb --kmeans 3 -q | sed 's/.*"iterations": //')" = "$(twist-cluster half.emb --kmeans 3 -q | sed 's/.*"iterations": //')" ]
}

@test "an array of f32 and f16 is refused by their types" {
    twist-embed -q -i "$ONE" "$WEIGHTS" -o whole.emb
    twist-embed -q -i "$ONE" "$WEIGHTS" --type=f16 -o half.emb
    run twist-cat --npy features=x.npy whole.emb half.emb
    [ "$status" -eq 1 ]
    [[ "$output" == "twist-cat: x.npy: the type is f16, where the first row's is f32 (sample "* ]]
    [ ! -e x.npy ]
}

@test "--type=f16 refuses a result that is too large for it, by its sample, and writes no infinity" {
    classifier() { # two classes, the logit of the second the f32 of these bytes
        local header='{"fc.weight":{"dtype":"F32","shape":[2,512],"data_offsets":[0,4096]},"fc.bias":{"dtype":"F32","shape":[2],"data_offsets":[4096,4104]}}'
        printf '\x'$(printf %02x ${#header})'\0\0\0\0\0\0\0%s' "$header"
        head -c 4100 /dev/zero
        printf "$1"
    }
    for sign in 47 c7; do
        classifier "\x00\xf0\x7f\x$sign" > large.safetensors # 65520
        refused "$WEIGHTS: sample 0 (picture-0.jpg): a result of 65520 or more is beyond f16; --type=f32 holds it" -q --type=f16 --output=logits -i "$ONE" \
            --head=large.safetensors "$WEIGHTS"
        classifier "\xff\xef\x7f\x$sign" > most.safetensors # the number before it
        twist-embed -q --type=f16 --output=logits -i "$ONE" --head=most.safetensors "$WEIGHTS" > most.emb
        twist-cat --json --head 1 most.emb | grep -E '"logits": \[0(\.0)?, -?65504(\.0)?\]'
    done
    # what is not written does not matter, and f32 holds it
    twist-embed -q --type=f16 --output=features,probs -i "$ONE" --head=large.safetensors "$WEIGHTS" > out.emb
    twist-embed -q --output=logits -i "$ONE" --head=large.safetensors "$WEIGHTS" > out.emb
}

@test "features of two networks are not compared without a word" {
    two_kinds 4
    twist-decode -q photos | twist-augment -q --aug=eval --resize=32 --size=32 -o views.tws
    for i in 1 2; do twist-embed -q --random-init=resnet18 --small-stem --seed=$i -i views.tws -o $i.emb; done
    for program in "twist-knn -k 1" "twist-linear --epochs 1"; do
        $program --train 1.emb --val 2.emb 2>&1 > other | grep "1.emb and 2.emb: their features were made by different weights"
        grep '"val": 8' other
        $program --train 1.emb --val 1.emb 2> err
        ! grep different err || false
    done
}

@test "--head: the logits of a classifier that twist-linear wrote, or of the network's own fc" {
    mkdir -p photos/a photos/b
    for i in 0 1 2 3; do
        noisy 32 $i > photos/a/$i.ppm
        { printf 'P6 32 32 255\n'; head -c 3072 /dev/zero; } > photos/b/$i.ppm
    done
    twist-decode -q photos | twist-augment -q --aug=eval --resize=32 --size=32 -o views.tws
    twist-embed -q -i views.tws "$WEIGHTS" -o train.emb
    twist-linear -q --train train.emb --val train.emb --epochs=5 --lr=0.01 --normalize -o classifier.safetensors > result
    grep -q '"acc1": 1,' result
    twist-embed -q --output=features,logits,probs --head classifier.safetensors -i views.tws "$WEIGHTS" -o out.emb
    twist-cluster -q out.emb | grep -q '"acc": 1,'
    # and by the classifier's own names, of a picture that has no label
    twist-decode -q photos/b/1.ppm | twist-augment -q --aug=eval --resize=32 --size=32 |
        twist-embed -q --output=probs --head classifier.safetensors "$WEIGHTS" | twist-cluster --match classifier.safetensors --top 1 > top
    grep -q $'^photos/b/1.ppm\tb\t0\\.[5-9]' top || grep -q $'^photos/b/1.ppm\tb\t1$' top
    for more in "--batch-size=1 -j1" "--batch-size=3"; do
        twist-embed -q --output=features,logits,probs --head classifier.safetensors -i views.tws "$WEIGHTS" -o more.emb $more
        cmp <(twist-cat --json out.emb | grep key) <(twist-cat --json more.emb | grep key)
    done
    twist-finetune -q -i views.tws -o run --weights "$WEIGHTS" --batch-size=4 --epochs=1 --val views.tws > result
    twist-embed -q --output=probs -i views.tws run/best.safetensors -o own.emb
    twist-embed -q --output=probs -i views.tws --head run/best.safetensors run/best.safetensors -o other.emb
    cmp <(twist-cat --json own.emb | grep key) <(twist-cat --json other.emb | grep key)
    # behind prefixes, and by the names that timm and DINO's evaluation give it
    for change in 's/"\([^"]*\)":{"dtype"/"model.module.\1":{"dtype"/g' 's/"\([^"]*\)":{"dtype"/"student.\1":{"dtype"/g' \
        's/"fc\.\([a-z]*\)":{/"head.\1":{/g' 's/"fc\.\([a-z]*\)":{/"linear.\1":{/g; s/"\([^"]*\)":{"dtype"/"model.\1":{"dtype"/g'; do
        renamed run/best.safetensors "$change" > other.safetensors
        ! cmp -s run/best.safetensors other.safetensors || false
        twist-embed -q --output=probs -i views.tws other.safetensors -o other.emb
        cmp <(twist-cat --json own.emb | grep key) <(twist-cat --json other.emb | grep key)
        twist-embed -q --output=probs -i views.tws --head other.safetensors run/best.safetensors -o other.emb
        cmp <(twist-cat --json own.emb | grep key) <(twist-cat --json other.emb | grep key)
    done
    acc=$(sed 's/{"acc1": \([0-9.]*\),.*/\1/' result)
    twist-cluster -q --match run/best.safetensors own.emb | grep -q "\"acc\": $acc,"
    twist-cluster -q --match <(echo '{"clusters": 2, "n_classes": 2, "classes": null, "match": [0, 1]}') own.emb | grep -q "\"acc\": $acc,"
    rm out.emb
    refused "$WEIGHTS: contains no classifier" -i views.tws --head "$WEIGHTS" --output=probs "$WEIGHTS"
    run twist-embed -i views.tws --head classifier.safetensors "$WEIGHTS"
    [ "$status" -eq 2 ]
}
