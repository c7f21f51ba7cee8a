# Memtest86+ for 32-bit PCs: the bare image (Linux boot protocol) and the bootable CD.
memtest=$(unpack memtest86+:amd64)
output "$memtest/boot/memtest86+ia32.bin" memtest-ia32.bin
output "$memtest/usr/lib/memtest86+/memtest86+ia32.iso" memtest-ia32.iso
