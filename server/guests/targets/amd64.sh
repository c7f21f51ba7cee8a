# The default guest for 64-bit PCs: Debian's amd64 kernel; /bin/busybox32 is a 32-bit program.
. "$HERE/initramfs/build.sh"
version=$(depends_on linux-image-amd64:amd64)
busybox_guest "${version:-linux-image-amd64}" amd64 amd64
cp "$(unpack busybox-static:i386)/bin/busybox" "$tree/bin/busybox32"
pack_initramfs "$tree" "$WORK/initrd"
output "$kernel/boot/vmlinuz-$release" amd64-kernel
output "$WORK/initrd" amd64-initrd
