# Shared by the scripts: installs what is missing, quietly, and only what is missing. Source it; do not run it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { printf '\033[1m%s\033[0m\n' "$*" >&2; }
die() { printf '%s: %s\n' "$(basename "$0")" "$*" >&2; exit 1; }

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"
    elif command -v sudo >/dev/null; then sudo "$@"
    else die "installing packages needs root or sudo: $*"
    fi
}

# need COMMAND PACKAGE …: installs the Debian packages that a command comes from, unless it is there.
need() {
    local command=$1; shift
    command -v "$command" >/dev/null && return
    command -v apt-get >/dev/null || die "'$command' is missing and this is no Debian: install the equivalent of '$*'"
    say "installing $*"
    if [ -z "${apt_updated:-}" ]; then as_root apt-get update -qq; apt_updated=1; fi
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

# The pinned Rust toolchain, with rustup where there is no Rust at all (Debian 12 ships one too old).
need_rust() {
    need cc build-essential
    local bin=${CARGO_HOME:-$HOME/.cargo}/bin
    [ -d "$bin" ] && PATH="$bin:$PATH"
    if ! command -v cargo >/dev/null; then
        need curl curl ca-certificates
        say "installing Rust with rustup"
        curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y -q --profile minimal --default-toolchain none >/dev/null
        PATH="$bin:$PATH"
    fi
    export PATH
}

# The npm packages of a folder, as its lock file has them.
need_packages() {
    need npm nodejs npm
    [ "$1/node_modules/.package-lock.json" -nt "$1/package-lock.json" ] && return
    say "installing the npm packages of $1"
    npm ci --prefix "$1" --silent --no-audit --no-fund
}

# Valkey 8, for the tests that start servers of their own. Debian 12 has it in its backports.
need_valkey() {
    command -v valkey-server >/dev/null && return
    need apt-cache apt
    if [ -z "${apt_updated:-}" ]; then as_root apt-get update -qq; apt_updated=1; fi
    if ! apt-cache policy valkey-server | grep -q 'Candidate: [0-9]'; then
        local codename; codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
        [ "$codename" = bookworm ] || die "this system has no package valkey-server: install Valkey 8 by hand"
        say "adding Debian's backports"
        echo "deb http://deb.debian.org/debian $codename-backports main" |
            as_root tee /etc/apt/sources.list.d/backports.list >/dev/null
        as_root apt-get update -qq
    fi
    need valkey-server valkey-server
    # The package starts one for the whole machine, which nobody here asked for.
    if [ -d /run/systemd/system ]; then as_root systemctl disable --quiet --now valkey-server; fi
}

# need_jars POM PLACE: the Java libraries that a pom asks for, through Maven, and what runs them.
need_jars() {
    local pom=$1 lib=$2
    need java default-jre-headless
    # Filled aside and renamed: a folder that is there is whole.
    if [ -d "$lib" ] && [ ! "$pom" -nt "$lib" ]; then return; fi
    need mvn maven default-jre-headless
    say "fetching what $pom asks for"
    rm -rf "$lib" "$lib.new"
    mvn -q -B -f "$pom" dependency:copy-dependencies -DoutputDirectory="$PWD/$lib.new" >/dev/null
    touch "$lib.new"
    mv "$lib.new" "$lib"
}

# Amazon's DynamoDB Local, for the tests that start servers of their own.
need_dynamodb_local() { need_jars tests/support/dynamodb/pom.xml target/dynamodb-local/lib; }

# HdrHistogram's own tools, for the test that reads a log of the load generator with them.
need_hdrhistogram() { need_jars tests/oracle/hdrhistogram/pom.xml target/hdrhistogram/lib; }

# Prometheus and its promtool, for the alert rules: their tests, and the drills.
need_prometheus() {
    command -v promtool >/dev/null && command -v prometheus >/dev/null && return
    need promtool prometheus
    # As with Valkey: nobody asked for one that runs.
    if [ -d /run/systemd/system ]; then as_root systemctl disable --quiet --now prometheus; fi
}

# need_python [REQUIREMENTS [PLACE]]: Python with these packages, in an environment of its own; scripts/requirements.txt in target/python.
need_python() {
    local requirements=${1:-scripts/requirements.txt} place=${2:-target/python}
    # The mark is made last: an environment that has it is whole.
    if cmp -s "$requirements" "$place/installed"; then return; fi
    need python3 python3
    # Debian has the parts of an environment, and of LightGBM its threads, in packages that bring no command.
    python3 -c 'import ensurepip, venv' 2>/dev/null || need ensurepip python3-venv
    ldconfig -p | grep -q 'libgomp\.so\.1' || need libgomp libgomp1
    say "installing the Python packages of $requirements"
    rm -rf "$place"
    python3 -m venv "$place"
    "$place/bin/python" -m pip install --quiet --disable-pip-version-check --no-compile --requirement "$requirements"
    cp "$requirements" "$place/installed"
}
