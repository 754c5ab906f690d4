# Pictures that look random and are the same every time: where a test's figures hang on its pictures, what passed once passes again.

# noise BYTES SEED (Park and Miller's generator: exact in an awk's doubles)
noise() {
    LC_ALL=C awk -v n="$1" -v s="$2" 'BEGIN {
        s = s * 7919 + 1
        for (i = -8; i < n; i++) { s = s * 16807 % 2147483647; if (i >= 0) printf "%c", int(s / 8388608) }
    }'
}

# noisy SIDE SEED: a square picture of noise. columns SIDE SEED: one whose columns are of one colour each.
noisy() { printf 'P6 %d %d 255\n' "$1" "$1"; noise $((3 * $1 * $1)) "$2"; }
columns() {
    printf 'P6 %d %d 255\n' "$1" "$1"
    noise $((3 * $1)) "$2" > row.of.columns
    for _ in $(seq "$1"); do cat row.of.columns; done
    rm row.of.columns
}

# two_kinds N: photos/a of N pictures of noise, photos/b of N of columns, 40 pixels a side: told apart by what is in them.
two_kinds() {
    local i
    mkdir -p photos/a photos/b
    for ((i = 0; i < $1; i++)); do
        noisy 40 $i > photos/a/$i.ppm
        columns 40 $((100 + i)) > photos/b/$i.ppm
    done
}
