# shellcheck shell=bash
# apply and undo, and the record between them: a file for each knob, a line for each place, `place<TAB>what was there`.
#
# The record is whole and in its place before the first value is changed, so that an apply that is cut short can be undone. A
# second apply adds places that are new and leaves the others: what is recorded is what was there before the first.

# open_state: the folder of the records. Whoever can write to it says what undo writes as root.
open_state() {
    [[ -d $state ]] || mkdir -p -m 700 "$state" || fail 1 "$state: cannot be made"
    [[ -O $state && -w $state ]] || fail 1 "$state: belongs to somebody else"
}

# told: what there is to do by hand for the knob that is loaded; fails if there is nothing.
told() {
    if [[ -n $boot ]]; then
        fill "$boot"
        REPLY="kernel command line: $REPLY, then reboot"
    elif [[ -n $hand ]]; then
        REPLY=$hand
    else
        return 1
    fi
}

# record KNOB ENTRY…: what the places of these entries hold, unless it is recorded.
record() {
    local knob=$1 entry place line
    local -a lines=()
    local -A recorded=()
    shift
    if [[ -f $state/$knob ]]; then
        mapfile -t lines <"$state/$knob"
        for line in "${lines[@]}"; do recorded[${line%%$'\t'*}]=1; done
    fi
    for entry in "$@"; do
        place=${entry%%$'\t'*}
        [[ -n ${recorded[$place]:-} ]] && continue
        raw "$place" || return 1
        lines+=("$place"$'\t'"$REPLY")
    done
    printf '%s\n' "${lines[@]}" >"$state/.$knob.new" && sync "$state/.$knob.new" && mv -f "$state/.$knob.new" "$state/$knob"
}

apply() {
    local knob entry place value wanted code=0 set=0 left=0
    local -a todo
    open_state
    for knob in "${CHOSEN[@]}"; do
        load "$knob"
        judge
        case $STATE in
        good) continue ;;
        not-applicable | unseen)
            if ((${#named[@]})); then warn "$knob: cannot be seen here: ${CURRENT:-nothing to read}" && code=1; fi
            continue ;;
        esac
        if told; then
            if ((${#named[@]})); then warn "$knob: not set by tune: $REPLY" && code=1; fi
            left=$((left + 1))
            continue
        fi
        todo=()
        for entry in "${JUDGED[@]}"; do
            [[ $entry == *$'\t'differs$'\t'* ]] && todo+=("$entry")
        done
        if ! record "$knob" "${todo[@]}"; then
            warn "$knob: what is there cannot be recorded; left as it is" && code=1
            continue
        fi
        for entry in "${todo[@]}"; do
            place=${entry%%$'\t'*} wanted=${entry##*$'\t'}
            if put "$wanted" "$place" && current "$place" && value=$REPLY && holds "$rule" "$value" "$wanted" "$accept"; then
                set=$((set + 1))
            else
                warn "$knob: $place does not take $wanted" && code=1
            fi
        done
    done
    printf '%s set; tune undo puts back what was there\n' "$set"
    if ((left)); then printf '%s more by hand or on the kernel command line: tune print\n' "$left"; fi
    return $code
}

undo() {
    local knob place value line at code=0 restored=0
    local -a knobs=() lines
    if ((${#named[@]})); then
        knobs=("${named[@]}")
    else
        for knob in "$state"/*; do
            [[ -f $knob ]] && knobs=("${knob##*/}" "${knobs[@]}")
        done
    fi
    if ((${#knobs[@]})) && [[ -d $state ]]; then open_state; fi
    for knob in "${knobs[@]}"; do
        [[ -f $state/$knob ]] || continue
        mapfile -t lines <"$state/$knob"
        local whole=1
        for ((at = ${#lines[@]} - 1; at >= 0; at--)); do
            line=${lines[at]} place=${line%%$'\t'*} value=${line#*$'\t'}
            raw "$place" && [[ $REPLY == "$value" ]] && continue
            if [[ $place == /* && ! -e $root$place ]]; then
                warn "$knob: $place is not there any more"
                continue
            fi
            # The kernel takes the word, and shows it among the others; a tree keeps the line.
            if [[ -z $root ]]; then selected "$value" && value=$REPLY; fi
            if put "$value" "$place"; then restored=$((restored + 1)); else whole=0 && warn "$knob: $place does not take $value"; fi
        done
        if ((whole)); then rm -f "$state/$knob"; else code=1; fi
    done
    printf '%s put back\n' "$restored"
    return $code
}
