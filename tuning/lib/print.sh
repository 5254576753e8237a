# shellcheck shell=bash
# A script to read before it is run: what apply would set now, and what puts it back.

# quoted TEXT: for a POSIX shell.
quoted() { REPLY="'${1//\'/\'\\\'\'}'"; }

# command_for VALUE PLACE
command_for() {
    local nic_name setting
    case $2 in
    ethtool:*)
        IFS=: read -r _ nic_name setting <<<"$2"
        quoted "$1"
        case $setting in
        combined) REPLY="ethtool -L $nic_name combined $REPLY || failed=1" ;;
        *) REPLY="ethtool -C $nic_name $setting $REPLY || failed=1" ;;
        esac ;;
    siblings:*) REPLY="# CPU ${2#siblings:} shares its core with another bid core: choose others" ;;
    *) quoted "$1" && REPLY="put $REPLY $2" ;;
    esac
}

print() {
    local knob entry place value undone=''
    local -a lines=()
    cat <<'HEAD'
#!/bin/sh
# Written by tune print: the settings that differ on this host, and those it has. Read it; then `sh THIS apply`, and `sh THIS undo`.
# With ROOT=DIR it works on a tree instead.
failed=0
put() { printf '%s\n' "$1" > "${ROOT:-}$2" || failed=1; }
case ${1:-} in
apply)
HEAD
    for knob in "${CHOSEN[@]}"; do
        load "$knob"
        judge
        [[ $STATE == differs ]] || continue
        printf '    # %s: %s\n    # Cost: %s\n' "$knob" "$why" "$cost"
        if told; then
            printf '    # By hand: %s\n' "$REPLY"
            continue
        fi
        lines=()
        for entry in "${JUDGED[@]}"; do
            [[ $entry == *$'\t'differs$'\t'* ]] || continue
            place=${entry%%$'\t'*}
            command_for "${entry##*$'\t'}" "$place"
            printf '    %s\n' "$REPLY"
            [[ $place == siblings:* ]] && continue
            raw "$place"
            value=$REPLY
            if [[ -z $root ]]; then selected "$value" && value=$REPLY; fi
            command_for "$value" "$place"
            lines+=("    $REPLY")
        done
        if [[ $knob == nic-channels ]]; then
            printf '    # The card has other queues and interrupts after that: run tune print again for nic-irqs, rps and xps.\n'
        fi
        for entry in "${lines[@]}"; do undone="$entry"$'\n'"$undone"; done
    done
    printf '    ;;\nundo)\n%s    ;;\n*) echo "usage: sh $0 apply|undo" >&2; exit 2 ;;\nesac\nexit $failed\n' "$undone"
}
