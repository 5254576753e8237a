# shellcheck shell=bash
# What a place holds, what may be put there, and whether that is what is wanted. Answers are in REPLY.
#
# A place is a file, or one of: `cmdline:NAME` (a parameter of the running kernel), `process:NAME` (absent or running), `swaps:`
# (none or how many), `ethtool:NIC:NAME`, `siblings:CPU` (the threads of its core). Only files and ethtool's can be put.

# first_line FILE
first_line() {
    REPLY=''
    [[ -f $1 && -r $1 ]] || return 1
    # A file of the kernel may refuse to be read though its mode says otherwise.
    { IFS= read -r REPLY || [[ -n $REPLY ]]; } 2>/dev/null <"$1"
}

# selected TEXT: of `always [madvise] never` the word that holds.
selected() {
    REPLY=$1
    [[ $1 =~ \[([A-Za-z0-9_+-]+)\] ]] && REPLY=${BASH_REMATCH[1]}
    return 0
}

# raw PLACE: what it holds, to the letter, as it is recorded. Fails where it cannot be read.
raw() {
    local name comm running=0
    case $1 in
    cmdline:*)
        first_line "$root/proc/cmdline" || return 1
        local word value=''
        for word in $REPLY; do [[ $word == "${1#cmdline:}="* ]] && value=${word#*=}; done
        REPLY=$value ;;
    process:*)
        [[ -r $root/proc/1/comm ]] || return 1
        for comm in "$root"/proc/[0-9]*/comm; do
            first_line "$comm" && [[ $REPLY == "${1#process:}" ]] && running=1
        done
        REPLY=absent
        if ((running)); then REPLY=running; fi ;;
    swaps:)
        [[ -r $root/proc/swaps ]] || return 1
        local -a lines
        mapfile -t lines <"$root/proc/swaps"
        REPLY=none
        ((${#lines[@]})) || return 1
        if ((${#lines[@]} > 1)); then REPLY=$((${#lines[@]} - 1)); fi ;;
    siblings:*) first_line "$root/sys/devices/system/cpu/cpu${1#siblings:}/topology/thread_siblings_list" ;;
    ethtool:*) IFS=: read -r _ nic_name name <<<"$1" && ethtool_read "$nic_name" "$name" ;;
    *) first_line "$root$1" ;;
    esac
}

# current PLACE: the value it holds.
current() {
    raw "$1" || return 1
    case $1 in
    /*) selected "$REPLY" ;;
    esac
}

# put VALUE PLACE
put() {
    local nic_name name
    case $2 in
    ethtool:*)
        IFS=: read -r _ nic_name name <<<"$2"
        ethtool_write "$nic_name" "$name" "$1" ;;
    /*) { printf '%s\n' "$1" >"$root$2"; } 2>/dev/null ;;
    *) return 1 ;;
    esac
}

# ethtool_read NIC NAME
ethtool_read() {
    local line section='' found=''
    local -a lines
    REPLY=''
    [[ -n $ethtool ]] || return 1
    case $2 in combined) local option=-l ;; *) local option=-c ;; esac
    mapfile -t lines < <("$ethtool" "$option" "$1" 2>/dev/null)
    for line in "${lines[@]}"; do
        [[ $line == Current* ]] && section=current
        case $2:$line in
        combined:Combined:*) [[ -n $section ]] && found=${line#*:} ;;
        adaptive-rx:"Adaptive RX:"*) found=${line#*:} && found=${found%%TX*} ;;
        rx-usecs:rx-usecs:*) found=${line#*:} ;;
        esac
    done
    REPLY=${found//[[:space:]]/}
    [[ -n $REPLY && $REPLY != n/a ]]
}

# ethtool_write NIC NAME VALUE
ethtool_write() {
    [[ -n $ethtool ]] || return 1
    case $2 in
    combined) "$ethtool" -L "$1" combined "$3" 2>/dev/null ;;
    *) "$ethtool" -C "$1" "$2" "$3" 2>/dev/null ;;
    esac
}

# number TEXT: in REPLY without leading zeros. Fails on what is none, or more than bash can count with.
number() {
    [[ $1 =~ ^(-?)0*([0-9]{1,18})$ ]] || return 1
    REPLY=${BASH_REMATCH[1]}${BASH_REMATCH[2]}
}

# holds RULE CURRENT WANT ACCEPT: 0 as wanted, 1 otherwise, 2 the value cannot be understood.
holds() {
    local have low high from to
    case $1 in
    is)
        if [[ -n $2 ]] && number "$3"; then number "$2" || return 2; ((REPLY == $3)); return; fi
        [[ $2 =~ ^[A-Za-z0-9_+,:.-]{0,200}$ ]] || return 2
        [[ $2 == "$3" ]] ;;
    oneof)
        [[ $2 =~ ^[A-Za-z0-9_+,:.-]{1,200}$ ]] || return 2
        [[ " $4 " == *" $2 "* ]] ;;
    atleast) number "$2" || return 2; ((REPLY >= $3)) ;;
    atmost) number "$2" || return 2; ((REPLY <= $3)) ;;
    span)
        [[ $2 =~ ^([0-9]{1,6})[[:space:]]+([0-9]{1,6})$ ]] || return 2
        low=$((10#${BASH_REMATCH[1]})) high=$((10#${BASH_REMATCH[2]}))
        read -r from to <<<"$3"
        ((high - low >= to - from)) ;;
    cpus) expand "$2" || return 2; have=$REPLY; expand "$3"; [[ $have == "$REPLY" ]] ;;
    covers)
        [[ $2 == all ]] && return 0
        expand "$2" || return 2; have=$REPLY; expand "$3"; within "$REPLY" "$have" ;;
    apart) expand "$2" || return 2; ! meet "$bid_set" "$REPLY" ;;
    mask) expand_mask "$2" || return 2; have=$REPLY; expand_mask "$3"; [[ $have == "$REPLY" ]] ;;
    mask-apart) expand_mask "$2" || return 2; ! meet "$bid_set" "$REPLY" ;;
    *) return 2 ;;
    esac
}
