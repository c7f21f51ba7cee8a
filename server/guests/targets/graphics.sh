. "$HERE/drivers.sh"
# Graphics, to be used beside the default guest's initramfs: drivers of its kernel, libdrm's test program, a quick init.
version=$(depends_on linux-image-686:i386)
kernel=$(unpack "${version:-linux-image-686}:i386")
tree=$WORK/tree
mkdir -p "$tree"/{bin,sbin}
add_drivers vboxvideo vboxguest bochs
cp "$(unpack libdrm-tests:i386)/usr/bin/modetest" "$tree/bin/"
add_libraries libc6:libc.so.6 libc6:libm.so.6 libdrm2:libdrm.so.2
install -m 755 "$HERE/graphics/graphics-init" "$tree/sbin/graphics-init"
pack_initramfs "$tree" "$WORK/initrd"
output "$WORK/initrd" graphics-initrd
