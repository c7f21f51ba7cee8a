# Memtest86+ for 32-bit and 64-bit PCs: the bare images (Linux boot protocol) and the bootable CDs.
memtest=$(unpack memtest86+:amd64)
for arch in ia32 x64; do
  output "$memtest/boot/memtest86+$arch.bin" memtest-$arch.bin
  output "$memtest/usr/lib/memtest86+/memtest86+$arch.iso" memtest-$arch.iso
done
