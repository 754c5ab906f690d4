# Promise: on AArch64 the same bytes as on x86, and right networks. Cross-compiled against Debian's libraries, run by QEMU.
. "$BATS_TEST_DIRNAME/../port.sh"

UNITS="cpu_test cpu_threads_test"

setup_file() {
    cd "$BATS_TEST_DIRNAME/../.." || return 1
    export BIN=${BIN:-$PWD/bin} ARM=$BATS_FILE_TMPDIR/arm
    export PATH="$BIN:$PATH"
    local tool libraries program
    for tool in aarch64-linux-gnu-gcc qemu-aarch64-static mmdebstrap; do
        command -v $tool > /dev/null || { export MISSING=$tool && return; }
    done
    mkdir "$ARM"
    libraries=$(sed -n '/^DEBIAN = /,/[^\\]$/p' Makefile | grep -o '[a-z0-9.|-]*-dev' | sed 's/.*|//' | grep -v openmpi)
    mmdebstrap --quiet --architectures=arm64 --variant=extract --include="libc6-dev $libraries" \
        "$(. /etc/os-release && echo "$VERSION_CODENAME")" "$ARM/root" http://deb.debian.org/debian
    make -s -j2 B="$ARM/build" BIN="$ARM/bin" CC="aarch64-linux-gnu-gcc --sysroot=$ARM/root" AR=aarch64-linux-gnu-ar MPICC=none EMULATED_SO= \
        WERROR=-Werror all $(printf "$ARM/build/unit/%s " $UNITS)
    mkdir "$ARM/run"
    for program in "$ARM"/bin/twist-* $(printf "$ARM/build/unit/%s " $UNITS); do
        printf '#!/bin/sh\nexec qemu-aarch64-static -L "%s" "%s" "$@"\n' "$ARM/root" "$program" > "$ARM/run/${program##*/}"
    done
    chmod +x "$ARM"/run/*
    cd "$BATS_FILE_TMPDIR" || return 1
    twist-synth -q --count=40 --val-count=0 --classes=4 --size=70 -o made
}

setup() {
    [ -z "${MISSING:-}" ] || skip "no $MISSING"
    cd "$BATS_TEST_TMPDIR" || return 1
    cp -r "$BATS_FILE_TMPDIR/made/train" p # no link: QEMU has no openat2(), without which a worker follows none
}

# on_arm COMMAND...: with the programs for AArch64.
on_arm() { PATH="$ARM/run:$PATH" "$@"; }

views() { twist-decode --no-history -q p | twist-augment --no-history -q "$@"; }

@test "pictures and views are the bytes of x86" {
    local aug
    for aug in barlow multicrop moco rand linear eval; do
        views --aug=$aug --size=60 > x86.tws
        on_arm views --aug=$aug --size=60 > arm.tws
        cmp x86.tws arm.tws
    done
}

@test "a farm whose worker is an AArch64 machine delivers the bytes of one on x86" {
    local command='twist-decode --no-history -q -i - | twist-augment --no-history -q --size=60' address
    address=tcp://127.0.0.1:$(free_port)
    twist-decode --no-history -q --epochs=2 p | twist-augment --no-history -q --size=60 > want.tws
    on_arm timeout 300 twist-feed work -q --once "$address" -- "$command" 3>&- &
    timeout 300 twist-feed head -q --no-history --epochs=2 --insecure --work="$address" -o got.tws p
    wait
    cmp want.tws got.tws
}

@test "layers, networks and their gradients are right, and their bits those of one thread" {
    cd "$BATS_TEST_DIRNAME/../.." || return 1
    local unit
    for unit in $UNITS; do
        on_arm "$unit"
    done
}

@test "a trained network's features do not depend on the batch size or on the number of threads" {
    views --size=48 --local-crops-number=0 > train.tws
    on_arm twist-train -q --backbone=resnet18 --dim=32 --hid-dim=32 --batch-size=8 --epochs=1 --input=train.tws --output=run
    views --aug=eval --size=64 > eval.tws
    on_arm twist-embed --no-history -q -i eval.tws --batch-size=1 -j1 run/checkpoint.safetensors > one.tws
    on_arm twist-embed --no-history -q -i eval.tws --batch-size=7 -j2 run/checkpoint.safetensors > seven.tws
    cmp one.tws seven.tws
}
