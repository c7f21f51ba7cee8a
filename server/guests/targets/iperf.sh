# iperf3 for the default guest's initramfs, beside `net`: for measuring alone.
tree=$WORK/tree
mkdir -p "$tree/bin" "$tree/lib/i386-linux-gnu"
cp "$(unpack iperf3:i386)/usr/bin/iperf3" "$tree/bin/"
for library in libiperf0:libiperf.so.0 libsctp1:libsctp.so.1 libssl3:libssl.so.3 libssl3:libcrypto.so.3 libc6:libc.so.6 libc6:libm.so.6; do
  cp -L "$(find "$(unpack "${library%%:*}:i386")" -name "${library##*:}" | head -n 1)" "$tree/lib/i386-linux-gnu/"
done
cp -L "$(find "$(unpack libc6:i386)" -name 'ld-linux.so.2' | head -n 1)" "$tree/lib/ld-linux.so.2"
pack_initramfs "$tree" "$WORK/initrd"
output "$WORK/initrd" iperf-initrd
