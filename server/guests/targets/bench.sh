# The benchmark programs in an initramfs with a shell on the serial console; runs on the default target's kernel.
need_tools make=make gcc=gcc
echo 'int main(void) { return 0; }' >"$WORK/probe.c"
gcc -m32 -static -o "$WORK/probe" "$WORK/probe.c" 2>/dev/null || install_packages gcc-multilib libc6-dev
busybox=$(unpack busybox-static:i386)
tree=$WORK/tree
mkdir -p "$tree"/{bin,bench,dev,proc,sbin,sys,tmp,root,usr/bin,usr/sbin}
cp "$busybox/bin/busybox" "$tree/bin/busybox"
install -m 755 "$HERE/initramfs/init" "$tree/init"
make -s -C "$HERE/bench" OUT="$tree/bench" >&2
install -m 755 "$HERE/bench/run.sh" "$tree/bench/run.sh"
pack_initramfs "$tree" "$WORK/initrd"
output "$WORK/initrd" bench-initrd
