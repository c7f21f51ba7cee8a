. "$HERE/drivers.sh"
# Tools for the network, to be used beside the default guest's initramfs: ethtool, an SSH server and what they stand on, a
# quick init.
tree=$WORK/tree
mkdir -p "$tree/sbin" "$tree/lib/i386-linux-gnu"
cp "$(unpack ethtool:i386)/sbin/ethtool" "$(unpack dropbear-bin:i386)/usr/sbin/dropbear" "$tree/sbin/"
cp "$(unpack dropbear-bin:i386)/usr/bin/dropbearkey" "$tree/sbin/"
install -m 755 "$HERE/net/net-init" "$tree/sbin/net-init"
add_libraries libmnl0:libmnl.so.0 libc6:libc.so.6 libc6:libm.so.6 libtomcrypt1:libtomcrypt.so.1 libtommath1:libtommath.so.1 \
  libgmp10:libgmp.so.10 libcrypt1:libcrypt.so.1 zlib1g:libz.so.1
pack_initramfs "$tree" "$WORK/initrd"
output "$WORK/initrd" net-initrd
