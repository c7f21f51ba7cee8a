# SeaBIOS, its VGA BIOS and iPXE for network cards, as Debian ships them.
seabios=$(unpack seabios:amd64)/usr/share/seabios
output "$seabios/bios-256k.bin" bios-256k.bin
output "$seabios/vgabios-stdvga.bin" vgabios-stdvga.bin
ipxe=$(unpack ipxe-qemu:amd64)/usr/lib/ipxe/qemu
for card in e1000 pcnet virtio; do output "$ipxe/pxe-$card.rom" "pxe-$card.rom"; done
