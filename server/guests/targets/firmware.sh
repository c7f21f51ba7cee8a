# SeaBIOS and its VGA BIOS, as Debian ships them.
seabios=$(unpack seabios:amd64)/usr/share/seabios
output "$seabios/bios-256k.bin" bios-256k.bin
output "$seabios/vgabios-stdvga.bin" vgabios-stdvga.bin
