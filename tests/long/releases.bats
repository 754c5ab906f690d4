# Promise: a minimal system of each release that the README names builds this with what `make deps` installs there, and passes `make check`.

setup() {
    command -v mmdebstrap > /dev/null || skip "no mmdebstrap"
    cd "$BATS_TEST_DIRNAME/../.." || return 1
    mkdir "$BATS_TEST_TMPDIR/twist"
    git ls-files -z --cached --others --exclude-standard | xargs -0 cp --parents -t "$BATS_TEST_TMPDIR/twist"
    cd "$BATS_TEST_TMPDIR" || return 1
}

# passes SUITE SOURCE...: what apt has there. Without the environment: the tests' own bats would take this one's variables for its own.
passes() {
    local rc=0 check='make -s deps && make -s -j2 WERROR=-Werror check'
    mmdebstrap --quiet --variant=apt --include=ca-certificates,make --customize-hook="copy-in $PWD/twist /" \
        --customize-hook="chroot \"\$1\" env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin sh -c 'cd /twist && $check'" \
        "$1" /dev/null "${@:2}" > log 2>&1 || rc=$?
    grep -v '^ok' log | tail -n 100
    [ $rc -eq 0 ]
    grep -qx '[0-9]* passed, 0 failed' log
}

@test "Debian 12" {
    passes bookworm http://deb.debian.org/debian
}

@test "Debian 13" {
    passes trixie http://deb.debian.org/debian
}

# ubuntu SUITE: Debian has not its keys.
ubuntu() {
    passes "$1" "deb [trusted=yes] http://archive.ubuntu.com/ubuntu $1 main universe" \
        "deb [trusted=yes] http://archive.ubuntu.com/ubuntu $1-updates main universe"
}

@test "Ubuntu 24.04" {
    ubuntu noble
}

@test "Ubuntu 26.04" {
    ubuntu resolute
}
