# Goal: on a Slurm of Debian's packages, started here for the test alone (two nodes, both this machine), srun starts the ranks, and a job that is
# warned, also one of two parts that make views and train, stops with a checkpoint, goes into the queue again and ends with the weights of one
# that was never stopped.

. "$BATS_TEST_DIRNAME/slurm.sh"
. "$BATS_TEST_DIRNAME/port.sh"

@test "a job that is warned goes on by itself, to the weights of one never stopped" {
    timeout -k 5 120 srun -n2 --mpi=pmix "$TREE/pipelines/pretrain" $OPTIONS straight 2> said || { cat said; false; }
    id=$(sbatch --parsable -o job.out --time=10 "$JOB" $OPTIONS run)
    until_is steps 2 run
    scancel --signal=USR1 "$id"
    until_is queued "$id"
    cat job.out
    grep -q 'stopped by signal 10 after step' job.out
    until_is gone "$id"
    cat job.out
    [ "$(grep -c 'continuing from' job.out)" -eq 1 ]
    [ "$(grep -c '"step":' run/log.jsonl)" -eq 12 ]
    cmp run/backbone.safetensors straight/backbone.safetensors
}

@test "a job that is cancelled stops with a checkpoint and does not come back" {
    id=$(sbatch --parsable -o job.out --time=10 "$JOB" $OPTIONS run --epochs 100000)
    until_is steps 2 run
    scancel "$id"
    until_is gone "$id"
    cat job.out
    grep -q 'pretrain.sbatch: cancelled' job.out
    [ "$(scontrol show job "$id" | grep -c 'JobState=CANCELLED')" -eq 1 ]
    [ -s run/checkpoint.safetensors ]
}

@test "a failure is no reason to try again" {
    id=$(sbatch --parsable -o job.out --time=10 "$JOB" $OPTIONS run --backbone no-such)
    until_is gone "$id"
    cat job.out
    grep -q 'twist-train: --backbone=no-such: unknown backbone' job.out
    ! grep -q 'into the queue again' job.out || false
}

@test "a job whose tasks could not be started has failed, whatever srun returns" {
    mkdir stand-in
    printf '#!/bin/sh\necho "task 0 launch failed" >&2\n' > stand-in/srun
    chmod +x stand-in/srun
    id=$(PATH=$PWD/stand-in:$PATH sbatch --parsable -o job.out --time=10 "$JOB" $OPTIONS run)
    until_is gone "$id"
    cat job.out
    grep -q 'launch failed' job.out
    grep -q 'pretrain.sbatch: srun has run nothing' job.out
    [ "$(scontrol show job "$id" | grep -c 'JobState=FAILED')" -eq 1 ]
}

# A farm of so many epochs as the job $id, one node for each part.
FARM=(--backbone=resnet18 --hid-dim=16 --dim=8 --optim=sgd --lr=0.005 --precision=fp32 --bunch-size=4 --batch-size=4 --threads=1)
submit_farm() {
    export DATA=$BATS_FILE_TMPDIR/photos OUT=$PWD/run EPOCHS=$1 AUG="--aug=barlow --size=64" ARGS="${FARM[*]}" PORT
    PORT=$(free_port)
    id=$(sbatch --parsable -o job.out --time=10 --cpus-per-task=1 --ntasks-per-node=1 --gpus-per-node=0 : --nodes=1 --time=10 --cpus-per-task=1 \
        "$TREE/pipelines/slurm/farm")
}

@test "a farm as a heterogeneous job, warned, goes on by itself, to the weights of one machine" {
    FARM+=(--mme_epochs 4) # the views' too
    twist-train -q -o straight "${FARM[@]}" --epochs=6 -i "pipe:twist-decode --shuffle --epochs=6 $BATS_FILE_TMPDIR/photos |
        twist-augment --aug=barlow --size=64 --mme-epochs=4"
    submit_farm 6
    [ "$(scontrol show job "$id" | grep -c 'Partition=[gc]pu')" -eq 2 ]
    until_is steps 2 run
    scancel --signal=USR1 --batch "$id"
    until_is queued "$id"
    cat job.out
    grep -q 'stopped by signal 10 after step' job.out
    until_is nudged_gone "$id"
    cat job.out
    [ "$(grep -c 'continuing from' job.out)" -eq 1 ]
    [ "$(grep -c '"step":' run/log.jsonl)" -eq 36 ]
    cmp run/backbone.safetensors straight/backbone.safetensors
}

@test "a farm that is cancelled stops with a checkpoint and does not come back" {
    mkdir -p -m 700 run/keys
    twist-feed keygen run/keys/head # as a job leaves them that is ended while it makes them
    submit_farm 100000
    until_is steps 2 run
    scancel "$id"
    until_is gone "$id"
    cat job.out
    grep -q 'farm: cancelled' job.out
    ! grep -q 'back into the queue' job.out || false
    [ -s run/checkpoint.safetensors ]
}
