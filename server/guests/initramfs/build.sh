# A busybox initramfs with a few of a kernel's drivers and two shells; sourced by targets/default.sh and amd64.sh.

# busybox_guest KERNEL-PACKAGE ARCH MOTD: sets $kernel (an unpacked kernel package), $release, and fills $tree.
busybox_guest() {
  local busybox wanted module file
  kernel=$(unpack "$1:$2")
  busybox=$(unpack "busybox-static:$2")
  tree=$WORK/tree
  mkdir -p "$tree"/{bin,dev,etc,proc,root,sbin,sys,tmp,run,mnt,usr/bin,usr/sbin,lib/modules}
  cp "$busybox/bin/busybox" "$tree/bin/busybox"
  install -m 755 "$HERE/initramfs/init" "$HERE/initramfs/rc" "$tree/"
  mv "$tree/rc" "$tree/etc/rc"
  install -m 755 "$HERE/initramfs/dhcp" "$tree/etc/dhcp"
  for file in inittab profile passwd group; do install -m 644 "$HERE/initramfs/$file" "$tree/etc/$file"; done
  sed "s/i386 kernel/$3 kernel/" "$HERE/initramfs/motd" >"$tree/etc/motd"
  echo tabbox >"$tree/etc/hostname"

  # Drivers for what a PC of this kind can hold, with everything they depend on; modprobe picks by what it finds.
  release=$(basename "$kernel"/boot/vmlinuz-*)
  release=${release#vmlinuz-}
  host_applet depmod -b "$kernel" "$release"
  wanted=$(grep -v '^#' "$HERE/initramfs/modules")
  for module in $wanted; do
    awk -v name="$module.ko" -F '[: ]+' '{ n = split($1, part, "/") } part[n] == name { for (i = 1; i <= NF; i++) if ($i != "") print $i }' \
      "$kernel/lib/modules/$release/modules.dep"
  done | sort -u >"$WORK/modules"
  [ -s "$WORK/modules" ] || die 'no kernel module of the list was found'
  (cd "$kernel" && sed "s|^|lib/modules/$release/|" "$WORK/modules" | xargs cp --parents -t "$tree")
  cp "$kernel/lib/modules/$release"/modules.{builtin,builtin.modinfo,order} "$tree/lib/modules/$release/"
  host_applet depmod -b "$tree" "$release"
  rm -f "$tree/lib/modules/$release"/modules.{builtin.modinfo,order,symbols,symbols.bin,devname,softdep,*.bin}
}
