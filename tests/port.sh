# free_port: a TCP port of 127.0.0.1, drawn at random, that nobody listens at now. Tests run beside each other.
free_port() {
    local port
    while port=$((10000 + SRANDOM % 20000)) && (exec 9<> "/dev/tcp/127.0.0.1/$port") 2> /dev/null; do :; done
    echo $port
}
