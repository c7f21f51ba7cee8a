. "$HERE/drivers.sh"
# Sound, to be used beside the default guest's initramfs: drivers of its kernel, ALSA's programs, a quick init.
version=$(depends_on linux-image-686:i386)
kernel=$(unpack "${version:-linux-image-686}:i386")
tree=$WORK/tree
mkdir -p "$tree"/{bin,sbin,lib/i386-linux-gnu,usr/share}
add_drivers snd-intel8x0
utils=$(unpack alsa-utils:i386)
cp "$utils"/usr/bin/{amixer,aplay,speaker-test} "$tree/bin/"
ln -s aplay "$tree/bin/arecord"
cp -r "$(unpack libasound2-data:all)/usr/share/alsa" "$tree/usr/share/"
add_libraries libc6:libc.so.6 libc6:libm.so.6 libasound2:libasound.so.2
install -m 755 "$HERE/sound/sound-init" "$tree/sbin/sound-init"
pack_initramfs "$tree" "$WORK/initrd"
output "$WORK/initrd" sound-initrd
