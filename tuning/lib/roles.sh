# shellcheck shell=bash
# Which CPUs are bid cores, which keep house, and which network card the exchanges come by.

# roles: from the settings, or as `corebid serve` chooses by default. Sets bid, bid_set, bid_count, housekeeping, housekeeping_mask, nic.
roles() {
    local online cpu
    local -a rest=() words
    first_line "$root/sys/devices/system/cpu/online" && expand "$REPLY" && [[ -n $REPLY ]] ||
        fail 1 "$root/sys/devices/system/cpu/online: the CPUs of this host cannot be read"
    online=$REPLY
    if [[ -n $bid_cores ]]; then
        expand "$bid_cores" || fail 2 "--bid-cores $bid_cores: no list of CPUs"
        bid_set=$REPLY
    else
        # All but the first, sixteen at most.
        read -ra words <<<"$online"
        bid_set=${words[*]:1:16}
        bid_set=${bid_set:-$online}
    fi
    [[ -n $bid_set ]] || fail 2 'there is no bid core'
    for cpu in $bid_set; do
        within "$cpu" "$online" || fail 2 "CPU $cpu is not online"
    done
    if [[ -n $housekeeping ]]; then
        expand "$housekeeping" || fail 2 "--housekeeping $housekeeping: no list of CPUs"
        read -ra rest <<<"$REPLY"
        for cpu in "${rest[@]}"; do
            within "$cpu" "$online" || fail 2 "CPU $cpu is not online"
            ! within "$cpu" "$bid_set" || fail 2 "CPU $cpu cannot keep house: it is a bid core"
        done
    else
        for cpu in $online; do within "$cpu" "$bid_set" || rest+=("$cpu"); done
    fi
    read -ra words <<<"$bid_set"
    bid_count=${#words[@]}
    as_list "${words[@]}"
    bid=$REPLY
    as_list "${rest[@]}"
    housekeeping=$REPLY
    as_mask "${rest[@]}"
    housekeeping_mask=$REPLY
    if [[ -n $nic ]]; then
        [[ $nic =~ ^[A-Za-z0-9_.@-]{1,15}$ && $nic != .* ]] || fail 2 "--nic $nic: no name of a network card"
    else
        default_nic
    fi
}

# default_nic: the one of the default route.
default_nic() {
    local interface destination
    [[ -r $root/proc/net/route ]] || return 0
    while read -r interface destination _; do
        if [[ $destination == 00000000 && $interface =~ ^[A-Za-z0-9_@-][A-Za-z0-9_.@-]{0,14}$ ]]; then
            nic=$interface
            return 0
        fi
    done <"$root/proc/net/route"
}
