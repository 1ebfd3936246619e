#!/bin/bash
# vm.sh - runs a command as root of a small virtual machine whose kernel has the cgroup v2 memory
# controller, which the machine it is started on may lack.
#
#   vm.sh [options] FOLDER COMMAND [ARG...]
#
#   -m MB    memory (1024)                  -c N     processors (1)
#   -t SEC   limit on the whole run (300)   -d MB    an empty ext4 disk, mounted on /scratch (0)
#   -s MB    swap on zram (0)               -K FILE  keep the kernel's log in FILE
#   -v       tell the times on stderr
#
# The guest runs the newest installed Debian kernel on this machine's root file system, below an
# overlay in memory: what the command writes is lost, except in FOLDER, which is shared under its
# own path. /tmp and /run are fresh. cgroup2 is at /sys/fs/cgroup with memory, pids, cpu and io.
# Standard output, standard error and the exit status are the command's; 124: the time was over,
# 125: the guest never reported a status (the tail of its console is on stderr).
# Debian packages: qemu-system-x86 linux-image-amd64 busybox-static kmod cpio gzip e2fsprogs.
set -u

memory=1024 cpus=1 seconds=300 disk=0 swap=0 keep_log="" verbose=0
usage() { sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0" >&2; exit 2; }
die() { echo "vm.sh: $*" >&2; exit 125; }

while getopts m:c:t:d:s:K:v option; do
    case $option in
    m) memory=$OPTARG ;;
    c) cpus=$OPTARG ;;
    t) seconds=$OPTARG ;;
    d) disk=$OPTARG ;;
    s) swap=$OPTARG ;;
    K) keep_log=$OPTARG ;;
    v) verbose=1 ;;
    *) usage ;;
    esac
done
shift $((OPTIND - 1))
[ $# -ge 2 ] || usage
folder=$(realpath -e -- "$1") || exit 2
shift

PATH=$PATH:/usr/sbin:/sbin
work="" qemu="" tails=""
clean_up() {
    [ -z "$qemu" ] || kill -KILL "$qemu" 2>/dev/null
    # shellcheck disable=SC2086 # a list of numbers
    [ -z "$tails" ] || kill $tails 2>/dev/null
    [ -z "$work" ] || rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

find_kernel() {
    local image
    for image in $(printf "%s\n" /boot/vmlinuz-* | sort -V); do
        [ -d "/lib/modules/${image#/boot/vmlinuz-}" ] && kernel=$image
    done
    [ -r "${kernel:=}" ] || die "no kernel to boot (apt-get install linux-image-amd64)"
    release=${kernel##*/vmlinuz-}
}

# Debian builds all of these as modules; the guest loads them in this order.
copy_modules() {
    local wanted="virtio_pci 9pnet_virtio 9p overlay" module file number=0
    [ "$disk" = 0 ] || wanted+=" virtio_blk ext4 crc32c_generic"
    [ "$swap" = 0 ] || wanted+=" zram"
    for module in $wanted; do
        modprobe -S "$release" --show-depends "$module" | sed -n 's/^insmod //p'
    done | awk '!seen[$1]++ {print $1}' >"$work/modules"
    [ -s "$work/modules" ] || die "no modules for kernel $release"
    while read -r file; do
        number=$((number + 1))
        case $file in
        *.xz) xz -dc "$file" ;;
        *.zst) zstd -qdc "$file" ;;
        *) cat "$file" ;;
        esac >"$work/initrd.d/modules/$(printf %03d $number).ko"
    done <"$work/modules"
}

write_init() {
    cat >"$work/initrd.d/init" <<INIT
#!/bin/busybox sh
# Everything but echo, read, cd and exec is busybox's: there is no other program here yet.
b=/bin/busybox
fail() { echo "vm init: cannot \$*" >/dev/console; \$b poweroff -f; }
\$b mkdir -p /proc /sys /dev /lower /upper /new /out
\$b mount -t proc proc /proc
\$b mount -t sysfs sys /sys
\$b mount -t devtmpfs dev /dev
for module in /modules/*.ko; do \$b insmod \$module || fail "load \$module"; done
share=trans=virtio,version=9p2000.L,msize=524288
\$b mount -t 9p -o ro,cache=loose,\$share root /lower || fail "mount the root share"
\$b mount -t 9p -o rw,cache=none,\$share out /out || fail "mount the output share"
\$b mount -t tmpfs -o size=50% upper /upper
\$b mkdir /upper/data /upper/work
\$b mount -t overlay -o lowerdir=/lower,upperdir=/upper/data,workdir=/upper/work root /new ||
    fail "mount the root"
for d in proc sys dev; do \$b mount --move /\$d /new/\$d; done
\$b mkdir -p /new/dev/pts /new/dev/shm /new/scratch /new/out
\$b mount -t devpts devpts /new/dev/pts
\$b mount -t tmpfs shm /new/dev/shm
\$b mount -t tmpfs -o mode=755 run /new/run
\$b mount -t tmpfs tmp /new/tmp
for d in fd: stdin:/0 stdout:/1 stderr:/2; do
    \$b ln -sf /proc/self/fd\${d#*:} /new/dev/\${d%%:*}
done
\$b mkdir -p '/new$folder'
\$b mount -t 9p -o rw,cache=mmap,\$share folder '/new$folder' || fail "mount the folder"
[ $disk = 0 ] || \$b mount -t ext4 /new/dev/vda /new/scratch || fail "mount the disk"
\$b mount -t cgroup2 -o nsdelegate,memory_recursiveprot cgroup2 /new/sys/fs/cgroup ||
    fail "mount cgroup2"
for c in memory pids cpu io; do echo +\$c >/new/sys/fs/cgroup/cgroup.subtree_control; done
if [ $swap != 0 ]; then
    echo ${swap}M >/new/sys/block/zram0/disksize
    \$b chroot /new /sbin/mkswap /dev/zram0 >/dev/null
    \$b chroot /new /sbin/swapon /dev/zram0
fi
\$b ifconfig lo 127.0.0.1 up
\$b hostname plimsoll-vm
read up rest </new/proc/uptime
echo "\$up" >/out/uptime
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export HOME=/root LANG=C.UTF-8 PLIMSOLL_VM=1
\$b mount --bind /out /new/out
\$b setsid \$b chroot /new /bin/bash /out/command </new/dev/null >/out/stdout 2>/out/stderr
echo \$? >/out/status
\$b sync
\$b poweroff -f
INIT
    chmod +x "$work/initrd.d/init"
}

prepare() {
    local busybox
    busybox=$(command -v busybox) || die "no busybox (apt-get install busybox-static)"
    command -v qemu-system-x86_64 >/dev/null || die "no qemu (apt-get install qemu-system-x86)"
    find_kernel
    work=$(mktemp -d "${TMPDIR:-/tmp}/plimsoll-vm.XXXXXX") || exit 125
    mkdir -p "$work/initrd.d/bin" "$work/initrd.d/modules" "$work/out"
    cp "$busybox" "$work/initrd.d/bin/busybox"
    ln -s busybox "$work/initrd.d/bin/sh"
    copy_modules
    write_init
    (cd "$work/initrd.d" && find . | cpio -o -H newc --quiet) | gzip -1 >"$work/initrd" ||
        die "cannot pack the initrd"
    : >"$work/out/stdout"
    : >"$work/out/stderr"
    {
        printf 'cd %q || exit 126\nexec' "$folder"
        printf ' %q' "$@"
        echo
    } >"$work/out/command"
    if [ "$disk" != 0 ]; then
        truncate -s "${disk}M" "$work/disk"
        mkfs.ext4 -q -E lazy_itable_init=0 "$work/disk" || die "cannot make a file system"
    fi
}

share() { echo "local,path=$2,mount_tag=$1,security_model=none,multidevs=remap${3:-}"; }

# KVM is not asked for: a machine that is itself virtual may offer it and hang in it.
start() {
    local drive=()
    [ "$disk" = 0 ] || drive=(-drive "file=$work/disk,if=virtio,format=raw,cache=unsafe")
    qemu-system-x86_64 -accel tcg,thread=multi -cpu max -m "$memory" -smp "$cpus" \
        -nodefaults -no-user-config -display none -no-reboot -monitor none \
        -kernel "$kernel" -initrd "$work/initrd" \
        -append "console=ttyS0 quiet loglevel=7 panic=-1 oops=panic mitigations=off \
random.trust_cpu=on psi=1 no_timer_check nmi_watchdog=0" \
        -chardev file,id=console,path="$work/console" -serial chardev:console \
        -virtfs "$(share root / ,readonly=on)" -virtfs "$(share out "$work/out")" \
        -virtfs "$(share folder "$folder")" \
        -device virtio-rng-pci "${drive[@]}" </dev/null 2>"$work/qemu-errors" &
    qemu=$!
    tail -c +1 -s 0.05 -f --pid=$qemu "$work/out/stdout" &
    tails=$!
    tail -c +1 -s 0.05 -f --pid=$qemu "$work/out/stderr" >&2 &
    tails+=" $!"
}

wait_for_end() {
    local end=$((SECONDS + seconds))
    late=0
    while kill -0 "$qemu" 2>/dev/null; do
        if [ $SECONDS -ge $end ]; then
            late=1
            kill -KILL "$qemu"
            break
        fi
        sleep 0.1
    done
    wait "$qemu" 2>/dev/null
    qemu=
    # shellcheck disable=SC2086 # a list of numbers
    wait $tails 2>/dev/null
    tails=
}

begin=$(date +%s%N)
prepare "$@"
start
wait_for_end
[ -z "$keep_log" ] || tr -d '\r' <"$work/console" >"$keep_log"
if [ $verbose = 1 ]; then
    echo "vm.sh: $((($(date +%s%N) - begin) / 1000000)) ms in all; the command started" \
        "$(cat "$work/out/uptime" 2>/dev/null) s after the kernel; kernel $release" >&2
fi
if [ $late = 1 ]; then
    echo "vm.sh: ran past $seconds s" >&2
    exit 124
fi
[ ! -s "$work/out/status" ] || exit "$(cat "$work/out/status")"
echo "vm.sh: no exit status came back; the console's end:" >&2
cat "$work/qemu-errors" >&2
tail -n 25 "$work/console" 2>/dev/null | tr -d '\r' >&2
exit 125
