# build_disk ARCH KERNEL MEGABYTES: a Debian 12 system on the raw disk debian-ARCH.img: debootstrap's minimal set, systemd,
# a kernel and GRUB; for amd64 GRUB for UEFI, too. No loop device, no mount: mke2fs fills the file system from a directory,
# and GRUB's images are written where grub-bios-setup would. Sourced by targets/disk.sh and targets/disk64.sh.
. "$HERE/disk/efi.sh"
EFI_MB=16

le32() { printf '\\x%02x\\x%02x\\x%02x\\x%02x' $(($1 & 255)) $((($1 >> 8) & 255)) $((($1 >> 16) & 255)) $((($1 >> 24) & 255)); }
logged() { "$@" >>"$log" 2>&1 || { tail -n 20 "$log" >&2; die "debootstrap failed, see $log"; }; }

build_disk() {
  local arch=$1 kernel=$2 disk_mb=$3 tree=$WORK/tree mirror image sectors log release efi_entry=
  need_root 'debootstrap unpacks files of many owners and runs their scripts in a chroot'
  need_tools debootstrap=debootstrap mke2fs=e2fsprogs mformat=mtools
  [ -f /usr/share/keyrings/debian-archive-keyring.gpg ] || install_packages debian-archive-keyring
  apt_update
  prepare_foreign "$arch"
  # Without one, debootstrap takes its own default.
  mirror=${TABBOX_DEBIAN_MIRROR:-$(apt-get -c "$APT_DIR/apt.conf" indextargets --format '$(REPO_URI)' 'Codename: bookworm' 'Component: main' | sed -n 1p)}
  mkdir -p "$APT_DIR/debootstrap"
  log=$CACHE/debootstrap-$arch.log
  : >"$log"
  logged debootstrap --foreign --arch="$arch" --variant=minbase --cache-dir="$APT_DIR/debootstrap" \
    --include="$(grep -v '^#' "$HERE/disk/packages" | paste -sd,)" bookworm "$tree" ${mirror:+"$mirror"}
  # Nothing of this tree must survive a power failure before it is packed.
  mkdir -p "$tree/etc/dpkg/dpkg.cfg.d"
  echo force-unsafe-io >"$tree/etc/dpkg/dpkg.cfg.d/tabbox"
  logged foreign chroot "$tree" /debootstrap/debootstrap --second-stage
  # The initramfs holds the controllers a PC of this kind can have, instead of every driver of the kernel.
  echo MODULES=list >"$tree/etc/initramfs-tools/conf.d/tabbox"
  grep -v '^#' "$HERE/disk/modules" >>"$tree/etc/initramfs-tools/modules"
  # The kernel is most of the bytes, so this host's dpkg unpacks it, not an emulated one. Its script makes the initramfs.
  release=$(depends_on "$kernel:$arch")
  logged foreign dpkg --root="$tree" --force-architecture --unpack "$(fetch "${release:-$kernel}:$arch")"
  logged foreign chroot "$tree" dpkg --configure -a
  rm "$tree/etc/dpkg/dpkg.cfg.d/tabbox"

  echo debian >"$tree/etc/hostname"
  echo '127.0.0.1 localhost debian' >"$tree/etc/hosts"
  echo 'LABEL=debian / ext4 errors=remount-ro 0 1' >"$tree/etc/fstab"
  echo root:root | foreign chroot "$tree" chpasswd
  install -m 644 "$HERE/disk/boot-ok.service" "$tree/etc/systemd/system/boot-ok.service"
  mkdir -p "$tree/etc/systemd/system/multi-user.target.wants"
  ln -sf ../boot-ok.service "$tree/etc/systemd/system/multi-user.target.wants/boot-ok.service"

  mkdir -p "$tree/boot/grub/i386-pc"
  install -m 644 "$HERE/disk/grub.cfg" "$tree/boot/grub/grub.cfg"
  cp "$tree"/usr/lib/grub/i386-pc/*.{mod,lst} "$tree/boot/grub/i386-pc/"
  foreign chroot "$tree" grub-mkimage -O i386-pc -p '(hd0,msdos1)/boot/grub' -o /core.img biosdisk part_msdos ext2 normal linux configfile
  mv "$tree/core.img" "$WORK/core.img"
  [ "$arch" != amd64 ] || make_efi_grub "$tree"
  cp "$tree/usr/lib/grub/i386-pc/boot.img" "$WORK/boot.img"
  rm -rf "$tree"/var/cache/apt/*.bin "$tree"/var/cache/apt/archives/*.deb "$tree"/var/lib/apt/lists/* "$tree"/usr/share/doc/* \
    "$tree"/usr/share/man/* "$tree"/usr/share/locale/* "$tree"/usr/lib/grub "$tree"/var/log/bootstrap.log "$tree"/etc/resolv.conf

  # MBR: GRUB's boot.img loads sector 1, where core.img begins; core.img loads the sectors behind itself. One bootable Linux
  # partition at sector 2048: status 80, CHS unused (FE FF FF), type 83, first sector and count little-endian. For amd64 an
  # EFI system partition (type EF) follows it.
  image=$WORK/disk.img
  sectors=$((disk_mb * 2048 - 2048))
  truncate -s "${disk_mb}M" "$image"
  if [ "$arch" = amd64 ]; then
    sectors=$((sectors - EFI_MB * 2048))
    fill_efi_partition "$image" $((2048 + sectors)) $((EFI_MB * 2048))
    efi_entry="\0\xfe\xff\xff\xef\xfe\xff\xff$(le32 $((2048 + sectors)))$(le32 $((EFI_MB * 2048)))"
  fi
  mke2fs -q -F -t ext4 -m 0 -L debian -O ^metadata_csum,^64bit -d "$tree" -E offset=1048576 "$image" $((sectors / 2))k
  [ "$(stat -c %s "$WORK/core.img")" -lt $((2047 * 512)) ] || die 'core.img does not fit before the first partition'
  dd if="$WORK/boot.img" of="$image" bs=440 count=1 conv=notrunc status=none
  dd if="$WORK/core.img" of="$image" bs=512 seek=1 conv=notrunc status=none
  printf "TbDk\0\0\x80\xfe\xff\xff\x83\xfe\xff\xff$(le32 2048)$(le32 $sectors)$efi_entry" | dd of="$image" bs=1 seek=440 conv=notrunc status=none
  printf '\x55\xaa' | dd of="$image" bs=1 seek=510 conv=notrunc status=none
  output "$image" "debian-$arch.img"
}
