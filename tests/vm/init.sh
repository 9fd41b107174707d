#!/bin/busybox sh
# shellcheck shell=dash
# The guest's first program: the host's files from 9p, below a layer of memory that takes what is written.
# tests/vm.sh gives TOP, B, SL_SLOW and MODULES with the kernel's command line.
/bin/busybox --install -s /bin
mkdir -p /proc /host /layer /root
mount -t proc proc /proc
while read -r module; do
	insmod "/modules/$module"
done </order

mount -t 9p -o trans=virtio,version=9p2000.L,msize=262144,cache=loose,ro root /host
mount -t tmpfs -o size=75% layer /layer
mkdir -p /layer/upper /layer/work
mount -t overlay -o lowerdir=/host,upperdir=/layer/upper,workdir=/layer/work overlay /root
umount /proc
exec switch_root /root /bin/bash "$TOP/tests/vm/guest.sh"
