# Goal: on a Slurm of Debian's packages, started here for the test alone (two nodes, both this machine), srun starts the ranks, and a job that is
# warned, also one of two parts that make views and train, stops with a checkpoint, goes into the queue again and ends with the weights of one
# that was never stopped.

setup_file() {
    PATH=$PATH:/usr/sbin
    for p in slurmctld slurmd munged sbatch mpirun; do
        command -v $p > /dev/null || { echo "no $p" > "$BATS_FILE_TMPDIR/why"; return 0; }
    done
    [ "$(id -u)" = 0 ] || { echo "slurmd wants root" > "$BATS_FILE_TMPDIR/why"; return 0; }
    export BATS_TEST_TIMEOUT=300 # Slurm's commands wait for its services
    cd "$BATS_FILE_TMPDIR" && mkdir state spool.{"$(hostname -s)",maker} photos photos/a photos/b
    for i in 0 1 2 3 4 5 6 7 8 9 10 11; do
        for d in a b; do { printf 'P6 40 40 255\n'; head -c 4800 /dev/urandom; } > photos/$d/$i.ppm; done
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
JobAcctGatherType=jobacct_gather/none
SlurmdParameters=config_overrides
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
    export TWIST_BIN=${BIN:-$BATS_TEST_DIRNAME/../bin}
    PATH=$TWIST_BIN:$PATH:/usr/sbin
    export ASAN_OPTIONS=detect_leaks=0 # Open MPI leaves memory behind
    export SLURM_CONF=$BATS_FILE_TMPDIR/slurm.conf
    JOB=$BATS_TEST_DIRNAME/../pipelines/slurm/pretrain.sbatch
    OPTIONS="--data-path $BATS_FILE_TMPDIR/photos --aug barlow --size 32 --num_workers 1 --batch-size 4 --backbone resnet18 --hid-dim 16
        --dim 8 --epochs 4 --optim sgd --lr 0.005 --precision fp32 --bunch-size 4 --threads 1 --output_dir"
    cd "$BATS_TEST_TMPDIR"
}

# Until the command succeeds.
until_is() {
    for _ in $(seq 600); do
        "$@" > /dev/null 2>&1 && return 0
        sleep 0.1
    done
    return 1
}

steps() { [ "$(grep -c '"step":' "$2/log.jsonl")" -ge "$1" ]; }
gone() { [ -z "$(squeue -h -j "$1" 2> /dev/null)" ]; }
# A heterogeneous job is only started by the backfill scheduler, which looks again when a job has changed, not when one may start by now: on a cluster
# with nothing else to do somebody has to touch it.
nudged_gone() { scontrol update JobId="$1" Comment="$RANDOM" 2> /dev/null; gone "$1"; }
queued() { squeue -h -j "$1" -o %T | grep -q PENDING; }

@test "a job that is warned goes on by itself, to the weights of one never stopped" {
    timeout -k 5 120 srun -n2 --mpi=pmix "$BATS_TEST_DIRNAME/../pipelines/pretrain" $OPTIONS straight 2> said || { cat said; false; }
    id=$(sbatch --parsable -o job.out --time=10 "$JOB" $OPTIONS run)
    until_is steps 2 run
    scancel --signal=USR1 "$id"
    until_is queued "$id"
    cat job.out
    grep -q 'stopped by signal 10 after step' job.out
    until_is gone "$id"
    cat job.out
    [ "$(grep -c 'going on from' job.out)" -eq 1 ]
    [ "$(grep -c '"step":' run/log.jsonl)" -eq 12 ]
    cmp run/backbone.safetensors straight/backbone.safetensors
}

@test "a failure is no reason to try again" {
    id=$(sbatch --parsable -o job.out --time=10 "$JOB" $OPTIONS run --backbone no-such)
    until_is gone "$id"
    cat job.out
    grep -q 'twist-train: rank [01]: no-such: unknown backbone' job.out
    ! grep -q 'into the queue again' job.out || false
}

@test "a farm as a heterogeneous job, warned, goes on by itself, to the weights of one machine" {
    local train=(--backbone=resnet18 --hid-dim=16 --dim=8 --epochs=6 --optim=sgd --lr=0.005 --precision=fp32 --bunch-size=4 --batch-size=4 --threads=1)
    twist-train -q -o straight "${train[@]}" -i "pipe:twist-decode --shuffle --epochs=6 $BATS_FILE_TMPDIR/photos | twist-augment --aug=barlow --size=64"
    export DATA=$BATS_FILE_TMPDIR/photos OUT=$PWD/run EPOCHS=6 AUG="--aug=barlow --size=64" ARGS="${train[*]}" PORT=$((10000 + $$ % 10000))
    id=$(sbatch --parsable -o job.out --time=10 --cpus-per-task=1 --ntasks-per-node=1 --gpus-per-node=0 : --nodes=1 --time=10 --cpus-per-task=1 \
        "$BATS_TEST_DIRNAME/../pipelines/slurm/farm")
    [ "$(scontrol show job "$id" | grep -c 'Partition=[gc]pu')" -eq 2 ]
    until_is steps 2 run || { squeue; scontrol show job "$id"; cat job.out; false; }
    scancel --signal=USR1 --batch "$id"
    until_is queued "$id"
    cat job.out
    grep -q 'stopped by signal 10 after step' job.out
    until_is nudged_gone "$id" || { squeue; cat job.out; false; }
    cat job.out
    [ "$(grep -c 'going on from' job.out)" -eq 1 ]
    [ "$(grep -c '"step":' run/log.jsonl)" -eq 36 ]
    cmp run/backbone.safetensors straight/backbone.safetensors
}
