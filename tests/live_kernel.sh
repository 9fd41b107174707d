#!/usr/bin/env bash
# What this kernel cannot enforce is an error that names what it has and what is needed, and nothing runs; `degrade` goes
# without some of it. Each refusal with its twin: where the kernel has it, the same command runs.
# any kernel
set -uo pipefail

# shellcheck source=tests/common/tap.sh
. "${SOURCE:?}/tests/common/tap.sh"
cd "${TEST_TMP:?}" || exit 1
abi=$("${SLUICE:?}" check | sed -n '1s/^Landlock ABI \([0-9]*\),.*/\1/p')
run=(run --fs-system -w "$PWD")

# NAME, ABI from which on it runs, WORD of the refusal, COMMAND: it writes the file `made` or does not.
decides() {
	local name=$1 from=$2 word=$3 out status
	shift 3
	rm -f made
	out=$("$@" 2>&1 </dev/null)
	status=$?
	if [ "$abi" -ge "$from" ]; then
		tap_is "$name: runs" "0 " "$status $out"
		tap_is "$name: and does its work" yes "$([ -e made ] && echo yes)"
		return
	fi
	tap_is "$name: is refused" 125 "$status"
	tap_has "$name: says what there is" "Landlock ABI $abi" "$out"
	tap_has "$name: says what is needed" "$word" "$out"
	tap_is "$name: nothing ran" "" "$([ ! -e made ] || echo made)"
}

# The check itself: what it reads is what the command goes by.
tap_is "there is a number" "$abi" "$((abi + 0))"
"$SLUICE" check >check.txt
status=$?
tap_is "check fails where nothing can be confined" "$((abi < 3))" "$status"
touch made && tap_ok "bare, the work can be done"

decides "nothing is missing" 6 "needed is" "$SLUICE" "${run[@]}" -- touch made
decides "without the scopes" 5 "needed is" "$SLUICE" "${run[@]}" --degrade scopes -- touch made
decides "without scopes and ioctl" 3 "at the very least" "$SLUICE" "${run[@]}" --degrade scopes,ioctl -- touch made
decides "without a supervisor" 3 "at the very least" "$SLUICE" "${run[@]}" --no-supervisor --degrade scopes,ioctl -- touch made

# A program that confines a process of its own: the same answer from the library.
mkdir files && echo two words >files/it
out=$("${REDUCE:?}" files it 2>&1)
status=$?
tap_is "in a program of one's own: status" "$((abi < 6))" "$status"
if [ "$abi" -ge 6 ]; then
	tap_has "in a program of one's own: it runs" "2 it" "$out"
else
	tap_has "in a program of one's own: says what there is" "Landlock ABI $abi" "$out"
fi

tap_done
