#!/usr/bin/env bash
# What Sluice costs, as one table. Every number comes from interleaved rounds of one run, so ratios mean something on
# a busy machine and absolute numbers less. A missed target is shown and is no failure; what does not work is one.
# environment: B (build directory)
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

B=${B:-build}
failed=0

run() {
	local name=$1
	shift
	timeout -k 5 90 "$B/bench/$name" "$@" && return
	echo "bench: $name does not work" >&2
	return 1
}

# "table rules=10 ns=11 hits=49% lengths=all" as a row.
table_rows() {
	awk '$1 == "table" {
		sub("rules=", "", $2); sub("ns=", "", $3)
		what = "decision, " $2 " rules" ($5 == "lengths=all" ? ", every prefix length" : "")
		printf "%-46s %10s %10s %10s  %-18s %-14s %s\n", what, "-", "-", $3 " ns", "-", "-", "-"
	}'
}

printf '%s, %s CPUs, Linux %s, load %s\n\n' "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)" \
	"$(nproc)" "$(uname -r)" "$(cut -d ' ' -f 1-3 /proc/loadavg)"
printf '%-46s %10s %10s %10s  %-18s %-14s %s\n' what bare floor sluice ratio target 'met?'
run bench_connect || failed=1
run bench_send || failed=1
run bench_syscall || failed=1
run bench_views || failed=1
run bench_spawn "$B/sluice" || failed=1
timeout -k 5 300 "$B/bench/bench_clones" || failed=1
run bench_confine || failed=1
run bench_table | table_rows || failed=1
timeout -k 5 180 ./bench/bench_servers.sh "$B/sluice" "$B/bench/bench_wall" || failed=1
timeout -k 5 150 ./bench/bench_limits.sh "$B/sluice" || failed=1
printf '\nload afterwards: %s\n' "$(cut -d ' ' -f 1-3 /proc/loadavg)"
exit "$failed"
