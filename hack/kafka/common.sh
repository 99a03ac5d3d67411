# Where a broker lies and how it is told from others; read by up and down.
# HEADRACE_CACHE: what outlives brokers, as kafka/ (default ~/.cache/headrace)
# HEADRACE_KAFKA_STATE: the folder of one broker, its messages too (default $HEADRACE_CACHE/kafka/broker)
# HEADRACE_KAFKA_PORT: its port; the next one is its controller's (default 9092)
# HEADRACE_KAFKA_HEAP_MEGABYTES: the most memory that Java may take for objects (default 512)
# shellcheck shell=bash
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${HEADRACE_CACHE:-$HOME/.cache/headrace}/kafka
state=$(realpath -m "${HEADRACE_KAFKA_STATE:-$cache/broker}")
port=${HEADRACE_KAFKA_PORT:-9092}
heap=${HEADRACE_KAFKA_HEAP_MEGABYTES:-512}

. "$here/../processes.sh"
