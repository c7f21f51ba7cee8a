# Sound, to be used beside the default guest's initramfs: drivers of its kernel, ALSA's programs, a quick init.
version=$(depends_on linux-image-686:i386)
kernel=$(unpack "${version:-linux-image-686}:i386")
release=$(basename "$kernel"/boot/vmlinuz-*)
release=${release#vmlinuz-}
modules=lib/modules/$release
tree=$WORK/tree
mkdir -p "$tree"/{bin,sbin,lib/i386-linux-gnu,usr/share} "$tree/$modules"
host_applet depmod -b "$kernel" "$release"
# files_of MODULE...: what they consist of, with everything they depend on.
files_of() {
  local module
  for module; do
    awk -v name="$module.ko" -F '[: ]+' '{ n = split($1, part, "/") } part[n] == name { for (i = 1; i <= NF; i++) if ($i != "") print $i }' \
      "$kernel/$modules/modules.dep"
  done | sort -u
}
copy_modules() { (cd "$kernel/$modules" && xargs cp --parents -t "$1/$modules"); }
files_of snd-intel8x0 | copy_modules "$tree"
[ -d "$tree/$modules/kernel/sound" ] || die 'the kernel has no snd-intel8x0'
# The list of dependencies covers the default guest's drivers, too: it takes the place of theirs.
mkdir -p "$WORK/all/$modules"
files_of snd-intel8x0 $(grep -v '^#' "$HERE/initramfs/modules") | copy_modules "$WORK/all"
cp "$kernel/$modules"/modules.{builtin,builtin.modinfo,order} "$WORK/all/$modules/"
host_applet depmod -b "$WORK/all" "$release"
cp "$WORK/all/$modules"/modules.{dep,alias} "$tree/$modules/"

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
