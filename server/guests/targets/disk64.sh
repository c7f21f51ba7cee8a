# Debian for amd64 on a disk.
. "$HERE/disk/build.sh"
build_disk amd64 linux-image-amd64 1024
