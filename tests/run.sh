#!/usr/bin/env bash
# Run the tests and count them. Every test program speaks TAP; live and attack tests run as root and as an ordinary
# user. usage: run.sh [beginning of names, such as live or unit_rule]...
# environment: B (build directory), SL_LONG=1 (hammer for long), SL_ASAN=1 (B was built with sanitizers), SL_SLOTS
# (how many programs at a time), SL_SLOW=N (all takes N times as long here)
#
# Most of a test is waiting, so two programs run beside each other, each as all its users at once. A source that has a line
# with "alone:" and why, gets the machine for itself, after the others: it measures memory or processors, must win a race, or
# runs what gives up when it has to wait.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

B=${B:-build}
kinds=("$@")
[ "${#kinds[@]}" -gt 0 ] || kinds=(unit live attack)
limit=${SL_LONG:+7200}
limit=$((${limit:-240} * (1 + ${SL_SLOW:-1} / 4)))
slots=${SL_SLOTS:-2}
user=1000
passed=0 failed=0 skipped=0 failures=() begun=() later=()

# An ordinary user may not be able to look into this directory; and what the tests write must be theirs.
stage=$(mktemp -d /tmp/sluice-tests.XXXXXX)
chmod 755 "$stage"
trap 'rm -rf "$stage"' EXIT
logs=$B/test-logs
rm -rf "$logs"
mkdir -p "$logs" "$stage/bin" "$stage/src"
cp "$B"/sluice "$B"/httpd "$B"/reduce "$B"/prefork "$stage/bin/"
cp -r tests examples README.md include core cli docs "$stage/src/" 2>/dev/null || true
chmod -R a+rX "$stage"

# A test program: what it is, as whom. Its log, and its exit status beside it.
run_one() {
	local program=$1 as=$2 name log tmp command
	name=$(basename "$program")
	log=$logs/$name.$as.log
	tmp=$stage/tmp.$name.$as
	mkdir -p "$tmp" "$tmp.run"
	command=(env -u TMPDIR "TEST_TMP=$tmp" "TMPDIR=$tmp" "HOME=$tmp" "XDG_RUNTIME_DIR=$tmp.run" "SLUICE=$stage/bin/sluice" "HTTPD=$stage/bin/httpd" "REDUCE=$stage/bin/reduce" "PREFORK=$stage/bin/prefork"
		"SOURCE=$stage/src" "SL_TOP=$PWD" CMOCKA_MESSAGE_OUTPUT=TAP PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
		timeout -k 5 "$limit" "$stage/bin/$name")
	if [ "$as" = user ] && [ "$(id -u)" -eq 0 ]; then
		chown "$user:$user" "$tmp" "$tmp.run"
		command=(setpriv --reuid "$user" --regid "$user" --clear-groups "${command[@]}")
	fi
	# Programs whose names the whole machine shares wait for each other.
	! grep -aq '^# one at a time$' "$program" || command=(flock -o "$stage/names" "${command[@]}")
	(cd "$tmp" && exec "${command[@]}") >"$log" 2>&1 </dev/null
	echo $? >"$log.status"
	rm -rf "$tmp" "$tmp.run"
}

# The same program as several users, at the same time: they share nothing but the machine.
run_all() {
	local program=$1 since=$SECONDS as
	shift
	for as in "$@"; do
		run_one "$program" "$as" &
	done
	wait
	echo $((SECONDS - since)) >"$logs/$(basename "$program").seconds"
}

is_alone() { # NAME
	grep -qsE '^(#| \*|/\*) alone: ' "tests/$1" "tests/$1.c"
}

# What has ended is counted in the order in which it began, so that the output is the same each time.
count_ended() {
	local name users as
	while [ "${#begun[@]}" -gt 0 ]; do
		read -r name users <<<"${begun[0]}"
		[ -e "$logs/$name.seconds" ] || return
		for as in $users; do
			count_one "$name" "$as" "$logs/$name.$as.log" "$(cat "$logs/$name.$as.log.status")" \
				"$(cat "$logs/$name.seconds")"
		done
		begun=("${begun[@]:1}")
	done
}

# At most so many others may still be running.
wait_for() {
	while [ "$(jobs -pr | wc -l)" -gt "$1" ]; do
		wait -n
		count_ended
	done
	count_ended
}

# begin PROGRAM USER...: beside another one.
begin() {
	local program=$1 name
	shift
	name=$(basename "$program")
	cp "$program" "$stage/bin/"
	chmod 755 "$stage/bin/$name"
	rm -f "$logs/$name.seconds"
	wait_for $((slots - 1))
	begun+=("$name $*")
	run_all "$program" "$@" &
}

# plan PROGRAM USER...: now, or when all others have ended.
plan() {
	if is_alone "$(basename "$1")"; then
		later+=("$*")
	else
		begin "$@"
	fi
}

# A program that dies, or says less than its plan, has failed whatever it printed before.
count_one() {
	local name=$1 as=$2 log=$3 status=$4 seconds=$5 ok bad skip planned
	# cmocka 1.1.5 writes a skipped test as "not ok N # SKIP name".
	skip=$(grep -acE '^(not )?ok [0-9]+.*# ?SKIP' "$log")
	ok=$(grep -aE '^ok [0-9]+' "$log" | grep -avcE '# ?SKIP')
	bad=$(grep -aE '^not ok [0-9]+' "$log" | grep -avcE '# ?SKIP')
	planned=$(sed -nE 's/^1\.\.([0-9]+).*/\1/p' "$log" | awk '{ n += $1 } END { print n + 0 }')
	if [ "$bad" -eq 0 ] && { [ "$status" -ne 0 ] || [ "$planned" -ne $((ok + skip)) ] || [ "$planned" -eq 0 ]; }; then
		bad=1
		echo "# $name: exit status $status, $((ok + skip)) of $planned tests reported" >>"$log"
	fi
	passed=$((passed + ok)) failed=$((failed + bad)) skipped=$((skipped + skip))
	printf '%-32s %-5s %3d passed %3d failed %3d skipped %3d s\n' "$name" "$as" "$ok" "$bad" "$skip" "$seconds"
	grep -aE '# ?SKIP' "$log" | grep -avE '^not ok' | sed 's/^/    /'
	if [ "$bad" -gt 0 ]; then
		failures+=("$name ($as)")
		tail -n 40 "$log" | sed 's/^/    | /'
	fi
}

# A process that is confined, or its supervisor, can be neither traced nor cloned for the leak checker: leaks are the
# unit tests' business. What UBSan finds must end the process to be seen.
sanitizers() {
	[ -n "${SL_ASAN-}" ] || return 0
	export SL_SLOW=${SL_SLOW:-3}
	export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 ASAN_OPTIONS=detect_leaks=0
	[[ "$1" != unit* ]] || ASAN_OPTIONS=detect_leaks=1
}

# Before Landlock ABI 3 nothing is confined. "# any kernel" is for those who have something to say there too.
lacks=$("$stage/bin/sluice" check | awk 'NR == 1 { abi = $3 } $1 == "landlock" && $2 != "yes" { print "Landlock ABI " abi + 0 }')
can_run() {
	if [ -z "$lacks" ] || [[ "$(basename "$1")" == unit_* ]] || grep -aq '^# any kernel$' "$1"; then
		return 0
	fi
	printf '%-32s       0 passed   0 failed   1 skipped\n    # SKIP all: this kernel has %s, and nothing is confined with it\n' "$(basename "$1")" "$lacks"
	skipped=$((skipped + 1))
	return 1
}

for kind in "${kinds[@]}"; do
	sanitizers "$kind"
	for program in "$B"/tests/"$kind"* tests/"$kind"*.sh; do
		if [ ! -f "$program" ] || [ ! -x "$program" ] || ! can_run "$program"; then
			continue
		fi
		if [[ "$(basename "$program")" == unit_* ]]; then
			plan "$program" any
		elif [ "$(id -u)" -eq 0 ]; then
			plan "$program" root user
		else
			plan "$program" user
			echo "    not run as root: make check was started by uid $(id -u)"
		fi
	done
done
wait_for 0
slots=1
for words in "${later[@]}"; do
	# shellcheck disable=SC2086 # a program and its users
	begin $words
done
wait_for 0

[ "${#failures[@]}" -eq 0 ] || printf 'failed: %s\n' "${failures[@]}"
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
