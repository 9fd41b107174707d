#!/usr/bin/env bash
# Run the tests, or one command, on other kernels than this machine's: Debian's, booted in QEMU on this machine's own
# files, which the guest cannot change. What is run was built before: `make all tests`.
# usage: vm.sh [-k KERNEL]... [-p PARAMETER]... [-t SECONDS] [-c COMMAND | -- beginning of test names...]
#   -k  6.1, 6.12: the newest of this version that apt knows; default: all of KERNELS
#   -p  for the kernel's command line, such as sysctl.kernel.yama.ptrace_scope=1
#   -t  the guest is stopped after this time; default 14400
#   -c  run this with bash, in this directory, as root of the guest
# Left in build/vm/KERNEL: console, what the kernel said; test-logs.
# environment: B (build directory), KERNELS="6.1 6.12", MEMORY (in MiB)
set -euo pipefail
cd "$(dirname "$0")/.."

B=${B:-build}
MEMORY=${MEMORY:-4096}
KERNELS=${KERNELS:-6.1 6.12}
PATH=$PATH:/usr/sbin:/sbin
kernels=() parameters=() limit=14400 command=

usage() {
	sed -n '/^# usage/,/^# env/s/^# //p' "$0" >&2
	exit 2
}

while getopts k:p:t:c: option; do
	case $option in
	k) kernels+=("$OPTARG") ;;
	p) parameters+=("$OPTARG") ;;
	t) limit=$OPTARG ;;
	c) command=$OPTARG ;;
	*) usage ;;
	esac
done
shift $((OPTIND - 1))
[ "${#kernels[@]}" -gt 0 ] || read -ra kernels <<<"$KERNELS"

# A KVM of a machine whose processor has no virtualization of its own stops before the kernel's first word.
if [ -w /dev/kvm ] && grep -qEw 'vmx|svm' /proc/cpuinfo; then
	acceleration=kvm slowness=1
else
	# A process is started in a hundred times as long; what it then does takes less.
	acceleration=tcg slowness=40
fi

# All; on an emulated processor without those that run the programs of others, which have time limits of their own. run.sh
# takes beginnings of names.
names_default() {
	[ "$acceleration" = tcg ] || return 0
	{
		basename -s .c tests/{unit,live,attack}_*.c
		printf '%s\n' live_kernel live_yama live_cli
	} | sort | awk '{ for (name in seen) if (index($0, name) == 1) next; seen[$0]; print }'
}

if [ -z "$command" ]; then
	names=("$@")
	[ "${#names[@]}" -gt 0 ] || mapfile -t names < <(names_default)
	command="./tests/run.sh${names[*]:+$(printf ' %q' "${names[@]}")}"
fi

# The newest image of a version, unpacked and not installed: an installed one would be this machine's next boot.
kernel_fetch() {
	local version=$1 place=$2 package
	[ ! -e "$place/ready" ] || return 0
	package=$(apt-cache search --names-only "^linux-image-${version//./\\.}[.][0-9+debu-]*-amd64\$" |
		awk '$1 !~ /-(cloud|rt)-/ { print $1 }' | sort -V | tail -n 1)
	if [ -z "$package" ]; then
		echo "vm: apt has no linux-image-$version.*-amd64" >&2
		return 1
	fi
	rm -rf "$place"
	mkdir -p "$place"
	(cd "$place" && apt-get -q download "$package" >&2)
	dpkg-deb -x "$place/$package"_*.deb "$place"
	rm -rf "$place/$package"_*.deb "${place:?}"/usr "$place"/lib/modules/*/kernel/{sound,drivers/{gpu,media}}
	mv "$place"/boot/vmlinuz-* "$place/vmlinuz"
	depmod -b "$place" "$(ls "$place/lib/modules")"
	initramfs_make "$place"
	touch "$place/ready"
}

# busybox, tests/vm/init.sh, and the modules that reach this machine's files, in the order of their loading.
initramfs_make() {
	local place=$1 root=$1/initramfs release module
	release=$(ls "$place/lib/modules")
	mkdir -p "$root"/{bin,modules}
	cp "$(command -v busybox)" "$root/bin/busybox"
	for module in virtio_pci 9pnet_virtio 9p overlay; do
		modprobe -d "$place" -S "$release" --show-depends "$module"
	done | sed -n 's/^insmod \([^ ]*\).*/\1/p' | awk '!seen[$0]++' >"$root/order"
	while read -r module; do
		case $module in
		*.xz) xz -dc "$module" >"$root/modules/$(basename "$module" .xz)" ;;
		*) cp "$module" "$root/modules/" ;;
		esac
	done <"$root/order"
	sed -i 's|.*/||; s|\.xz$||' "$root/order"
}

# The guest's first program may be edited without fetching a kernel.
initramfs_pack() {
	install -m 755 tests/vm/init.sh "$1/initramfs/init"
	(cd "$1/initramfs" && find . | busybox cpio -o -H newc 2>/dev/null) >"$1/initramfs.new"
	mv "$1/initramfs.new" "$1/initramfs.cpio"
}

out='' guest=''
trap '[ -z "$guest" ] || kill "$guest" 2>/dev/null; [ -z "$out" ] || rm -rf "$out"' EXIT
trap 'exit 143' INT TERM

# What the guest is to do, and its answer, go through one directory.
kernel_run() {
	local version=$1 place=$2 status=0
	out=$(mktemp -d "$PWD/build/vm/run.XXXXXX")
	printf '%s\n' "$command" >"$out/job"
	timeout -k 5 "$limit" qemu-system-x86_64 -accel "$acceleration" -cpu max -smp 2 -m "$MEMORY" \
		-nodefaults -no-user-config -display none -no-reboot -monitor none \
		-kernel "$place/vmlinuz" -initrd "$place/initramfs.cpio" \
		-append "console=ttyS0 quiet panic=-1 cgroup_no_v1=all TOP=$PWD B=$B SL_SLOW=$slowness MODULES=$place/lib/modules ${parameters[*]-}" \
		-chardev "file,id=console,path=$out/console" -serial chardev:console \
		-chardev stdio,id=answer,signal=off -serial chardev:answer \
		-virtfs local,path=/,mount_tag=root,security_model=none,readonly=on,multidevs=remap \
		-virtfs "local,path=$out,mount_tag=out,security_model=none" </dev/null &
	guest=$!
	wait "$guest" || status=$?
	guest=
	rm -rf "build/vm/$version"
	mv "$out" "build/vm/$version"
	if [ ! -s "build/vm/$version/status" ]; then
		echo "vm: $version: the guest did not finish (qemu: $status)"
		tail -n 20 "build/vm/$version/console"
		return 1
	fi
	return "$(cat "build/vm/$version/status")"
}

result=0
for version in "${kernels[@]}"; do
	place=$PWD/build/vm/kernels/$version
	kernel_fetch "$version" "$place"
	initramfs_pack "$place"
	echo "== $version: $(ls "$place/lib/modules")"
	kernel_run "$version" "$place" || result=$?
done
exit "$result"
