# Debian 12's installer for i386, the text front end as booted over the network.
images=$(unpack debian-installer-12-netboot-i386:amd64)/usr/lib/debian-installer/images/12/i386/text/debian-installer/i386
output "$images/linux" installer-kernel
output "$images/initrd.gz" installer-initrd
