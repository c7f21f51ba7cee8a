# Tools for the network, to be used beside the default guest's initramfs: ethtool and what it stands on, a quick init.
ethtool=$(unpack ethtool:i386)
libmnl=$(unpack libmnl0:i386)
libc=$(unpack libc6:i386)
tree=$WORK/tree
mkdir -p "$tree/sbin" "$tree/lib/i386-linux-gnu"
cp "$ethtool/sbin/ethtool" "$tree/sbin/"
install -m 755 "$HERE/net/net-init" "$tree/sbin/net-init"
cp -L "$(find "$libmnl" -name 'libmnl.so.0')" "$(find "$libc" -name 'libc.so.6')" "$(find "$libc" -name 'libm.so.6')" "$tree/lib/i386-linux-gnu/"
cp -L "$(find "$libc" -name 'ld-linux.so.2' | head -n 1)" "$tree/lib/ld-linux.so.2"
pack_initramfs "$tree" "$WORK/initrd"
output "$WORK/initrd" net-initrd
