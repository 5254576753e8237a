# shellcheck shell=bash
# A knob's declaration, and the places it stands for on this host, with the value wanted in each.

# The longest that a core may take to wake, us: beyond it an idle state is off.
wake_us=3

# The kinds of a queue's interrupt, by the name that the driver gives it: a word of these and the number of the queue.
queue_name='(txrx|tx-rx|rx|tx|input|output|comp|queue)[-._]*([0-9]{1,4})'

# load NAME: the declaration of a knob.
load() {
    name='' group='' severity='' scope='' file='' want='' rule='' accept='' offered='' metal='' unoffered='' opt_in='' boot='' hand='' unhand='' why='' cost='' source=''
    # shellcheck source=/dev/null
    source "$here/knobs/$1.sh"
}

# fill TEXT: with the roles of this host in it.
fill() {
    REPLY=$1
    REPLY=${REPLY//'{bid}'/$bid}
    REPLY=${REPLY//'{bid-count}'/$bid_count}
    REPLY=${REPLY//'{housekeeping}'/$housekeeping}
    REPLY=${REPLY//'{housekeeping-mask}'/$housekeeping_mask}
    REPLY=${REPLY//'{nic}'/$nic}
}

# places: of the knob that is loaded. PLACES has `place<TAB>wanted`; without any, NOTHING says why that is as wanted, or NOT why
# the knob says nothing about this host.
places() {
    PLACES=() NOTHING='' NOT=''
    local cpu path wanted
    if [[ -z $housekeeping && ($rule == *apart || $want == *'{housekeeping'*) ]]; then
        NOT='every CPU is a bid core'
    elif [[ -z $nic && ($file == *'{nic'* || $want == *'{queue'*) ]]; then
        NOT='no network card is known'
    fi
    [[ -z $NOT ]] || return 0
    fill "$want"
    wanted=$REPLY
    if [[ -n $offered ]]; then
        if best_offered; then wanted=$REPLY; else wanted='none offered' hand=$unoffered; fi
    fi
    case $file in
    *'{siblings}'*) places_of_siblings ;;
    *'{irqs}'*) places_of_irqs ;;
    *'{nic-irqs}'*) places_of_queues ;;
    */cpuidle/*)
        if wake_latency && ((REPLY <= wake_us)); then
            NOTHING="/dev/cpu_dma_latency is held at $REPLY us"
            return 0
        fi ;;&
    *'{bid}'*)
        for cpu in $bid_set; do places_of_path "${file//'{bid}'/$cpu}" "$wanted"; done
        if ((${#PLACES[@]} == 0)); then NOTHING="no idle state takes longer than $wake_us us"; fi ;;
    *)
        fill "$file"
        path=$REPLY
        places_of_path "$path" "$wanted" ;;
    esac
    if [[ $want == '{queue-mask}' ]]; then
        if ((${#PLACES[@]} < 2)); then PLACES=() NOT='the card has one transmit queue'; fi
    fi
}

# places_of_path PATH WANTED: those that are there; one that is not stands for itself.
places_of_path() {
    local path found=0 wanted
    if [[ $1 != *'*'* ]]; then
        PLACES+=("$1"$'\t'"$2")
        return
    fi
    # The star is a pattern on purpose.
    # shellcheck disable=SC2231
    for path in "$root"$1; do
        [[ -e $path ]] || continue
        found=1 wanted=$2
        if [[ $path == */cpuidle/* ]] && first_line "${path%/*}/latency" && number "$REPLY" && ((REPLY <= wake_us)); then
            continue
        elif [[ $want == '{queue-mask}' && $path =~ /tx-([0-9]{1,4})/ ]]; then
            queue_cpu "${BASH_REMATCH[1]}"
            as_mask "$REPLY"
            wanted=$REPLY
        fi
        PLACES+=("${path#"$root"}"$'\t'"$wanted")
    done
    if ((!found)); then PLACES+=("$1"$'\t'"$2"); fi
}

# best_offered: the first value accepted that this host offers, but for one of hardware in a guest.
best_offered() {
    local value list
    first_line "$root$offered" || return 1
    list=$REPLY
    for value in $accept; do
        [[ $value == "$metal" ]] && is_guest && continue
        if [[ " $list " == *" $value "* ]]; then REPLY=$value && return 0; fi
    done
    return 1
}

# is_guest: whether the processor tells of a hypervisor below. The first domain of Xen has the hardware.
is_guest() {
    local line
    if [[ -r $root/proc/xen/capabilities ]] && first_line "$root/proc/xen/capabilities" && [[ $REPLY == *control_d* ]]; then
        return 1
    fi
    [[ -r $root/proc/cpuinfo ]] || return 1
    while IFS= read -r line; do
        if [[ $line == flags* ]]; then [[ "$line " == *" hypervisor "* ]] && return 0; return 1; fi
    done 2>/dev/null <"$root/proc/cpuinfo"
    return 1
}

# wake_latency: the least that any process asks for by holding /dev/cpu_dma_latency, us.
wake_latency() {
    [[ -z $root || -f $root/dev/cpu_dma_latency ]] || return 1
    REPLY=$(od -An -tu4 -N4 "$root/dev/cpu_dma_latency" 2>/dev/null) || return 1
    REPLY=${REPLY//[[:space:]]/}
    [[ -n $REPLY ]]
}

# queue_cpu NUMBER: the bid core of a queue.
queue_cpu() {
    local -a cpus
    read -ra cpus <<<"$bid_set"
    REPLY=${cpus[10#$1 % ${#cpus[@]}]}
}

# Siblings of bid cores. One that is itself a bid core cannot be taken offline: then the choice of cores is what differs.
places_of_siblings() {
    local cpu sibling siblings
    for cpu in $bid_set; do
        if ! first_line "$root/sys/devices/system/cpu/cpu$cpu/topology/thread_siblings_list" || ! expand "$REPLY"; then
            PLACES+=("siblings:$cpu"$'\t'"$cpu")
            continue
        fi
        siblings=$REPLY
        for sibling in $siblings; do
            ((sibling == cpu)) && continue
            if [[ " $bid_set " == *" $sibling "* || ! -e $root/sys/devices/system/cpu/cpu$sibling/online ]]; then
                PLACES+=("siblings:$cpu"$'\t'"$cpu")
            else
                PLACES+=("/sys/devices/system/cpu/cpu$sibling/online"$'\t'0)
            fi
        done
    done
    if ((${#PLACES[@]} == 0)); then NOTHING='no bid core has a sibling'; fi
}

# irqs: the interrupts of this host in IRQS, and those of the card's queues in QUEUE_OF, by number.
irqs() {
    local path number action
    IRQS=() QUEUE_OF=()
    for path in "$root"/proc/irq/[0-9]*/smp_affinity_list; do
        [[ -e $path ]] || continue
        path=${path%/*} number=${path##*/}
        [[ $number =~ ^[0-9]{1,6}$ ]] || continue
        IRQS[number]=1
        [[ -n $nic ]] || continue
        [[ -e $root/sys/class/net/$nic/device/msi_irqs/$number || -e $root/sys/class/net/$nic/device/../msi_irqs/$number ]] || continue
        for action in "$path"/*/; do
            action=${action%/}
            shopt -s nocasematch
            if [[ ${action##*/} =~ $queue_name ]]; then QUEUE_OF[number]=${BASH_REMATCH[2]}; fi
            shopt -u nocasematch
        done
    done
}

places_of_irqs() {
    local number
    irqs
    for number in "${!IRQS[@]}"; do
        [[ -n ${QUEUE_OF[number]:-} ]] || PLACES+=("/proc/irq/$number/smp_affinity_list"$'\t'"$housekeeping")
    done
}

places_of_queues() {
    local number wanted queues=0 path
    irqs
    for path in "$root/sys/class/net/$nic/queues"/rx-*/; do [[ -e $path ]] && ((++queues)); done
    for number in "${!QUEUE_OF[@]}"; do
        wanted=$housekeeping
        if ((queues >= bid_count)) || [[ -z $housekeeping ]]; then
            queue_cpu "${QUEUE_OF[number]}"
            wanted=$REPLY
        fi
        PLACES+=("/proc/irq/$number/smp_affinity_list"$'\t'"$wanted")
    done
}
