# shellcheck shell=bash
# Sets of CPUs as the kernel writes them: lists (`0,2-5`) and masks (`ff,ffffffff`). Every function answers in REPLY.

# The most CPUs that are understood, as many as Linux can be built for.
cpus_most=8192

# expand LIST: its CPUs, ascending, with spaces between. Fails on what is no list; `(null)` is how the kernel says none.
expand() {
    local part low high cpu
    local -a parts set=()
    REPLY=''
    case $1 in '' | '(null)') return 0 ;; esac
    [[ $1 =~ ^[0-9,-]+$ ]] || return 1
    IFS=, read -ra parts <<<"$1"
    for part in "${parts[@]}"; do
        [[ $part =~ ^([0-9]{1,4})(-([0-9]{1,4}))?$ ]] || return 1
        low=$((10#${BASH_REMATCH[1]})) high=$((10#${BASH_REMATCH[3]:-${BASH_REMATCH[1]}}))
        ((low <= high && high < cpus_most)) || return 1
        for ((cpu = low; cpu <= high; cpu++)); do set[cpu]=1; done
    done
    REPLY="${!set[*]}"
}

# expand_mask MASK: the same of a mask.
expand_mask() {
    local digits=${1//,/} at digit bit
    local -a set=()
    REPLY=''
    [[ $1 =~ ^[0-9a-fA-F,]+$ && ${#digits} -ge 1 && ${#digits} -le $((cpus_most / 4)) ]] || return 1
    for ((at = ${#digits} - 1; at >= 0; at--)); do
        digit=$((16#${digits:at:1}))
        for bit in 0 1 2 3; do
            ((digit >> bit & 1)) && set[(${#digits} - 1 - at) * 4 + bit]=1
        done
    done
    REPLY="${!set[*]}"
}

# as_list CPU…: ascending CPUs as a list.
as_list() {
    local cpu first='' last='' list=''
    for cpu in "$@" end; do
        if [[ $cpu != end && -n $last ]] && ((cpu == last + 1)); then last=$cpu; continue; fi
        if [[ -n $first ]]; then
            list+=",$first"
            if ((last > first)); then list+="-$last"; fi
        fi
        first=$cpu last=$cpu
        [[ $cpu == end ]] && break
    done
    REPLY=${list#,}
}

# as_mask CPU…: CPUs as a mask, in groups of 32 bits.
as_mask() {
    local cpu group text=''
    local -a words=()
    for cpu in "$@"; do words[cpu / 32]=$((${words[cpu / 32]:-0} | 1 << cpu % 32)); done
    for ((group = 256; group >= 0; group--)); do
        if [[ -n $text ]]; then
            printf -v text '%s,%08x' "$text" "${words[group]:-0}"
        elif ((${words[group]:-0})); then
            printf -v text '%x' "${words[group]}"
        fi
    done
    REPLY=${text:-0}
}

# meet A B: whether two sets, ascending with spaces between, have a CPU in common.
meet() {
    local cpu
    for cpu in $1; do [[ " $2 " == *" $cpu "* ]] && return 0; done
    return 1
}

# within A B: whether all of A is in B.
within() {
    local cpu
    for cpu in $1; do [[ " $2 " == *" $cpu "* ]] || return 1; done
}
