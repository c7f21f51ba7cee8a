# GRUB's rescue images.
rescue=$(unpack grub-rescue-pc:amd64)/usr/lib/grub-rescue
output "$rescue/grub-rescue-floppy.img" grub-rescue-floppy.img
output "$rescue/grub-rescue-cdrom.iso" grub-rescue-cdrom.iso
