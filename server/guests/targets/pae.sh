# Debian's 686-pae kernel; it runs with the default target's initramfs as well.
version=$(depends_on linux-image-686-pae:i386)
kernel=$(unpack "${version:-linux-image-686-pae}:i386")
output "$kernel"/boot/vmlinuz-* pae-kernel
