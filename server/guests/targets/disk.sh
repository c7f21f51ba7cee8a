# Debian for i386 on a disk.
. "$HERE/disk/build.sh"
build_disk i386 linux-image-686 768
