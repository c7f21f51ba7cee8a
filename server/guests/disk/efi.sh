# GRUB for UEFI, beside the one for a BIOS. Sourced by build.sh.

# make_efi_grub TREE: TREE's grub-mkimage makes $WORK/bootx64.efi, which needs nothing but /boot/grub/grub.cfg of the
# file system that is called debian.
make_efi_grub() {
  local modules
  modules=$(unpack grub-efi-amd64-bin:amd64)/usr/lib/grub/x86_64-efi
  cp -r "$modules" "$1/efi-modules"
  printf 'search --set=root --label debian\nset prefix=($root)/boot/grub\n' >"$1/efi-modules/early.cfg"
  logged foreign chroot "$1" grub-mkimage -O x86_64-efi -d /efi-modules -c /efi-modules/early.cfg -p /boot/grub -o /bootx64.efi \
    part_msdos ext2 search search_label normal linux configfile serial terminal all_video efi_gop echo
  mv "$1/bootx64.efi" "$WORK/bootx64.efi"
  rm -r "$1/efi-modules"
}

# fill_efi_partition IMAGE SECTOR SECTORS: a FAT file system with GRUB where firmware looks when it knows nothing of the disk.
fill_efi_partition() {
  local at=$1@@$(($2 * 512))
  mformat -i "$at" -T "$3" -h 16 -s 63 -H "$2" -v EFI ::
  mmd -i "$at" ::/EFI ::/EFI/BOOT
  mcopy -i "$at" "$WORK/bootx64.efi" ::/EFI/BOOT/BOOTX64.EFI
}
