#!/usr/bin/env bash
# Build each fuzz_NAME.c with libFuzzer, ASan and UBSan, and let it run. What it needs is the pure part of the product.
# usage: run.sh [NAME]...   environment: FUZZ_SECONDS (60 each), CLANG
#
# tests/fuzz/corpus/NAME is where it starts, and is not written to: new inputs go to build/fuzz/corpus/NAME, findings to
# build/fuzz/findings. To see one again: build/fuzz/fuzz_NAME FILE
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1

B=build/fuzz
CLANG=${CLANG:-clang}
seconds=${FUZZ_SECONDS:-60}
names=("$@")
if [ "${#names[@]}" -eq 0 ]; then
	for source in tests/fuzz/fuzz_*.c; do
		name=${source##*/fuzz_}
		names+=("${name%.c}")
	done
fi

mkdir -p "$B/findings"
flags=(-std=gnu11 -D_GNU_SOURCE '-DSL_PROFILES_DIR="/usr/share/sluice/profiles"' -I. -Iinclude "-I$B" -O1 -g -fno-omit-frame-pointer
	-fsanitize=address -fsanitize=undefined -fsanitize=fuzzer-no-link -fno-sanitize-recover=all -Wall -Wextra -Wno-missing-field-initializers -Werror)

# The product without the rooms that act: what is left is the policy, the plan, the rules and the filter.
gcc -std=gnu11 -D_GNU_SOURCE -O1 -I. -Iinclude confine/tree_gen.c core/syscalls.c -lseccomp -o "$B/tree_gen" &&
	"$B/tree_gen" >"$B/tree.inc" || exit 1
# An archive, so that each fuzzer takes of it what it needs.
rm -f "$B"/*.o "$B/pure.a"
for source in core/*.c netpolicy/*.c confine/filter.c supervise/api.c supervise/message.c; do
	"$CLANG" "${flags[@]}" -c "$source" -o "$B/$(tr / _ <<<"${source%.c}").o" || exit 1
done
ar rcs "$B/pure.a" "$B"/*.o || exit 1

failed=()
for name in "${names[@]}"; do
	program=$B/fuzz_$name
	log=$B/$name.log
	corpus=tests/fuzz/corpus/$name
	if ! "$CLANG" "${flags[@]}" -fsanitize=fuzzer "tests/fuzz/fuzz_$name.c" "$B/pure.a" -lyaml -o "$program"; then
		failed+=("$name (does not build)")
		continue
	fi
	mkdir -p "$B/corpus/$name"
	directories=("$B/corpus/$name")
	[ ! -d "$corpus" ] || directories+=("$corpus")
	dictionary=()
	[ ! -f "tests/fuzz/$name.dict" ] || dictionary=("-dict=tests/fuzz/$name.dict")
	"$program" -max_total_time="$seconds" -max_len=4096 -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
		-artifact_prefix="$B/findings/$name-" "${dictionary[@]}" "${directories[@]}" >"$log" 2>&1
	status=$?
	executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
	covered=$(sed -nE 's/.* cov: ([0-9]+) .*/\1/p' "$log" | tail -n 1)
	printf 'fuzz_%-12s %10s executions in %s s, %s edges, exit status %d\n' "$name" "${executions:-0}" "$seconds" \
		"${covered:-0}" "$status"
	if [ "$status" -ne 0 ] || [ "${executions:-0}" -eq 0 ]; then
		failed+=("$name")
		grep -avE '^(#|INFO|NEW_FUNC|stat::)' "$log" | tail -n 40 | sed 's/^/    | /'
	fi
done

[ "${#failed[@]}" -eq 0 ] || printf 'failed: %s\n' "${failed[@]}" >&2
[ "${#failed[@]}" -eq 0 ]
