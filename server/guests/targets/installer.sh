# Debian 12's installers, the text front ends as booted over the network.
for arch in i386 amd64; do
  images=$(unpack "debian-installer-12-netboot-$arch:amd64")/usr/lib/debian-installer/images/12/$arch/text/debian-installer/$arch
  [ $arch = amd64 ] && name=installer64 || name=installer
  output "$images/linux" $name-kernel
  output "$images/initrd.gz" $name-initrd
done
