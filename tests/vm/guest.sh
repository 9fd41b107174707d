#!/bin/bash
# The guest's second program and its init: what a system has mounted, then the job of tests/vm.sh, then the end.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=dumb B SL_SLOW

mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mkdir -p /dev/pts /dev/shm /dev/mqueue
mount -t devpts -o gid=5,mode=620,ptmxmode=666 devpts /dev/pts
mount -t tmpfs -o mode=1777 shm /dev/shm
mount -t mqueue mqueue /dev/mqueue
ln -sfn /proc/self/fd /dev/fd
for stream in 0:stdin 1:stdout 2:stderr; do
	ln -sfn "/proc/self/fd/${stream%:*}" "/dev/${stream#*:}"
done
mount -t tmpfs -o mode=1777 tmp /tmp
mount -t tmpfs -o mode=755 run /run
mkdir -p /run/lock /run/user /run/vm
mount -t 9p -o trans=virtio,version=9p2000.L,msize=262144 out /run/vm
# The kernel loads what a test asks for, such as a kind of socket.
mkdir -p /lib/modules
mount --bind "$MODULES" /lib/modules
# ... but this is loaded by iptables(8).
modprobe -qa iptable_filter ip6table_filter

# Version 2 alone, as on a machine of systemd; the job in a group of its own, since the root group has no limits.
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mkdir /sys/fs/cgroup/job
sed 's/[^ ]*/+&/g' /sys/fs/cgroup/cgroup.controllers >/sys/fs/cgroup/cgroup.subtree_control

hostname -F /etc/hostname
ip link set lo up
stty -F /dev/ttyS1 raw -echo
ulimit -Hn 524288
cd "$TOP" || exit 1
(
	echo "$BASHPID" >/sys/fs/cgroup/job/cgroup.procs
	exec setsid bash /run/vm/job
) </dev/null >/dev/ttyS1 2>&1
echo $? >/run/vm/status
[ ! -d "$B/test-logs" ] || cp -r "$B/test-logs" /run/vm/
sync
exec busybox poweroff -f
