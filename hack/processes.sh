# What scripts need that start programs of this machine, and end no others: each has a pid file and a log in $state, which
# the script that reads this has set, and the path of $state in its command line.
# shellcheck shell=bash

fail() {
  echo "${0##*/}: $*" >&2
  exit 1
}

# Debian's packages for programs that are missing: PROGRAM=PACKAGE…
install_missing() {
  local pair missing=()
  for pair in "$@"; do
    command -v "${pair%%=*}" > /dev/null || [ -e "${pair%%=*}" ] || missing+=("${pair#*=}")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  command -v apt-get > /dev/null || fail "these Debian packages or what stands for them are missing, and there is no apt-get: ${missing[*]}"
  [ "$(id -u)" = 0 ] || fail "these Debian packages are missing: ${missing[*]}; install them, or run this as root"
  echo "installing Debian packages: ${missing[*]}"
  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"; } \
    > /tmp/headrace-apt.log 2>&1 || fail "apt-get failed: $(tail -3 /tmp/headrace-apt.log)"
}

# Whether the process of a pid file lives and belongs here: its command line names the folder.
lives() {  # name
  local pid
  pid=$(cat "$state/$1.pid" 2>/dev/null) && grep -qzF -- "$state" "/proc/$pid/cmdline" 2>/dev/null
}

is_taken() { (: < "/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# A component in a session of its own, so that no Ctrl-C or closed terminal of its starter ends it.
start() {  # name command…
  local name=$1
  shift
  setsid "$@" < /dev/null > "$name.log" 2>&1 &
  echo $! > "$name.pid"
}

wait_for() {  # seconds component what command…
  local deadline=$((SECONDS + $1)) component=$2 what=$3
  shift 3
  until "$@" > /dev/null 2>&1; do
    sleep 0.2  # and not after the next line: a process that was just made has its maker's command line
    lives "$component" || fail "$component ended while waited for $what: $(tail -n 3 "$component.log")"
    [ $SECONDS -lt "$deadline" ] || fail "no $what in time; the last of $component: $(tail -n 3 "$component.log")"
  done
}

stop() {  # name
  lives "$1" || return 0
  local pid
  pid=$(cat "$1.pid")
  kill "$pid" 2>/dev/null
  for _ in $(seq 100); do
    lives "$1" || return 0
    sleep 0.1
  done
  kill -9 "$pid" 2>/dev/null
}
