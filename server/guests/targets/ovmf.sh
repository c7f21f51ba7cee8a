# OVMF, UEFI firmware for 64-bit guests, as Debian ships it: code, and variables as they are in a new machine.
ovmf=$(unpack ovmf:all)/usr/share/OVMF
output "$ovmf/OVMF_CODE_4M.fd" OVMF_CODE_4M.fd
output "$ovmf/OVMF_VARS_4M.fd" OVMF_VARS_4M.fd
