# Shared by the scripts that look into a bidder: one that runs, or one of their own under load. Source it; do not run it.
#
# `look "$@"` reads the options and sets pid, tid (of one thread) and admin; afterwards `requests` counts what that thread has served.
#   --pid P        a bidder that runs; without it, one is built and started with --demo=1000, and loaded
#   --admin A      its admin port (127.0.0.1:9090)
#   --thread NAME  whose thread: bid-0, reconcile, … (bid-0)
#   --seconds N    for how long (10)
#   --out FILE     where the result goes
#   --rate R       of the load; left out, as much as it takes
#   --binary BIN   the program to start, instead of a release build
#   --server-cpu N, --load-cpu N  whom the CPUs belong to (1 and 0)
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

pid= tid= admin= thread=bid-0 seconds=10 out= rate= binary= server_cpu=1 load_cpu=0
session_dir=$(mktemp -d)
session_server= session_load=
session_end() {
    local process
    for process in $session_load $session_server; do kill "$process" 2>/dev/null && wait "$process" 2>/dev/null || true; done
    rm -rf "$session_dir"
}
trap session_end EXIT

look() {
    while (($#)); do
        [ $# -ge 2 ] || die "$1: an option and its value are wanted"
        case $1 in
            --pid) pid=$2 ;; --admin) admin=$2 ;; --thread) thread=$2 ;; --seconds) seconds=$2 ;; --out) out=$2 ;; --rate) rate=$2 ;;
            --binary) binary=$2 ;; --server-cpu) server_cpu=$2 ;; --load-cpu) load_cpu=$2 ;;
            *) die "unknown option $1" ;;
        esac
        shift 2
    done
    if [ -n "$pid" ]; then admin=${admin:-127.0.0.1:9090}; else session_start; fi
    local task
    for task in /proc/"$pid"/task/*; do
        if [ "$(cat "$task/comm" 2>/dev/null)" = "$thread" ]; then tid=${task##*/}; fi
    done
    [ -n "$tid" ] || die "process $pid has no thread $thread"
}

session_start() {
    [ "$(nproc)" -ge 2 ] || die "this needs two CPUs: one for the server, one for the generator"
    if [ -z "$binary" ]; then need_rust; cargo build --release --locked --quiet; binary=target/release/corebid; fi
    local listen=127.0.0.1:18341 word
    admin=127.0.0.1:18342
    mkfifo "$session_dir/out"
    "$binary" serve --demo=1000 --data "$session_dir/data" --listen $listen --admin $admin --cores "$server_cpu" \
        --reconcile-core "$load_cpu" --wait block >"$session_dir/out" 2>"$session_dir/log" &
    session_server=$! pid=$!
    read -r word <"$session_dir/out" && [ "$word" = ready ] || { cat "$session_dir/log" >&2; die "the bidder did not start"; }
    local pace=(--saturate)
    [ -z "$rate" ] || pace=(--rate "$rate")
    # Longer than anybody looks; it ends with the session.
    "$binary" load --url http://$listen/openrtb/generic --core "$load_cpu" "${pace[@]}" --seconds $((seconds * 2 + 60)) \
        >/dev/null 2>&1 &
    session_load=$!
    # Caches, the profile shard and the branch predictors know the load by then.
    sleep 2
}

# Bid requests that the thread has framed since it started; of all bid cores if the thread is not one.
requests() {
    need curl curl
    local core=${thread#bid-}
    [ "$core" != "$thread" ] || core='[0-9]*'
    curl -sf "http://$admin/metrics" | sed -n "s/^corebid_requests_total{core=\"$core\"} //p" | awk '{ sum += $1 } END { print sum + 0 }'
}

# Folds stacks and draws them: flame graphs.
need_inferno() {
    need_rust
    PATH=$PWD/target/inferno/bin:$PATH
    command -v inferno-flamegraph >/dev/null && return
    say "building inferno"
    cargo install --quiet --locked --root target/inferno --version 0.12.8 inferno
}

