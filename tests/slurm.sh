# What the tests on a Slurm share (tests/slurm.bats, tests/long/slurm.bats), sourced by them: two nodes, both this machine.

TREE=$(cd "${BASH_SOURCE[0]%/*}/.." && pwd)
. "$TREE/tests/noise.sh"

setup_file() {
    PATH=$PATH:/usr/sbin
    for p in slurmctld slurmd munged sbatch mpirun; do
        command -v $p > /dev/null || { echo "no $p" > "$BATS_FILE_TMPDIR/why"; return 0; }
    done
    [ "$(id -u)" = 0 ] || { echo "slurmd wants root" > "$BATS_FILE_TMPDIR/why"; return 0; }
    export BATS_TEST_TIMEOUT=300 # Slurm's commands wait for its services
    cd "$BATS_FILE_TMPDIR" && mkdir state spool.{"$(hostname -s)",maker} photos photos/a photos/b
    for i in 0 1 2 3 4 5 6 7 8 9 10 11; do
        noisy 40 $i > photos/a/$i.ppm
        noisy 40 $((100 + i)) > photos/b/$i.ppm
    done
    export SLURM_CONF=$PWD/slurm.conf
    local host port=$((20000 + $$ % 20000))
    host=$(hostname -s)
    cat > slurm.conf <<EOT
ClusterName=twist
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=$PWD/munge.socket,cred_expire=5
SlurmctldPort=$port
SlurmdPort=$((port + 1))
StateSaveLocation=$PWD/state
SlurmdSpoolDir=$PWD/spool.%n
SlurmctldPidFile=$PWD/slurmctld.pid
SlurmdPidFile=$PWD/slurmd.%n.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
MpiDefault=pmix
# Files of PMIx are named by the job: another Slurm on this machine shall have others.
FirstJobId=$port
JobAcctGatherType=jobacct_gather/none
SlurmdParameters=config_overrides
# A machine that stands still for twenty seconds has lost the job at the default of 10.
MessageTimeout=100
SchedulerParameters=sched_interval=1,batch_sched_delay=1,bf_interval=1
SchedulerType=sched/backfill
NodeName=$host NodeAddr=127.0.0.1 CPUs=2 State=UNKNOWN
NodeName=maker NodeHostname=$host NodeAddr=127.0.0.1 Port=$((port + 2)) CPUs=2 State=UNKNOWN
PartitionName=all Nodes=$host Default=YES MaxTime=INFINITE State=UP
PartitionName=gpu Nodes=$host MaxTime=INFINITE State=UP
PartitionName=cpu Nodes=maker MaxTime=INFINITE State=UP
EOT
    head -c 128 /dev/urandom > munge.key && chmod 600 munge.key
    start munged --foreground --force --key-file="$PWD/munge.key" --socket="$PWD/munge.socket" --pid-file="$PWD/munge.pid" \
        --log-file="$PWD/munged.log" --seed-file="$PWD/munge.seed" --num-threads=1
    sleep 1
    start slurmctld -D -c
    sleep 1
    start slurmd -D -N "$host"
    start slurmd -D -N maker
    for _ in $(seq 100); do
        [ "$(sinfo -h -N -o '%N %T' 2> /dev/null | sort -u | grep -c ' idle$')" = 2 ] && return 0
        sleep 0.2
    done
    echo "Slurm does not start here: $(tail -n 1 slurmd.out slurmctld.out | tr '\n' ' ')" > why
}

# A daemon of the test, ended in teardown_file.
start() {
    "$@" >> "$1.out" 2>&1 3>&- &
    echo $! >> daemons
}

teardown_file() {
    cd "$BATS_FILE_TMPDIR" && [ -s daemons ] || return 0
    for pid in $(tac daemons); do kill "$pid" 2> /dev/null || true; done
    sleep 1
    for pid in $(cat daemons); do kill -KILL "$pid" 2> /dev/null || true; done
}

setup() {
    [ ! -e "$BATS_FILE_TMPDIR/why" ] || skip "$(cat "$BATS_FILE_TMPDIR/why")"
    export TWIST_BIN=${BIN:-$TREE/bin}
    PATH=$TWIST_BIN:$PATH:/usr/sbin
    export ASAN_OPTIONS=detect_leaks=0 # Open MPI leaves memory behind
    export SLURM_CONF=$BATS_FILE_TMPDIR/slurm.conf
    JOB=$TREE/pipelines/slurm/pretrain.sbatch
    OPTIONS="--data-path $BATS_FILE_TMPDIR/photos --aug barlow --size 32 --num_workers 1 --batch-size 4 --backbone resnet18 --hid-dim 16
        --dim 8 --epochs 4 --optim sgd --lr 0.005 --precision fp32 --bunch-size 4 --threads 1 --output_dir"
    cd "$BATS_TEST_TMPDIR"
}

# Until the command succeeds; after two minutes without, what Slurm says of the job $id, and the job itself.
until_is() {
    for _ in $(seq 1200); do
        "$@" > /dev/null 2>&1 && return 0
        sleep 0.1
    done
    echo "not within two minutes: $*"
    { squeue; scontrol show job "$id"; sinfo -N -o '%N %T %E'; tail -n 20 job.out "$BATS_FILE_TMPDIR"/{slurmctld,slurmd}.out; } || true
    return 1
}

steps() { [ "$(grep -c '"step":' "$2/log.jsonl")" -ge "$1" ]; }
gone() { [ -z "$(squeue -h -j "$1" 2> /dev/null)" ]; }
# A heterogeneous job is only started by the backfill scheduler, which looks again when a job has changed, not when one may start by now: on a cluster
# with nothing else to do somebody has to touch it.
nudged_gone() { scontrol update JobId="$1" Comment="$RANDOM" 2> /dev/null; gone "$1"; }
queued() { squeue -h -j "$1" -o %T | grep -q PENDING; }
