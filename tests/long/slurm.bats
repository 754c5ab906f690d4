# Goal: Slurm itself warns a job whose time is nearly up (--signal=USR1@90 in the script), and that goes on in its next time: what tests/slurm.bats
# does with scancel.

. "$BATS_TEST_DIRNAME/../slurm.sh"

restarted() { scontrol show job "$1" | grep -q 'Restarts=1 '; }

@test "a job whose time is nearly up stops with a checkpoint and goes on in the next" {
    id=$(sbatch --parsable -o job.out --time=2 "$JOB" $OPTIONS run --epochs 100000)
    until_is grep -q 'stopped by signal 10 after step' job.out
    until_is restarted "$id"
    until_is grep -q 'continuing from' job.out
    until_is steps $(($(grep -o 'after step [0-9]*' job.out | grep -o '[0-9]*') + 5)) run
    scancel "$id"
    until_is gone "$id"
    cat job.out
    [ "$(grep -c 'stopped by signal 10' job.out)" -eq 1 ]
    [ "$(grep -o '"step":[0-9]*' run/log.jsonl | sort | uniq -d | wc -l)" -eq 0 ] # no step twice
}
