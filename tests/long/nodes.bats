# Goal: ranks on two nodes do all that tests/ranks.bats asks of ranks on one. The nodes are network namespaces, each with a name and an address of
# its own, in which mpirun's daemons are started as ssh would; between them there is TCP alone.

SUBNET=10.213.7

setup_file() {
    [ "$(id -u)" = 0 ] && command -v ip unshare mpirun > /dev/null || return 0
    ip link add twist-net type bridge || return 0
    ip addr add $SUBNET.1/24 dev twist-net
    ip link set twist-net up
    for i in 2 3; do
        ip netns add twist-node$i
        ip link add twist-v$i type veth peer name eth0 netns twist-node$i
        ip link set twist-v$i master twist-net up
        ip -n twist-node$i addr add $SUBNET.$i/24 dev eth0
        ip -n twist-node$i link set eth0 up
        ip -n twist-node$i link set lo up
    done
}

teardown_file() {
    for i in 2 3; do
        ip netns pids twist-node$i 2> /dev/null | xargs -r kill -9
        ip link del twist-v$i 2> /dev/null || true # which the namespace would keep as long as somebody is in it
        ip netns del twist-node$i 2> /dev/null || true
    done
    ip link del twist-net 2> /dev/null || true
}

@test "tests/ranks.bats, its ranks on two nodes" {
    ip netns list 2> /dev/null | grep -q twist-node3 || skip "no network namespaces here: they want root, ip and unshare"
    BIN=$(cd "${BIN:-$BATS_TEST_DIRNAME/../../bin}" && pwd)
    cd "$BATS_TEST_TMPDIR"
    mkdir bin
    cat > bin/agent << 'A'
#!/bin/sh
node=$1
shift
exec ip netns exec "$node" unshare --uts sh -c "hostname $node; $*"
A
    cat > bin/mpirun << A
#!/bin/sh
exec $(command -v mpirun) --mca plm_rsh_agent $PWD/bin/agent --mca oob_tcp_if_include $SUBNET.0/24 --mca btl_tcp_if_include $SUBNET.0/24 \
    --mca btl self,tcp -H twist-node2:4,twist-node3:4 --map-by node -x PATH -x TWIST_BIN "\$@"
A
    chmod +x bin/agent bin/mpirun
    PATH=$PWD/bin:$PATH
    OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 mpirun -n 2 hostname | sort > names
    cat names
    [ "$(tr '\n' ' ' < names)" = "twist-node2 twist-node3 " ]
    BIN=$BIN bats "$BATS_TEST_DIRNAME/../ranks.bats" > log || { cat log; false; }
    cat log
    [ "$(grep -c '^ok' log)" -ge 11 ]
    [ "$(grep -c '# skip' log)" -eq 0 ]
}
