# Shared by the pipelines: where the programs are, and running a pipe of commands so that one failure stops all and is named.
here=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")" && pwd)
for bin in ${TWIST_BIN:+"$TWIST_BIN"} "$here/../bin" "$here/../../../bin"; do # the tree it was built in, or where `make install` put it
    [ -x "$bin/twist-decode" ] && PATH=$(cd "$bin" && pwd):$PATH && break
done
export PATH
me=$(basename "$0")
command -v twist-decode > /dev/null || { echo "$me: twist-decode is neither beside the pipelines nor on PATH (set TWIST_BIN)" >&2; exit 1; }
case ${1-} in -V | --version) twist-cat --version | sed "s/^twist-cat/$me/" && exit 0 ;; esac

die() {
    echo "$me: $*" >&2
    exit 1
}

usage_error() {
    echo "$me: $*" >&2
    echo "try '$me --help'" >&2
    exit 2
}

# option "$@": one option from the front of a command line, --name=VALUE or --name VALUE, _ as -: sets $name, $value, $word, the
# option as one word for a program, and $used, the number of words that it took. FLAGS, a list in the caller, names those without a value, beside
# those of every program.
option() {
    case $1 in -o) ;; -[!-]*) usage_error "unknown option $1" ;; esac
    name=${1%%=*} value='' used=1
    name=${name//_/-}
    word=$name
    case " ${FLAGS-} --quiet --verbose " in *" $name "*)
        case $1 in *=*) usage_error "$name takes no value" ;; esac
        return
        ;;
    esac
    case $1 in
    *=*) value=${1#*=} ;;
    *)
        [ $# -ge 2 ] || usage_error "$name wants a value"
        value=$2 used=2
        ;;
    esac
    word=$name=$value
}

# short "$@": -q, -v and -j N (-jN) from the front of a command line, which all programs take: sets $word and $used; 1 where it is none of them.
short() {
    word=$1 used=1
    case $1 in
    -q | -v | -vv | -j[0-9]*) ;;
    -j)
        [ $# -ge 2 ] || usage_error "-j wants a value"
        word=-j$2 used=2
        ;;
    *) return 1 ;;
    esac
}

# whole NAME VALUE LEAST: a usage error unless VALUE is a whole number of at least LEAST.
whole() {
    case $2 in '' | *[!0-9]* | 0?*) usage_error "$1: '$2' is not a whole number" ;; esac
    [ "$2" -ge "$3" ] || usage_error "$1: $2 is less than $3"
}

# only OPTION VALUE WANTED REASON: the official option is no option here: its value must be the one that holds anyway.
only() {
    awk -v a="$2" -v b="$3" 'BEGIN {exit !(a == b || (a ~ /^[-+.0-9eE]+$/ && b ~ /^[-+.0-9eE]+$/ && a + 0 == b + 0))}' || usage_error "$1=$2: $4"
}

# evaluation: takes or refuses the official evaluations' option $name=$value that says what holds here anyway; 1: it is none of these.
evaluation() {
    case $name in
    --arch | --backbone | --patch-size | --num-labels) ;; # the checkpoint and the data tell
    --print-freq | --dist-url | --local-rank | --mode | --val-freq) ;;
    --key) # of the official file, whose backbone is found anyway
        case $value in backbone | none) ;; *) usage_error "--key=$value: only backbone; for a teacher, twist-ckpt --part=teacher --to" ;; esac ;;
    --dataset) only "$name" "$value" imagenet 'the data set is what DATA holds' ;;
    --use-lmdb) only "$name" "$value" 0 'LMDB is not supported: give a folder of pictures or a tar' ;;
    *) return 1 ;;
    esac
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

# train_part FOLDER, val_part FOLDER: its train/ and val/ (or test/) subfolders where it has them, FOLDER itself else.
train_part() { if [ -d "$1/train" ]; then echo "$1/train"; else echo "$1"; fi; }
val_part() {
    for part in val test; do
        [ -d "$1/$part" ] && echo "$1/$part" && return
    done
    echo "$1"
}

# pipe_failed WHAT "NAMES" STATUS...: dies naming the first command of a pipe that failed. 141, a reader that went away, is the
# fault of the one that went away.
pipe_failed() {
    local what=$1 names=$2 name
    shift 2
    for name in $names; do
        [ "$1" -eq 0 ] || [ "$1" -eq 141 ] || die "$what: $name failed (exit $1)"
        shift
    done
}

# look_into CHECKPOINT: sets $network, its network's name, and $interpolation, where it is empty and that network's views differ from the
# augmenter's default, bilinear.
look_into() {
    local listed
    listed=$(twist-ckpt "$1") || exit 1
    network=$(sed -n 's/^network: //p' <<< "$listed")
    case $network in vit_*) interpolation=${interpolation:-bicubic} ;; esac
}

# stage COMMAND: the command as a stage of a pipe that is given to a program as pipe:. A stage that fails is named; those after it stop
# for want of an end record, those before it for want of a reader (141).
stage() {
    printf '{ %s || { rc=$?; [ $rc -eq 141 ] || echo "%s: %s failed (exit $rc)" >&2; exit $rc; }; }' "$1" "$me" "${1%% *}"
}

# check_starter: ends if there is no such program as that which starts the ranks, the first word of the caller's list `starter`, where it has one.
check_starter() {
    [ ${#starter[@]} = 0 ] || command -v "${starter[0]}" > /dev/null || die "${starter[0]}: not found; it starts the ranks (set MPIRUN to another)"
}

# work COMMAND...: runs it. A signal that stops this shell alone stops the command too, and is this shell's end once that has ended.
work() {
    local pid rc signal=''
    "$@" <&0 &
    pid=$!
    for s in HUP INT TERM; do trap "signal=$s; kill -TERM $pid 2> /dev/null" $s; done
    wait $pid
    rc=$?
    while kill -0 $pid 2> /dev/null; do # a signal has ended the wait
        wait $pid
        rc=$?
    done
    trap - HUP INT TERM
    [ -z "$signal" ] || kill -"$signal" $$
    return $rc
}

# accepted PROGRAM OPTION... EMPTY-INPUT: lets the program say what is wrong with its options, and exits, before its input is made.
accepted() {
    local said
    said=$("$@" 2>&1)
    [ $? -ne 2 ] || { printf '%s\n' "$said" >&2 && exit 2; }
}

# settings WORD... WEIGHTS: what features depend on, as a line: the words, and size and time of the file WEIGHTS (where it is one).
settings() { echo "$(quote "$@")$(stat -L -c '%s %Y' "${!#}" 2> /dev/null)"; }

# embed OUT DECODE-WORDS -- AUGMENT-OPTIONS -- EMBED-WORDS: evaluation views of the pictures through twist-embed into the file OUT. What
# an interrupted run by the same words (but for threads) has left there is gone on with, and what it has completed is taken, as long as
# OUT.settings is there: the caller removes it when all is done. With $dry 1 the commands are printed.
embed() {
    local out=$1 decode=() augment=() told=() all views word
    shift
    for word; do
        case $word in -j[0-9]*) ;; *) told+=("$word") ;; esac
    done
    all=$(settings "${told[@]}")
    while [ "$1" != -- ]; do decode+=("$1") && shift; done
    shift
    while [ "$1" != -- ]; do augment+=("$1") && shift; done
    shift
    decode=$(quote twist-decode -q "${decode[@]}")
    augment=$(quote twist-augment -q --aug=eval ${augment[@]+"${augment[@]}"})
    if [ "${dry:-0}" = 1 ]; then
        echo "$decode| $augment| $(quote twist-embed -q -o "$out" "$@")"
        return
    fi
    if [ ! -e "$out.settings" ] || [ "$(cat "$out.settings")" != "$all" ]; then
        rm -f "$out" && echo "$all" > "$out.settings" || exit 1
    fi
    views="$(stage "${decode//%/%%} --skip=%s") | $(stage "${augment//%/%%}")" # %% stands for % there
    work twist-embed -q -i "pipe:$views" --append -o "$out" "$@" ||
        die "$out: twist-embed failed (exit $?)$([ ! -e "$out" ] || echo '; repeat the command to continue this file, or remove the file to start over')"
}

# json_number KEY: the first number of that key in the JSON on standard input; nothing where it is null or absent.
json_number() { grep -oE "\"$1\": *-?[0-9][0-9.eE+-]*" | head -n 1 | sed 's/.*: *//'; }

# json_numbers KEY: the number of that key of each line of JSON that has one.
json_numbers() { sed -nE "s/.*\"$1\": *(-?[0-9][0-9.eE+-]*).*/\1/p"; }

# curve LOG RECORDS NAME TITLE [X Y]: the values of NAME in the log's lines that have the key RECORDS ("step", "end_of_epoch") as an SVG
# line chart, groups of them averaged so that at most 300 points are drawn; at X Y of a picture around it. Nothing where there are less
# than two.
CURVE_WIDTH=434 CURVE_HEIGHT=178
curve() {
    grep "\"$2\":" "$1" | json_numbers "$3" |
        awk -v title="$4" -v unit="${2##*_}" -v width=$CURVE_WIDTH -v height=$CURVE_HEIGHT -v place="${5:+x=\"$5\" y=\"$6\" }" '
    { y[n++] = $1 + 0 }
    END {
        if (n < 2) exit
        left = 58; top = 26; w = width - left - 8; h = height - top - 22
        group = int((n + 299) / 300)
        for (i = 0; i < n; i += group) {
            s = 0; k = 0
            for (j = i; j < i + group && j < n; j++) { s += y[j]; k++ }
            z[m++] = s / k
        }
        low = high = z[0]
        for (i = 1; i < m; i++) { if (z[i] < low) low = z[i]; if (z[i] > high) high = z[i] }
        if (high == low) high = low + 1
        size = place == "" ? "" : sprintf("width=\"%d\" height=\"%d\" ", width, height)
        printf "<svg %s%sviewBox=\"0 0 %d %d\" role=\"img\" font-size=\"11\" fill=\"#68748a\"><title>%s</title>\n", place, size, width, height, title
        printf "<text x=\"%d\" y=\"14\" font-size=\"13\" font-weight=\"600\" fill=\"#1d2430\">%s</text>\n", left, title
        for (k = 0; k <= 2; k++) {
            at = top + h - k * h / 2
            printf "<path stroke=\"#e3e7ee\" d=\"M%d %.1fh%d\"/>", left, at, w
            printf "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%.3g</text>\n", left - 6, at + 4, low + (high - low) * k / 2
        }
        printf "<text x=\"%d\" y=\"%d\">%s 1</text>", left, top + h + 16, unit
        printf "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">%d</text>\n", left + w, top + h + 16, n
        printf "<polyline fill=\"none\" stroke=\"#2563b8\" stroke-width=\"1.6\" stroke-linejoin=\"round\" points=\""
        for (i = 0; i < m; i++) printf "%.1f,%.1f ", left + w * i / (m > 1 ? m - 1 : 1), top + h - h * (z[i] - low) / (high - low)
        printf "\"/></svg>\n"
    }'
}
