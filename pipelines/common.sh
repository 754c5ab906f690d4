# Shared by the pipelines: where the programs are, and running a pipe of commands so that one failure stops all and is named.
here=$(cd "$(dirname "$0")" && pwd)
for bin in "$here/../bin" "$here/../../../bin"; do # the tree it was built in, or where `make install` put it
    [ -x "$bin/twist-decode" ] && PATH=$(cd "$bin" && pwd):$PATH && break
done
export PATH
me=$(basename "$0")

die() {
    echo "$me: $*" >&2
    exit 1
}

usage_error() {
    echo "$me: $*" >&2
    echo "try '$me --help'" >&2
    exit 2
}

# quote WORD...: the words as a shell would have to read them.
quote() {
    for word; do
        case $word in
        '' | *[!A-Za-z0-9_./:=,+@%-]*) printf "'%s' " "$(printf %s "$word" | sed "s/'/'\\\\''/g")" ;;
        *) printf '%s ' "$word" ;;
        esac
    done
}

# train_part FOLDER, val_part FOLDER: its train/ and val/ subfolders where it has them (FOLDER itself else).
train_part() { if [ -d "$1/train" ]; then echo "$1/train"; else echo "$1"; fi; }
val_part() {
    for part in val test; do
        [ -d "$1/$part" ] && echo "$1/$part" && return
    done
    echo "$1"
}

# embed SOURCE OUT AUGMENT-OPTIONS -- EMBED-OPTIONS: evaluation views of the pictures through twist-embed into the file OUT.
embed() {
    local source=$1 out=$2 augment=()
    shift 2
    while [ "$1" != -- ]; do
        augment+=("$1")
        shift
    done
    shift
    twist-decode -q "$source" | twist-augment -q --aug=eval ${augment[@]+"${augment[@]}"} | twist-embed "$@" -o "$out"
    local rc=("${PIPESTATUS[@]}") name=(twist-decode twist-augment twist-embed) i
    for i in 0 1 2; do
        [ "${rc[i]}" -eq 0 ] || [ "${rc[i]}" -eq 141 ] || die "$source: ${name[i]} failed (exit ${rc[i]})"
    done
}
