# What the tests with ranks share: skipped where there is no mpirun; else BIN and its programs first in PATH, MPIRUN as a test starts it, as root
# too and with more ranks than processors.

mpi_setup() {
    command -v mpirun > /dev/null || skip "no mpirun"
    BIN=$(cd "${BIN:-$BATS_TEST_DIRNAME/../bin}" && pwd)
    PATH=$BIN:$PATH
    export ASAN_OPTIONS=detect_leaks=0 # Open MPI leaves memory behind
    export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
    export OMPI_MCA_rmaps_base_oversubscribe=1 PRTE_MCA_rmaps_default_mapping_policy=:oversubscribe # Open MPI 4; 5
    export OMPI_MCA_btl=^tcp # shared memory: Open MPI 5 complains of networks that it finds no way through
    # mpirun itself may wait for ever for a rank that died (PMIx 4.2.2 at its end, where the rank was still in MPI_Init)
    MPIRUN="timeout --foreground -k 5 180 mpirun --bind-to none"
    cd "$BATS_TEST_TMPDIR"
}

# losses DIR: of each step of that run.
losses() { grep '"step":' "$1/log.jsonl" | sed 's/.*"loss":\([-0-9.e]*\),.*/\1/'; }

# close_to DIR DIR [N]: their losses, the first N of them, agree to three digits.
close_to() {
    paste <(losses "$1") <(losses "$2") | head -n "${3:-1000}" |
        awk -v n="${3:-1}" '{d = $1 - $2; if (d < 0) d = -d; if (d > 1e-3 || NF != 2) {print; bad = 1}} END {exit bad || NR < n}'
}

# mpirun_here: the mpirun that was started from this test's folder; Open MPI 5's runs on as prterun.
mpirun_here() { here mpirun || here prterun; }

# here NAME [VARIABLE=VALUE]: a process of that name, and with that in its environment, that was started from this test's folder.
here() {
    local p
    for p in /proc/[0-9]*; do
        [ "$(readlink "$p/cwd")" = "$PWD" ] && [ "$(cat "$p/comm" 2> /dev/null)" = "$1" ] &&
            grep -qzx -e "${2-.*}" "$p/environ" 2> /dev/null && echo "${p#/proc/}" && return
    done
    return 1
}
