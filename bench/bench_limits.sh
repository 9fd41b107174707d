#!/usr/bin/env bash
# A real build, make -j2 of this project's library, bare and under max-memory, max-processes and both. Rows of run.sh's
# table: seconds, and how fast against bare.
# usage: bench_limits.sh SLUICE
#
# One after the other in turn, round by round; the ratio is the median of the ratios of each round. What the limits cost
# is what the same sandbox costs without them less; that is a row of its own.
set -uo pipefail

sluice=$(realpath "$1")
source=$(realpath "$(dirname "$0")/..")
top=$(mktemp -d)
trap 'rm -rf "$top"' EXIT
trap 'exit 1' INT TERM
rounds=${ROUNDS:-5}
seconds=${SECONDS_MAX:-80}
confined=("$sluice" run -r / -w "$top" -w /tmp -w /dev/null)

build() {
	rm -rf "$top/build"
	mkdir "$top/build"
	"$@" make -s -C "$source" -j2 "B=$top/build" OPTIMIZE=-O0 "${targets[@]}" >"$top/log" 2>&1 && return
	tail -n 5 "$top/log" >&2
	echo "bench_limits: the build fails: $*" >&2
	exit 1
}

# Seconds by the clock, and of CPU: all that was waited for, so the keeper and the supervisor too.
timed() {
	local TIMEFORMAT='%R %U %S'

	{ time build "$@"; } 2>&1 | awk '{ print $1, $2 + $3 }'
}

median() {
	sort -g | awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'
}

# One object for each file of a room: enough forks to count, and some seconds.
mapfile -t targets < <(cd "$source" && for file in core/*.c netpolicy/*.c supervise/*.c; do echo "$top/build/${file%.c}.o"; done)

names=(bare confined memory processes both)
command_of() {
	case $1 in
	bare) command=(env) ;;
	confined) command=("${confined[@]}" --) ;;
	memory) command=("${confined[@]}" -m 2G --) ;;
	processes) command=("${confined[@]}" -P 64 --) ;;
	both) command=("${confined[@]}" -m 2G -P 64 --) ;;
	esac
}

build env
end=$((SECONDS + seconds))
for ((round = 0; round < rounds && SECONDS < end; round++)); do
	for ((i = 0; i < ${#names[@]}; i++)); do
		# Each round begins elsewhere: what comes first may find the machine in another state.
		name=${names[(i + round) % ${#names[@]}]}
		command_of "$name"
		timed "${command[@]}" >>"$top/times.$name"
	done
done

# column NAME N: seconds, the median.
column() {
	awk -v n="$2" '{ print $n }' "$top/times.$1" | median
}

# row NAME WHAT BASE: against BASE, which is to be reached to 98 %. On a busy machine the CPU time says more.
row() {
	local ratio unit=('' '' ', CPU time') n

	for n in 1 2; do
		ratio=$(paste "$top/times.$3" "$top/times.$1" | awk -v n="$n" '{ print $n / $(n + 2) }' | median)
		printf '%-46s %8s s %10s %8s s  %-18s %-14s %s\n' "$2${unit[n]}" "$(column "$3" "$n")" - "$(column "$1" "$n")" \
			"$(awk -v r="$ratio" -v b="$3" 'BEGIN { printf "%.1f %% of %s", 100 * r, b }')" '>= 98 %' \
			"$(awk -v r="$ratio" 'BEGIN { print (r >= 0.98 ? "yes" : "no") }')"
	done
}

row confined "make -j2, no limits" bare
row memory "make -j2, max-memory" confined
row processes "make -j2, max-processes" confined
row both "make -j2, both" confined
row both "make -j2, both" bare
