#!/usr/bin/env bash
# Real programs under name and num-cpus: each says what it sees bare, without the keys, and with them.
# environment: SLUICE, SOURCE, TEST_TMP
# shellcheck disable=SC2016 # what is in single quotes is for the shell inside
set -uo pipefail
SOURCE=${SOURCE:-$(dirname "$0")/..}
# shellcheck source=tests/common/tap.sh
. "$SOURCE/tests/common/tap.sh"
sluice=$(realpath "${SLUICE:-$(dirname "$0")/../build/sluice}")
top=$(mktemp -d "${TEST_TMP:-/tmp}/views.XXXXXX")
trap 'rm -rf "$top"' EXIT
trap 'exit 1' INT TERM
chmod 755 "$top"
cd "$top" || exit 1
export PATH=$PATH:/usr/local/go/bin
export LC_ALL=C PYTHONDONTWRITEBYTECODE=1 HOME=$top

name=box.example
all=$(nproc)
grants=(-s -w "$top" -r /etc/hostname -r /proc -r /sys --fs-read-if-exists /usr/local/go --fs-read-if-exists /etc/java-17-openjdk
	--fs-read-if-exists /etc/java-21-openjdk --fs-read-if-exists /etc/java-11-openjdk)
views=(--name "$name" --num-cpus 1)

# sees NAME BARE VIEWED COMMAND...: what it prints in each of the three.
sees() {
	local what=$1 bare=$2 viewed=$3
	shift 3
	if ! command -v "$1" >/dev/null; then
		tap_skip "$what" "$1 is not installed"
		return
	fi
	tap_is "$what: bare" "$bare" "$(timeout 60 "$@" 2>&1 </dev/null)"
	tap_is "$what: without the keys" "$bare" "$(timeout 60 "$sluice" run "${grants[@]}" -- "$@" 2>&1 </dev/null)"
	tap_is "$what: viewed" "$viewed" "$(timeout 60 "$sluice" run "${grants[@]}" "${views[@]}" -- "$@" 2>&1 </dev/null)"
}

if [ "$all" -lt 2 ]; then
	tap_skip "views of programs" "this machine has one CPU"
	tap_done
	exit
fi

host=$(uname -n)
sees "uname -n" "$host" "$name" uname -n
sees "hostname" "$host" "$name" hostname
sees "uname -srm is as it was" "$(uname -srm)" "$(uname -srm)" uname -srm
[ ! -r /etc/hostname ] || sees "cat /etc/hostname" "$(cat /etc/hostname)" "$name" cat /etc/hostname
sees "sysctl's file" "$host" "$name" cat /proc/sys/kernel/hostname
sees "bash" "$host" "$name" bash -c 'echo $HOSTNAME'
sees "nproc" "$all" 1 nproc
sees "nproc --all" "$(nproc --all)" 1 nproc --all
sees "getconf" "$all" 1 getconf _NPROCESSORS_ONLN
sees "grep cpuinfo" "$all" 1 grep -c '^processor' /proc/cpuinfo
sees "grep stat" "$((all + 1))" 2 grep -c '^cpu' /proc/stat
sees "cat online" "$(cat /sys/devices/system/cpu/online)" 0 cat /sys/devices/system/cpu/online
sees "perl" "$host" "$name" perl -MSys::Hostname -e 'print hostname, "\n"'
sees "python3" "$host $all $all $all" "$name 1 1 1" /usr/bin/python3 -c '
import os, socket
assert os.uname().nodename == socket.gethostname()
print(socket.gethostname(), os.cpu_count(), len(os.sched_getaffinity(0)), open("/proc/cpuinfo").read().count("processor\t"))'
sees "python3 maps a view" "True" "True" /usr/bin/python3 -c '
import mmap
with open("/etc/passwd") as f, mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ) as m: print(len(m) > 0)'
sees "python3 counts by itself" "$all" 1 /usr/bin/python3 -c 'import multiprocessing; print(multiprocessing.cpu_count())'
sees "node" "$host $all" "$name 1" node -e 'console.log(os.hostname(), os.cpus().length)'

cat >Sees.java <<'END'
class Sees { public static void main(String[] a) { System.out.println(Runtime.getRuntime().availableProcessors()); } }
END
if command -v javac >/dev/null && javac Sees.java 2>/dev/null; then
	sees "java" "$all" 1 java -Xshare:auto -XX:-UsePerfData -cp "$top" Sees
else
	tap_skip "java" "there is no javac"
fi

cat >sees.go <<'END'
package main
import ("fmt"; "os"; "runtime")
func main() { h, _ := os.Hostname(); fmt.Println(h, runtime.NumCPU()) }
END
if command -v go >/dev/null && GOCACHE=$top/cache GOFLAGS=-mod=mod go build -o sees sees.go 2>/dev/null; then
	sees "go" "$host $all" "$name 1" ./sees
else
	tap_skip "go" "there is no go"
fi

# With scripts, which open many files.
sees "a pipeline" "$((all + 1))" 2 bash -c 'for i in 1 2 3 4 5 6 7 8; do cat /proc/stat | grep -c "^cpu"; done | sort -u'

# Without a view nothing is asked about: no supervisor.
"$sluice" explain "${grants[@]}" >plain.txt
tap_has "explain without the keys" "trapped calls: none" "$(cat plain.txt)"
"$sluice" explain "${grants[@]}" "${views[@]}" >viewed.txt
tap_is "explain with them names the calls" "open uname sched_getaffinity openat openat2" \
	"$(sed -n '/^trapped calls/,/^$/s/^  \([a-z_0-9]*\): .*/\1/p' viewed.txt | tr '\n' ' ' | sed 's/ $//')"

# A program that may not be read is not looked into, and runs.
cp /usr/bin/true "$top/unreadable" && chmod 111 "$top/unreadable"
"$sluice" run "${grants[@]}" "${views[@]}" -- "$top/unreadable"
tap_is "a program that may not be read runs" 0 $?

tap_done
