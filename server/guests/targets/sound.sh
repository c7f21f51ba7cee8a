# Sound, to be used beside the default guest's initramfs: drivers of its kernel, ALSA's programs, a quick init.
version=$(depends_on linux-image-686:i386)
kernel=$(unpack "${version:-linux-image-686}:i386")
release=$(basename "$kernel"/boot/vmlinuz-*)
release=${release#vmlinuz-}
tree=$WORK/tree
mkdir -p "$tree"/{bin,sbin,lib/i386-linux-gnu,usr/share}
host_applet depmod -b "$kernel" "$release"
grep '/snd-intel8x0\.ko:' "$kernel/lib/modules/$release/modules.dep" | tr -d : | tr ' ' '\n' >"$WORK/modules"
[ -s "$WORK/modules" ] || die 'the kernel has no snd-intel8x0'
(cd "$kernel" && sed "s|^|lib/modules/$release/|" "$WORK/modules" | xargs cp --parents -t "$tree")
cp "$kernel/lib/modules/$release"/modules.{builtin,builtin.modinfo,order} "$tree/lib/modules/$release/"
host_applet depmod -b "$tree" "$release"

utils=$(unpack alsa-utils:i386)
cp "$utils"/usr/bin/{amixer,aplay,speaker-test} "$tree/bin/"
cp -r "$(unpack libasound2-data:all)/usr/share/alsa" "$tree/usr/share/"
for library in libc6:libc.so.6 libc6:libm.so.6 libasound2:libasound.so.2; do
  cp -L "$(find "$(unpack "${library%%:*}:i386")" -name "${library##*:}" | head -n 1)" "$tree/lib/i386-linux-gnu/"
done
cp -L "$(find "$(unpack libc6:i386)" -name 'ld-linux.so.2' | head -n 1)" "$tree/lib/ld-linux.so.2"
install -m 755 "$HERE/sound/sound-init" "$tree/sbin/sound-init"
pack_initramfs "$tree" "$WORK/initrd"
output "$WORK/initrd" sound-initrd
