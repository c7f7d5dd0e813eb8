#!/usr/bin/env bash
# A real Slurm on one host, for tests and for trying things: one controller, some nodes with pretended GPUs.
#
#   slurm.sh start                     start it and wait until all nodes are idle
#   slurm.sh stop                      cancel all jobs of this Slurm and end its daemons
#   slurm.sh status                    what its nodes and jobs do
#   slurm.sh env                       print what a shell must export to use it
#   slurm.sh node-kill N               kill -9 the daemon of node N; what runs there runs on
#   slurm.sh node-start N              start the daemon of node N again
#   slurm.sh controller-kill           kill -9 the controller
#   slurm.sh controller-start          start the controller again
#
# Settings, from the environment:
#   SLURM_PLACE   folder for everything it writes    [/tmp/lehr-slurm-USER]
#   SLURM_PORT    the controller's port; node N takes this port + N    [16817]
#   SLURM_NODES, SLURM_NODE_CPUS, SLURM_NODE_GPUS, SLURM_NODE_MIB    [3, 4, 2, 2000]
#
# It needs the packages slurm-wlm and munge, no root, no systemd and no accounting database, and listens on
# loopback only. Nothing outside of its folder is touched; only processes that it started are ended.
set -euo pipefail

user=$(id -un)
place=${SLURM_PLACE:-/tmp/lehr-slurm-$user}
port=${SLURM_PORT:-16817}
nodes=${SLURM_NODES:-3}
cpus=${SLURM_NODE_CPUS:-4}
gpus=${SLURM_NODE_GPUS:-2}
mib=${SLURM_NODE_MIB:-2000}
# Debian keeps the daemons where ordinary users do not look.
PATH=$PATH:/usr/sbin:/sbin
export SLURM_CONF=$place/slurm.conf

die() {
    echo "error: $*" >&2
    exit 1
}

need() {
    local program
    for program in munged slurmctld slurmd sinfo scancel; do
        command -v "$program" >/dev/null || die "$program is missing: install the packages slurm-wlm and munge"
    done
}

write_configuration() {
    local host node gpu
    host=$(hostname -s)
    mkdir -p "$place"/{state,log,run}
    chmod 755 "$place"
    {
        echo "ClusterName=lehr"
        echo "SlurmctldHost=$host(127.0.0.1)"
        echo "SlurmctldPort=$port"
        echo "SlurmctldParameters=enable_configless"
        # One user for all daemons: then none of them needs to become another one.
        echo "SlurmUser=$user"
        echo "SlurmdUser=$user"
        echo "AuthType=auth/munge"
        echo "AuthInfo=socket=$place/run/munge.socket"
        echo "StateSaveLocation=$place/state"
        echo "SlurmdSpoolDir=$place/spool-%n"
        echo "SlurmctldPidFile=$place/run/controller.pid"
        echo "SlurmdPidFile=$place/run/%n.pid"
        echo "SlurmctldLogFile=$place/log/controller.log"
        echo "SlurmdLogFile=$place/log/%n.log"
        # Nothing that needs control groups, which are seldom ours to use in a container.
        echo "ProctrackType=proctrack/linuxproc"
        echo "TaskPlugin=task/none"
        echo "JobAcctGatherType=jobacct_gather/none"
        echo "AccountingStorageType=accounting_storage/none"
        echo "MpiDefault=none"
        echo "SelectType=select/cons_tres"
        echo "SelectTypeParameters=CR_Core_Memory"
        echo "SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=0,sched_min_interval=100000"
        echo "GresTypes=gpu"
        # The host has fewer cores than its nodes claim together.
        echo "SlurmdParameters=config_overrides"
        echo "ReturnToService=2"
        echo "SlurmdTimeout=8"
        echo "KillWait=3"
        echo "MinJobAge=30"
        echo "CompleteWait=0"
        echo "PropagateResourceLimits=NONE"
        for ((node = 1; node <= nodes; node++)); do
            echo "NodeName=n$node NodeHostname=$host NodeAddr=127.0.0.1 Port=$((port + node))" \
                "CPUs=$cpus RealMemory=$mib Gres=gpu:$gpus"
        done
        echo "PartitionName=main Nodes=ALL Default=YES MaxTime=1-00:00:00 State=UP"
        echo "PartitionName=short Nodes=ALL MaxTime=10 State=UP"
    } >"$SLURM_CONF"
    # A GPU is any character device of its own; nothing opens it.
    for ((node = 1; node <= nodes; node++)); do
        for ((gpu = 0; gpu < gpus; gpu++)); do
            echo "NodeName=n$node Name=gpu File=/dev/tty$((10 + gpu))"
        done
    done >"$place/gres.conf"
    echo "IgnoreSystemd=yes" >"$place/cgroup.conf"
}

start_munge() {
    if [ ! -s "$place/munge.key" ]; then
        (umask 077 && head -c 1024 /dev/urandom >"$place/munge.key")
    fi
    munged --force --key-file="$place/munge.key" --socket="$place/run/munge.socket" \
        --pid-file="$place/run/munge.pid" --log-file="$place/log/munge.log" \
        --seed-file="$place/run/munge.seed"
}

start_controller() { slurmctld -f "$SLURM_CONF" "$@"; }

start_node() {
    mkdir -p "$place/spool-n$1"
    slurmd -N "n$1" -f "$SLURM_CONF"
}

# Sends a signal to the daemon that wrote this file, if it is still that daemon.
signal_daemon() {
    local signal=$1 file=$2 name=$3 pid
    pid=$(cat "$file" 2>/dev/null) || return 0
    [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = "$name" ] || return 0
    kill "-$signal" "$pid" 2>/dev/null || return 0
}

# Ends a daemon: asks, waits five seconds, kills.
end_daemon() {
    local file=$1 name=$2 pid tries
    pid=$(cat "$file" 2>/dev/null) || return 0
    signal_daemon TERM "$file" "$name"
    for ((tries = 0; tries < 100; tries++)); do
        [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = "$name" ] || return 0
        sleep 0.05
    done
    signal_daemon KILL "$file" "$name"
}

wait_until_idle() {
    local tries
    for ((tries = 0; tries < 200; tries++)); do
        [ "$(sinfo -h -N -p main -o %T 2>/dev/null | grep -cx idle)" = "$nodes" ] && return 0
        sleep 0.05
    done
    sinfo -N >&2 || true
    tail -n 5 "$place"/log/*.log >&2 || true
    die "the nodes were not idle within 10 s; the logs are in $place/log"
}

start() {
    need
    write_configuration
    start_munge
    start_controller -c
    local node
    for ((node = 1; node <= nodes; node++)); do
        start_node "$node"
    done
    wait_until_idle
    echo "Slurm with $nodes nodes is up: export SLURM_CONF=$SLURM_CONF"
}

stop() {
    local node
    [ -e "$SLURM_CONF" ] || return 0
    timeout 5 scancel --quiet --user="$user" 2>/dev/null || true
    # What a job leaves running has KillWait to end.
    for ((node = 0; node < 40; node++)); do
        [ -z "$(timeout 5 squeue -h -o %i 2>/dev/null)" ] && break
        sleep 0.1
    done
    for ((node = 1; node <= nodes; node++)); do
        end_daemon "$place/run/n$node.pid" slurmd &
    done
    end_daemon "$place/run/controller.pid" slurmctld &
    wait
    end_daemon "$place/run/munge.pid" munged
}

number() {
    [[ ${1:-} =~ ^[0-9]+$ ]] && [ "$1" -ge 1 ] && [ "$1" -le "$nodes" ] ||
        die "\`${1:-}\` is no node: they are numbered from 1 to $nodes"
    echo "$1"
}

case ${1:-} in
start) start ;;
stop) stop ;;
status)
    sinfo -N
    squeue -r
    ;;
env) echo "export SLURM_CONF=$SLURM_CONF" ;;
node-kill) signal_daemon KILL "$place/run/n$(number "${2:-}").pid" slurmd ;;
node-start) start_node "$(number "${2:-}")" ;;
controller-kill) signal_daemon KILL "$place/run/controller.pid" slurmctld ;;
controller-start) start_controller ;;
*)
    sed -n '2,/^set -/{/^set -/d;s/^# \{0,1\}//;p}' "$0"
    exit 2
    ;;
esac
