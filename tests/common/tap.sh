# TAP for tests in bash: source it, call these, end with tap_done. run.sh counts what they print.
# shellcheck shell=bash

tap_count=0 tap_failed=0

# tap_ok NAME; tap_not_ok NAME [WHY]: the why is said as a comment, line by line.
tap_ok() {
	tap_count=$((tap_count + 1))
	echo "ok $tap_count - $1"
}

tap_not_ok() {
	tap_count=$((tap_count + 1)) tap_failed=$((tap_failed + 1))
	echo "not ok $tap_count - $1"
	[ -z "${2-}" ] || printf '%s\n' "$2" | sed 's/^/# /'
}

tap_skip() { # NAME REASON
	tap_count=$((tap_count + 1))
	echo "ok $tap_count - $1 # SKIP $2"
}

tap_is() { # NAME WANTED GOT
	if [ "$2" = "$3" ]; then
		tap_ok "$1"
	else
		tap_not_ok "$1" "wanted: $2"$'\n'"got:    $3"
	fi
}

tap_has() { # NAME WORD TEXT: the text holds the word
	case $3 in
	*"$2"*) tap_ok "$1" ;;
	*) tap_not_ok "$1" "wanted: ... $2 ..."$'\n'"got:    $3" ;;
	esac
}

tap_same() { # NAME WANTED GOT: two files
	local difference
	if difference=$(diff -u "$2" "$3" 2>&1); then
		tap_ok "$1"
	else
		tap_not_ok "$1" "$difference"
	fi
}

tap_done() {
	echo "1..$tap_count"
	[ "$tap_failed" -eq 0 ]
}
