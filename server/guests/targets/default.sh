# The default guest: Debian's 686 kernel with a busybox initramfs, a few of the kernel's drivers and two shells.
. "$HERE/initramfs/build.sh"
version=$(depends_on linux-image-686:i386)
busybox_guest "${version:-linux-image-686}" i386 i386
pack_initramfs "$tree" "$WORK/initrd"
output "$kernel/boot/vmlinuz-$release" default-kernel
output "$WORK/initrd" default-initrd
