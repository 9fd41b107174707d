#!/usr/bin/env bash
# Install what building and testing need and is missing: Debian 12. Does nothing, and needs no root, when all is there.
# usage: deps.sh [further package]...
set -euo pipefail

packages=(
	# to build
	gcc make pkg-config libc6-dev linux-libc-dev libseccomp-dev libev-dev liburing-dev libjansson-dev libyaml-dev
	# to test
	g++ libcmocka-dev curl git python3 redis-server redis-tools nginx-light bubblewrap wrk procps util-linux
	iproute2 strace
	# programs that are run bare and confined
	wget bind9-dnsutils dnsmasq-base iputils-ping iperf3 nodejs openssh-client openssh-server libpython3.11-testsuite
	# to lint and fuzz
	clang clang-format cppcheck shellcheck libclang-rt-14-dev
	"$@"
)

missing=()
for package in "${packages[@]}"; do
	dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q '^install ok installed' || missing+=("$package")
done
[ "${#missing[@]}" -eq 0 ] && exit 0

if [ "$(id -u)" -ne 0 ]; then
	echo "deps: missing: ${missing[*]}; as root: apt-get install ${missing[*]}" >&2
	exit 1
fi
# Installing a server must not start it: tests start their own, on ports of their own.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
	printf '#!/bin/sh\nexit 101\n' >"$policy"
	chmod 755 "$policy"
	trap 'rm -f "$policy"' EXIT
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
